"""What the results of a job depend on: two runs that differ in it must not share a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mer_edge.bundle import MANIFEST, Bundle, sha256_of
from mer_edge.clips import ClipOptions
from mer_edge.errors import MerEdgeError

HASH_SHOWN = 12
"""Digits of a hash that a message shows."""


@dataclass(frozen=True)
class JobSettings:
    """The bundle and the options that decide what a result says."""

    bundle: str
    """Its path; it may move between two runs."""
    bundle_sha256: str
    """Of its manifest, which has the hashes of all other files."""
    options: dict[str, str]
    """What was said on the command line, by option; without those that only change the speed."""


def job_settings(
    bundle: Bundle, options: ClipOptions, device: str, min_confidence: float | None = None
) -> JobSettings:
    """The settings of a job, as they are recorded beside its results."""
    said = {"--device": device}
    if options.text.no_text:
        said["--no-text"] = "given"
    if options.text.asr_model is not None:
        said["--asr"] = str(options.text.asr_model.absolute())
    if options.face != 1:
        said["--face"] = str(options.face)
    if options.yunet is not None:
        said["--yunet"] = str(options.yunet.absolute())
    if options.frame_rate_hz is not None:
        said["--frame-rate"] = f"{options.frame_rate_hz:g}"
    if options.hwaccel is not None:
        said["--hwaccel"] = options.hwaccel
    if min_confidence is not None:
        said["--min-confidence"] = f"{min_confidence:g}"
    return JobSettings(str(bundle.path), sha256_of(bundle.path / MANIFEST), said)


def check_same(out: Path, began: JobSettings, now: JobSettings) -> None:
    """Refuse to mix results.

    Raises:
        MerEdgeError: the bundle or the options are others than those that began ``out``; names
            both.
    """
    advice = "name another --out, or add --overwrite to start anew"
    if began.bundle_sha256 != now.bundle_sha256:
        raise MerEdgeError(
            f"{out} was begun with the bundle {began.bundle} ({began.bundle_sha256[:HASH_SHOWN]}), "
            f"this is {now.bundle} ({now.bundle_sha256[:HASH_SHOWN]}); expected the same bundle; "
            f"{advice}"
        )
    if began.options != now.options:
        raise MerEdgeError(
            f"{out} was begun with {_listed(began.options, now.options)}, this run has "
            f"{_listed(now.options, began.options)}; expected the same options; {advice}"
        )


def _listed(options: dict[str, str], other: dict[str, str]) -> str:
    """What is different of it."""
    words = []
    for name in sorted({**options, **other}):
        if options.get(name) != other.get(name):
            value = options.get(name)
            words.append(f"no {name}" if value is None else f"{name} {value}")
    return ", ".join(words).replace(" given", "")
