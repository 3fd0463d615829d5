"""A data set prepared: how many clips of each label there are, what was published, what failed."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.files import new_file
from mer_edge.samples.sample import SPLITS, check_labels
from train.datasets.published import CLIPS, count_labels, differences
from train.datasets.registry import DataSet, DatasetOptions, open_dataset
from train.prepare import prepare_samples
from train.prepared import CLIPS_KEPT
from train.progress import Progress
from train.store import usual_store

FAILED_NAME = "failed.json"


@dataclass(frozen=True)
class FailedClip:
    """A clip that is not in the store, and why."""

    clip: str
    media: str
    split: str
    reason: str


@dataclass(frozen=True)
class SplitCount:
    """The clips of a split in the data set."""

    clips: int
    prepared: int
    labels: dict[str, int]
    """Clips that have each label."""
    published: dict[str, int] | None
    """What was published of it, per label, and of all under "clips"; None: nothing."""


@dataclass(frozen=True)
class Preparation:
    """What :func:`prepare_data` found and made."""

    data: str
    dataset: str
    store: str
    crops_per_segment: int
    labels: tuple[str, ...]
    splits: dict[str, SplitCount]
    differences: tuple[str, ...]
    """A sentence per split that is not as published."""
    notes: tuple[str, ...]
    """What else the data set's reader says."""
    failed: list[FailedClip]
    seconds: float


def prepare_data(
    data: Path,
    options: DatasetOptions,
    progress: Progress,
    *,
    labels: Sequence[str] | None = None,
    store: Path | None = None,
    crops_per_segment: int = 3,
    workers: int | None = None,
    evidence: Evidence | None = None,
) -> Preparation:
    """Prepare all clips of a data set and leave ``failed.json`` in the store.

    Args:
        labels: all that may appear, in their order; None: the data set's.
        store: None: ``.prepared`` beside the data.
        crops_per_segment: odd.
        evidence: what sound and faces need to have a say; None: to be there.

    Raises:
        MerEdgeError: the data set or the store cannot be used, or no clip can be prepared.
    """
    started = time.perf_counter()
    dataset = open_dataset(data, options)
    names = tuple(labels or dataset.labels)
    check_labels(dataset.samples, names)
    store = store or usual_store(data)
    ready, skipped = prepare_samples(
        dataset.samples, store, crops_per_segment, workers, progress, evidence
    )
    kept = {id(item.sample) for item in ready}
    lost = [sample for sample in dataset.samples if id(sample) not in kept]
    failed = [
        FailedClip(sample.id, item.media, sample.split, item.reason)
        for sample, item in zip(lost, skipped, strict=True)
    ]
    if failed or store.is_dir():
        _write_failed(failed, store / FAILED_NAME)
    if not ready:
        raise MerEdgeError(
            f"{data}: none of {len(failed)} clips can be prepared; expected at least one; the "
            f"first: {failed[0].reason} (all: {store / FAILED_NAME})"
        )
    unlike = differences(dataset.samples, dataset.published)
    return Preparation(
        data=str(data),
        dataset=dataset.name,
        store=str(store),
        crops_per_segment=crops_per_segment,
        labels=names,
        splits=_count(dataset, names, Counter(item.sample.split for item in ready)),
        differences=unlike,
        notes=tuple(note for note in dataset.notes if note not in unlike),
        failed=failed,
        seconds=time.perf_counter() - started,
    )


def _count(
    dataset: DataSet, labels: Sequence[str], prepared: Counter[str]
) -> dict[str, SplitCount]:
    counts = count_labels(dataset.samples)
    return {
        split: SplitCount(
            clips=counts.get(split, Counter())[CLIPS],
            prepared=prepared[split],
            labels={label: counts.get(split, Counter())[label] for label in labels},
            published=dataset.published.get(split),
        )
        for split in SPLITS
        if split in counts or split in dataset.published
    }


def _write_failed(failed: Sequence[FailedClip], file: Path) -> None:
    with new_file(file, "listing the clips that failed", advice=CLIPS_KEPT) as temporary:
        temporary.write_text(
            json.dumps([asdict(clip) for clip in failed], indent=1, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )
