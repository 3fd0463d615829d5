"""FER+: the 48 px grey faces of FER2013 with ten people's votes each (Barsoum et al. 2016).

``ferplus/train.zip`` trains, but for a seeded share that is held out for calibration;
``ferplus/valid.zip`` tests and does nothing else.
"""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from train.recipes.corpora import LABELS

OTHER_VOTES = ("contempt", "unknown", "NF")
"""What people could also vote for; NF: no face."""
PICTURE_SIZE_PX = 48
LEAST_VOTES = 2
"""A single vote among ten is noise and counts nothing."""


@dataclass(frozen=True, eq=False)
class LabelledFaces:
    """N pictures and what people saw in them."""

    names: tuple[str, ...]
    pictures: NDArray[np.uint8]
    """shape = (N, 48, 48), grey."""
    shares: NDArray[np.float32]
    """shape = (N, 7): the votes as shares of 1, single votes left out."""
    classes: NDArray[np.int64]
    """shape = (N,): the label with the most votes."""

    def __len__(self) -> int:
        return len(self.names)

    def chosen(self, rows: NDArray[np.int64]) -> LabelledFaces:
        """The pictures at ``rows``, in that order."""
        names = tuple(self.names[row] for row in rows)
        return LabelledFaces(names, self.pictures[rows], self.shares[rows], self.classes[rows])


def read_ferplus(data: Path, part: str) -> LabelledFaces:
    """The faces of ``part`` ("train" or "valid") whose most-voted label is one of ``LABELS``.

    Raises:
        MerEdgeError: a file is missing or not as published.
    """
    votes = _votes(data / "ferplus" / f"{part}.tsv")
    path = data / "ferplus" / f"{part}.zip"
    names, pictures, shares, classes = [], [], [], []
    for name, picture in _pictures(path, sorted(votes)):
        label, counts = votes[name]
        names.append(name)
        pictures.append(picture)
        shares.append(soft_label(counts))
        classes.append(LABELS.index(label))
    if not names:
        raise MerEdgeError(f"{path}: no picture with one of the labels {', '.join(LABELS)}")
    return LabelledFaces(
        tuple(names), np.stack(pictures), np.stack(shares), np.array(classes, np.int64)
    )


def soft_label(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Votes (7,) -> shares (7,) of 1 without single votes; they stay where nothing else is."""
    kept = np.where(counts >= LEAST_VOTES, counts, 0)
    if kept.sum() == 0:
        kept = counts
    shares: NDArray[np.float32] = (kept / kept.sum()).astype(np.float32)
    return shares


def held_out(count: int, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that train and rows that are held out of ``count``, both in rising order."""
    order = np.random.default_rng(seed).permutation(count)
    cut = round(count * share)
    return np.sort(order[cut:]), np.sort(order[:cut])


def _votes(path: Path) -> dict[str, tuple[str, NDArray[np.int64]]]:
    """By name the most-voted label and the votes (7,), of the pictures that are of use."""
    if not path.is_file():
        raise MerEdgeError(f"{path}: no such file; expected FER+'s list of votes")
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        missing = {"file", "label", *LABELS, *OTHER_VOTES} - set(rows.fieldnames or ())
        if missing:
            raise MerEdgeError(f"{path}: no column {', '.join(sorted(missing))}")
        votes = {}
        for row in rows:
            counts = np.array([int(row[label]) for label in LABELS])
            if row["label"] in LABELS and counts.sum() > 0:
                votes[row["file"]] = row["label"], counts
        return votes


def _pictures(path: Path, names: list[str]) -> list[tuple[str, NDArray[np.uint8]]]:
    if not path.is_file():
        raise MerEdgeError(f"{path}: no such file; expected FER+'s pictures")
    found = []
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                encoded = np.frombuffer(archive.read(name), np.uint8)
                picture = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
                if picture is None or picture.shape != (PICTURE_SIZE_PX, PICTURE_SIZE_PX):
                    raise MerEdgeError(
                        f"{path}: {name} is no picture of {PICTURE_SIZE_PX} x {PICTURE_SIZE_PX} px"
                    )
                found.append((name, np.asarray(picture, np.uint8)))
    except (zipfile.BadZipFile, KeyError) as error:
        raise MerEdgeError(f"{path}: not the pictures that its list names ({error})") from error
    return found
