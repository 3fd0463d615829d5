"""The layout in which Dai et al. 2021 publish IEMOCAP and CMU-MOSEI for end-to-end training.

W. Dai, S. Cahyawijaya, Z. Liu, P. Fung: Multimodal End-to-End Sparse Model for Emotion
Recognition, NAACL 2021. ``<NAME>_RAW_PROCESSED`` holds a folder of frames and sound per utterance
and ``meta.pkl``; ``<NAME>_SPLIT`` holds ``{train,valid,test}_split.txt``, an id a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import msgspec

from mer_edge.errors import MerEdgeError
from mer_edge.samples.sample import SPLITS
from train.datasets.layout import some_of, subfolders
from train.datasets.plain_pickle import read_plain_pickle

_NESTING = 2
"""Folders between the data folder and an utterance's: IEMOCAP's dialogue, and one more."""

Entry = TypeVar("Entry", bound=msgspec.Struct)


@dataclass(frozen=True)
class Layout:
    """What the two data sets have in common."""

    raw: Path
    """``<NAME>_RAW_PROCESSED``"""
    splits: dict[str, str]
    """The split of each id, in the order of the split files."""
    meta: Mapping[str, object]
    """``meta.pkl``: what is known of each id, not checked yet."""
    notes: tuple[str, ...]

    def entries(self, kind: type[Entry]) -> tuple[dict[str, Entry], tuple[str, ...]]:
        """What ``meta.pkl`` says of the ids of the splits, and notes on those it does not serve.

        Raises:
            MerEdgeError: it serves none of them.
        """
        entries: dict[str, Entry] = {}
        unknown: list[str] = []
        unusable: list[str] = []
        reason = ""
        for name in self.splits:
            if name not in self.meta:
                unknown.append(name)
                continue
            try:
                entries[name] = msgspec.convert(self.meta[name], type=kind)
            except msgspec.ValidationError as error:
                unusable.append(name)
                reason = reason or f"{name}: {error}"
        if not entries:
            raise MerEdgeError(
                f"{self.raw / 'meta.pkl'}: serves none of the {len(self.splits)} ids of the splits"
                f" ({reason or f'no entry for {next(iter(self.splits))}'}); expected an entry for "
                "each; take meta and splits of the same data set"
            )
        notes = []
        if unknown:
            notes.append(f"Left out, meta.pkl has no entry for them: {some_of(unknown)}.")
        if unusable:
            notes.append(
                f"Left out, meta.pkl's entry cannot be used: {some_of(unusable)} ({reason})."
            )
        return entries, tuple(notes)

    def folder(self, name: str, usual: Path) -> Path:
        """An utterance's folder: the usual one, else wherever one of its name is.

        Where there is none the usual one is returned: preparing it says that it is missing.
        """
        place = self.raw / usual
        if (place / name).is_dir():  # unpacked into a folder of its own name
            return place / name
        return place if place.is_dir() else self._folders.get(name, place)

    @cached_property
    def _folders(self) -> dict[str, Path]:
        folders: dict[str, Path] = {}
        for folder in subfolders(self.raw, _NESTING + 1):
            folders.setdefault(folder.name, folder)
        return folders


def read_layout(path: Path, name: str) -> Layout:
    """Find and read the parts of the data set ``name`` (``IEMOCAP`` or ``MOSEI``).

    Raises:
        MerEdgeError: a folder, a split file or ``meta.pkl`` is missing or not as it should be.
    """
    raw, split_folder = path / f"{name}_RAW_PROCESSED", path / f"{name}_SPLIT"
    for folder in (raw, split_folder):
        if not folder.is_dir():
            raise MerEdgeError(
                f"{path}: found no folder {folder.name}; expected {raw.name} and "
                f"{split_folder.name} as Dai et al. publish them; name the folder that holds both"
            )
    splits, notes = _read_splits(split_folder)
    places = [raw / "meta.pkl", path / "meta.pkl"]
    meta_path = next((place for place in places if place.is_file()), None)
    if meta_path is None:
        raise MerEdgeError(
            f"{places[0]}: no such file; expected the labels and texts that Dai et al. publish; "
            "put meta.pkl there"
        )
    meta = read_plain_pickle(meta_path)
    if not isinstance(meta, dict):
        raise MerEdgeError(
            f"{meta_path}: found a {type(meta).__name__}; expected a dict from id to what is known "
            "of it; take the meta.pkl that Dai et al. publish"
        )
    return Layout(raw, splits, meta, notes)


def _read_splits(folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    splits: dict[str, str] = {}
    repeated: list[str] = []
    for split in SPLITS:
        for name in _read_ids(folder / f"{split}_split.txt"):
            if name in splits:
                repeated.append(name)
            else:
                splits[name] = split
    if not repeated:
        return splits, ()
    return splits, (f"Listed more than once, kept where they come first: {some_of(repeated)}.",)


def _read_ids(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise MerEdgeError(
            f"{path}: cannot read it ({reason}); expected an id a line; put the split file that "
            "Dai et al. publish there"
        ) from error
    names = [line.strip() for line in lines if line.strip()]
    for name in names:
        if "/" in name or "\\" in name or name in (".", ".."):
            raise MerEdgeError(f"{path}: found {name!r}; expected the id of an utterance a line")
    return names
