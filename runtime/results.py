"""From the network's outputs to the Result a user reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import Manifest
from mer_edge.clip import PRESENT_AS, Clip
from mer_edge.decision import probabilities_of
from mer_edge.result import ModalitySay, Result
from mer_edge.segments import MODALITIES
from runtime.chain import ChainOutput


def build_results(
    clips: list[Clip], output: ChainOutput, manifest: Manifest, timings_ms: dict[str, float]
) -> list[Result]:
    """One Result a clip, in order.

    Args:
        timings_ms: per stage; every clip of the batch waited for all of it.
    """
    return [
        _result(clip, row, output, manifest, dict(timings_ms)) for row, clip in enumerate(clips)
    ]


def is_empty(clip: Clip, modalities: tuple[str, ...]) -> bool:
    """Whether the clip has none of ``modalities``: nothing to recognise anything by."""
    return not any(clip.has(name) for name in modalities)


def lacking(modalities: tuple[str, ...]) -> str:
    """What an empty clip does not have, in a user's words: ``no sound, no face and no text``."""
    words = [f"no {PRESENT_AS[name]}" for name in modalities]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def nothing_present(modalities: tuple[str, ...]) -> str:
    """What is noted of an empty clip."""
    return (
        f"{lacking(modalities)} in this clip: the network had nothing to go by, "
        "so there is no decision"
    )


def _result(
    clip: Clip, row: int, output: ChainOutput, manifest: Manifest, timings_ms: dict[str, float]
) -> Result:
    rule, least = manifest.rule, manifest.min_confidence
    probabilities = rule.probabilities(output.logits[row])
    confidence = float(probabilities.max())
    uncertain = is_empty(clip, manifest.modalities) or (least is not None and confidence < least)
    decided = rule.decide(probabilities)
    decision = [label for label, yes in zip(manifest.labels, decided, strict=True) if yes]
    return Result(
        source=printable(clip.source),
        start_s=clip.start_s,
        end_s=clip.end_s,
        segments=clip.segments,
        audio_segments=int(clip.audio_present.sum()),
        face_segments=int(clip.face_present.sum()),
        text=clip.text,
        probabilities=_by_label(probabilities, manifest.labels),
        decision=[] if uncertain else decision,
        top=manifest.labels[int(probabilities.argmax())],
        modalities=_modalities(clip, row, output, manifest),
        timings_ms=timings_ms,
        engine=output.engine,
        notes=_notes(clip, output.notes[row], manifest),
        model=manifest.model,
        task=manifest.task,
        confidence=confidence,
        uncertain=uncertain,
        min_confidence=least,
        thresholds=dict(zip(manifest.labels, rule.thresholds, strict=False)),
    )


def _modalities(
    clip: Clip, row: int, output: ChainOutput, manifest: Manifest
) -> dict[str, ModalitySay]:
    say = {}
    for index, name in enumerate(MODALITIES):
        used = name in manifest.modalities
        temperature = getattr(manifest.temperatures, name)
        alone = probabilities_of(output.decisions[row, index], manifest.task, temperature)
        say[name] = ModalitySay(
            present=clip.has(name),
            weight=float(output.weights[row, index]),
            probabilities=_by_label(alone, manifest.labels) if used and clip.has(name) else None,
            used=used,
        )
    return say


def _notes(clip: Clip, text_note: str | None, manifest: Manifest) -> list[str]:
    notes = list(clip.notes)
    if text_note:
        notes.append(text_note)
    if is_empty(clip, manifest.modalities):
        notes.append(nothing_present(manifest.modalities))
    if manifest.notice:
        notes.append(manifest.notice)
    return notes


def printable(text: str) -> str:
    """Text that UTF-8 can hold: file names on disk need not be."""
    return text.encode("utf-8", "backslashreplace").decode()


def _by_label(probabilities: NDArray[np.float64], labels: list[str]) -> dict[str, float]:
    return dict(zip(labels, probabilities.tolist(), strict=True))
