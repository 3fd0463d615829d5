"""A data set of one's own: a manifest (:mod:`mer_edge.samples.manifest`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.samples.manifest import read_manifest
from mer_edge.samples.sample import Sample
from train.datasets.registry import DataSet, DatasetOptions, label_names


def open_dataset(path: Path, options: DatasetOptions) -> DataSet:
    """A data set of one's own; see :func:`read_manifest`.

    Raises:
        MerEdgeError: as :func:`read_manifest`, or an option that a manifest has no use for.
    """
    if options.split_by or options.frame_rate_hz is not None:
        option = "--split-by" if options.split_by else "--frame-rate"
        raise MerEdgeError(
            f"found {option} for a manifest, whose lines say that themselves; leave it out, or "
            "name the --dataset it is for"
        )
    samples = read_manifest(path)
    notes = (*_texts_alone(samples), *_leaks(samples), *_shared_texts(samples))
    return DataSet("manifest", samples, label_names(samples), notes)


def _texts_alone(samples: Sequence[Sample]) -> tuple[str, ...]:
    count = sum(sample.media is None for sample in samples)
    return (f"{count} of {len(samples)} samples are text alone, without media",) if count else ()


def _shared_texts(samples: Sequence[Sample]) -> tuple[str, ...]:
    """A note if the same words stand alone in several splits."""
    splits: dict[str, set[str]] = {}
    for sample in samples:
        if sample.media is None and sample.text is not None:
            splits.setdefault(sample.text, set()).add(sample.split)
    shared = sum(len(where) > 1 for where in splits.values())
    if not shared:
        return ()
    return (
        f"{shared} of {len(splits)} different texts alone are in more than one split: scores on "
        "the later splits look better than on new sentences",
    )


def _leaks(samples: Sequence[Sample]) -> tuple[str, ...]:
    """A note if a group, such as a speaker, is in several splits."""
    splits: dict[str, set[str]] = {}
    for sample in samples:
        if sample.group:
            splits.setdefault(sample.group, set()).add(sample.split)
    shared = sorted(group for group, where in splits.items() if len(where) > 1)
    if not shared:
        return ()
    return (
        f"{len(shared)} of {len(splits)} groups are in more than one split, the first is "
        f"{shared[0]}: scores on the later splits look better than on strangers",
    )
