"""The data sets that are known, and how one of them is opened."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.samples.sample import Sample

DATASETS = {
    "manifest": "train.datasets.manifest",
    "iemocap": "train.datasets.iemocap",
    "mosei": "train.datasets.mosei",
    "meld": "train.datasets.meld",
    "crema-d": "train.datasets.crema_d",
    "ravdess": "train.datasets.ravdess",
}
"""Per name the module whose ``open_dataset(path, options)`` reads the data set's own layout."""


@dataclass(frozen=True)
class DatasetOptions:
    """Which data set a folder holds, and what its layout leaves open."""

    name: str = "manifest"
    """One of ``DATASETS``."""
    split_by: str = ""
    """How it is split, where there is a choice; "": the data set's first."""
    frame_rate_hz: float | None = None
    """At which its frames are stored, where they are pictures; None: the data set's usual."""

    def __post_init__(self) -> None:
        if self.name not in DATASETS:
            raise MerEdgeError(
                f"unknown data set '{self.name}'; expected one of {', '.join(DATASETS)}"
            )


@dataclass(frozen=True)
class DataSet:
    """The labelled clips of a data set."""

    name: str
    samples: list[Sample]
    labels: tuple[str, ...]
    """In the data set's own order."""
    notes: tuple[str, ...] = ()
    """What its user should know: counts that differ from the published ones, splits that leak."""
    published: dict[str, dict[str, int]] = field(default_factory=dict)
    """Per split the published number of clips per label, and under "clips" of all; empty: none."""


def open_dataset(path: Path, options: DatasetOptions = DatasetOptions()) -> DataSet:
    """Read what clips a data set has, without decoding any.

    Raises:
        MerEdgeError: the folder is not laid out as the data set is.
    """
    module = importlib.import_module(DATASETS[options.name])
    dataset: DataSet = module.open_dataset(path, options)
    return dataset


def label_names(samples: Iterable[Sample]) -> tuple[str, ...]:
    """Every label that appears, in alphabetical order: the classes of a data set.

    Raises:
        MerEdgeError: no sample has a label.
    """
    names = sorted({label for sample in samples for label in sample.labels})
    if not names:
        raise MerEdgeError("the data set has no label at all; expected at least one labelled clip")
    return tuple(names)


def configure_dataset(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say what data set a folder holds."""
    group = parser.add_argument_group("data set")
    group.add_argument(
        "--dataset", default="manifest", metavar="NAME", help=f"{', '.join(DATASETS)}"
    )
    group.add_argument(
        "--split-by",
        default="",
        metavar="HOW",
        help="iemocap: paper or session; ravdess: actors or fold-K-of-N",
    )
    group.add_argument(
        "--frame-rate", type=float, metavar="HZ", help="of frames stored as pictures"
    )


def dataset_options(args: argparse.Namespace) -> DatasetOptions:
    """What the arguments of :func:`configure_dataset` ask for.

    Raises:
        MerEdgeError: no such data set.
    """
    return DatasetOptions(args.dataset, args.split_by, args.frame_rate)


def dataset_arguments(options: DatasetOptions) -> list[str]:
    """What a user types for these options; nothing for the usual ones."""
    given = {
        "--dataset": "" if options.name == DatasetOptions().name else options.name,
        "--split-by": options.split_by,
        "--frame-rate": "" if options.frame_rate_hz is None else f"{options.frame_rate_hz:g}",
    }
    return [word for name, value in given.items() if value for word in (name, value)]
