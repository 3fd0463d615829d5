"""Real clips for an export: some to calibrate with, others to compare on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.precision.calibration import LEAST_CLIPS, RECOMMENDED_CLIPS
from mer_edge.bundle import Calibration
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.samples.clips import load_sample
from mer_edge.samples.manifest import read_manifest
from mer_edge.samples.sample import Sample

COMPARED_CLIPS = 200
"""At most: the share of label decisions that stay is then known to about half a per cent."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RealClips:
    """Clips of a data set; none is in both lists."""

    calibrate: Sequence[Clip]
    compare: Sequence[Clip]
    record: Calibration
    """What the manifest says of them."""


def load_real_clips(
    path: Path,
    count: int,
    seed: int,
    progress: Progress | None,
    evidence: Evidence | None = None,
) -> RealClips:
    """Draw clips from a data set's manifest.

    Those to calibrate with come from the training split, those to compare on from the others; of a
    data set that has only one split, half are for either.

    Args:
        evidence: what sound and faces need to have a say, as in training.

    Raises:
        MerEdgeError: the manifest or a clip cannot be read, or there are fewer than 16 clips to
            calibrate with.
    """
    first, second = _split(read_manifest(path), count, seed)
    if len(first) < LEAST_CLIPS:
        raise MerEdgeError(
            f"{path}: {len(first)} clips to calibrate with; expected at least "
            f"{RECOMMENDED_CLIPS}, and no fewer than {LEAST_CLIPS}: ranges from so few do not hold "
            "for others; name a larger data set with --calibrate"
        )
    total = len(first) + len(second)
    clips = [
        _tick(load_sample(sample, evidence=evidence), done, total, progress)
        for done, sample in enumerate((*first, *second), start=1)
    ]
    names = "\n".join(sample.id for sample in first)
    record = Calibration(
        data=str(path),
        clips=len(first),
        seed=seed,
        clips_sha256=hashlib.sha256(names.encode()).hexdigest(),
        compared_clips=len(second),
    )
    return RealClips(clips[: len(first)], clips[len(first) :], record)


def _tick(clip: Clip, done: int, total: int, progress: Progress | None) -> Clip:
    if progress:
        progress("reading clips", done, total)
    return clip


def _split(samples: Sequence[Sample], count: int, seed: int) -> tuple[list[Sample], list[Sample]]:
    rng = np.random.default_rng(seed)
    order = [samples[i] for i in rng.permutation(len(samples))]
    train = [sample for sample in order if sample.split == "train"]
    others = [sample for sample in order if sample.split != "train"]
    if not train or not others:
        train, others = order[: (len(order) + 1) // 2], order[(len(order) + 1) // 2 :]
    return _spread(train, count), _spread(others, COMPARED_CLIPS)


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Up to ``count`` of them, as many of each label as there are, in the order given.

    Clips and texts alone are counted apart: thousands of texts must not crowd out the sound.
    """
    groups: dict[tuple[bool, tuple[str, ...]], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.media is None, sample.labels), []).append(sample)
    return list(_in_turn(list(groups.values())))[:count]


def _in_turn(groups: list[list[Sample]]) -> Iterator[Sample]:
    for place in range(max((len(group) for group in groups), default=0)):
        for group in groups:
            if place < len(group):
                yield group[place]
