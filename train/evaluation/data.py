"""The clips that subjects are asked about, made or found prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.samples.sample import SPLITS, Sample
from train.datasets.registry import DatasetOptions, open_dataset
from train.prepare import ReadySample, Skipped, prepare_samples
from train.progress import Progress
from train.provenance import fingerprint
from train.store import usual_store


@dataclass(frozen=True, eq=False)
class EvaluationData:
    """Prepared clips of the splits that were asked for."""

    path: Path
    dataset: str
    fingerprint: str
    """Of the whole data set, to be compared with that of the training data."""
    splits: dict[str, list[ReadySample]]
    skipped: list[Skipped]
    notes: tuple[str, ...]
    """What the data set's reader found worth telling."""


def open_data(
    path: Path,
    options: DatasetOptions,
    labels: Sequence[str],
    splits: Sequence[str],
    progress: Progress,
    *,
    store: Path | None = None,
    crops_per_segment: int = 3,
    workers: int | None = None,
    evidence: Evidence | None = None,
) -> EvaluationData:
    """Read a data set and prepare the clips of ``splits`` that the store does not hold yet.

    Args:
        labels: every label of these clips must be one of them.
        store: of prepared clips; None: ``.prepared`` beside the data.
        crops_per_segment: as in training, so that its prepared clips serve; the middle one counts.
        evidence: the subject's: what sound and faces need to have a say.

    Raises:
        MerEdgeError: the data set cannot be read, a split has no usable clip, or a clip has a
            label that the subject does not know.
    """
    dataset = open_dataset(path, options)
    chosen = [sample for sample in dataset.samples if sample.split in splits]
    _check_labels(chosen, labels, path)
    for split in splits:
        _check_split(split, chosen, path)
    ready, skipped = prepare_samples(
        chosen, store or usual_store(path), crops_per_segment, workers, progress, evidence
    )
    for split in splits:
        _check_split(split, [item.sample for item in ready], path, len(skipped))
    return EvaluationData(
        path=path,
        dataset=options.name,
        fingerprint=fingerprint(dataset.samples),
        splits={split: [r for r in ready if r.sample.split == split] for split in splits},
        skipped=skipped,
        notes=dataset.notes,
    )


def check_split_name(split: str) -> None:
    """Refuse a split that no data set has.

    Raises:
        MerEdgeError: ``split`` is none of ``SPLITS``.
    """
    if split not in SPLITS:
        raise MerEdgeError(f"unknown split '{split}'; expected one of {', '.join(SPLITS)}")


def _check_labels(samples: Sequence[Sample], labels: Sequence[str], path: Path) -> None:
    for sample in samples:
        for label in sample.labels:
            if label not in labels:
                raise MerEdgeError(
                    f"{path}: {sample.id} has the label '{label}'; expected one that the "
                    f"model knows: {', '.join(labels)}; evaluate on data of the same classes"
                )


def _check_split(split: str, samples: Sequence[Sample], path: Path, skipped: int = 0) -> None:
    if any(sample.split == split for sample in samples):
        return
    usable = f"usable clip ({skipped} could not be prepared)" if skipped else "clip"
    raise MerEdgeError(
        f"{path}: no {usable} of the split '{split}'; expected at least one; choose another --split"
    )
