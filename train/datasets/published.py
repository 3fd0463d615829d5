"""What was counted in a data set against what was published of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mer_edge.samples.sample import Sample

CLIPS = "clips"
"""The entry of a table that counts all clips of a split."""

Published = dict[str, dict[str, int]]
"""Per split: clips that have a label, per label, and all clips under ``CLIPS``."""


def count_labels(samples: Sequence[Sample]) -> dict[str, Counter[str]]:
    """Per split the clips of each label, and all clips under ``CLIPS``."""
    counts: dict[str, Counter[str]] = {}
    for sample in samples:
        counts.setdefault(sample.split, Counter()).update([CLIPS, *sample.labels])
    return counts


def differences(
    samples: Sequence[Sample], published: Mapping[str, Mapping[str, int]]
) -> tuple[str, ...]:
    """A sentence per split whose counts are not the published ones."""
    found = count_labels(samples)
    notes = []
    for split, expected in published.items():
        counts = found.get(split, Counter())
        unlike = [
            f"{counts[name]} {name} (published: {number})"
            for name, number in expected.items()
            if counts[name] != number
        ]
        if unlike:
            notes.append(f"The split {split} differs from the published one: {', '.join(unlike)}.")
    return tuple(notes)
