"""No output takes the place of what it is made of, or of another output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mer_edge.errors import MerEdgeError

TEXTS = (".srt", ".vtt", ".txt")
"""What a file's own text ends in, with the file's name before it."""

JOURNAL_SUFFIX = ".job"

Place = tuple[object, ...]
"""The same for two paths exactly if they mean one file, however they are spelled."""


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None]) -> None:
    """Ask before anything is opened.

    Args:
        outputs: by what names each: an option, or what comes of one.
        inputs: files and directories of frames that are read; the texts beside them count, too, and
            whatever may lie in such a directory.

    Raises:
        MerEdgeError: an output is one of the inputs, or two outputs are one file.
    """
    places = _Places()
    named: dict[Place, tuple[str, Path]] = {}
    for option, output in outputs.items():
        if output is None:
            continue
        place = places.of(os.path.realpath(output))
        if place in named:
            _refuse(option, output, named[place][0])
        named[place] = option, output
    if not named:
        return
    for source in inputs:
        for place in () if source is None else _read_with(source, places, named):
            if place in named:
                _refuse(*named[place], "what is read")


def model_files(
    bundle: Path, *, run: Path | None = None, asr: Path | None = None
) -> Iterator[Path]:
    """What is read of the directories that hold models.

    Args:
        bundle: as far as its manifest can be read; opening the bundle says what is wrong with it.
        run: of a training run, or its checkpoint.
        asr: of a Whisper model.
    """
    from mer_edge.bundle import MANIFEST
    from mer_edge.bundle_checks import read_manifest

    yield bundle / MANIFEST
    try:
        manifest = read_manifest(bundle)
    except MerEdgeError:
        pass
    else:
        graphs = (graph.file for graph in manifest.graphs.values())
        yield from (bundle / name for name in (*graphs, *manifest.files))
    if run is not None:
        from mer_edge.model import checkpoint_files as files

        directory = files.checkpoint_directory(run)
        for name in (files.CONFIG_FILE, files.WEIGHTS_FILE, files.TOKENIZER_FILE):
            yield directory / name
    if asr is not None:
        from mer_edge.text.asr import MODEL_FILES, VOCABULARIES

        yield from (asr / name for name in (*MODEL_FILES, *VOCABULARIES))


def journal_path(out: Path) -> Path:
    """Where the journal of a folder job's results is."""
    return out.with_name(out.name + JOURNAL_SUFFIX)


def check_no_job(out: Path) -> None:
    """Refuse the results of a folder job: it would take what replaced them for its own.

    Raises:
        MerEdgeError: a journal lies beside ``out``.
    """
    journal = journal_path(out)
    if journal.exists():
        raise MerEdgeError(
            f"--out {out}: found {journal.name} beside it, so these are the results of a folder "
            "job; expected a name of its own; take another, or remove both"
        )


class _Places:
    """Looks up places; asks for each folder once, since a job may have very many files in few."""

    def __init__(self) -> None:
        self._folders: dict[str, Place] = {}

    def of(self, path: str) -> Place:
        try:
            status = os.stat(path)  # noqa: PTH116  a Path for each would take as long again
            return status.st_dev, status.st_ino
        except (OSError, ValueError):  # nothing there, or a name that cannot be
            folder, name = os.path.split(path)
            return (*self.of_folder(folder), name)

    def of_folder(self, folder: str) -> Place:
        if folder not in self._folders:
            self._folders[folder] = self.of(folder or ".")
        return self._folders[folder]


def _read_with(source: Path, places: _Places, named: Mapping[Place, object]) -> Iterator[Place]:
    """The places of ``source`` and of what is read with it, or would be if it were there."""
    path = os.fspath(source)
    yield places.of(path)
    stem, suffix = os.path.splitext(path)  # noqa: PTH122
    if suffix:
        for ending in TEXTS:
            yield places.of(stem + ending)
            yield places.of(stem + ending.upper())
    if source.is_dir():
        yield from _read_of(source, places, named)


def _read_of(frames: Path, places: _Places, named: Mapping[Place, object]) -> Iterator[Place]:
    """Images, sound and text in a directory of frames; outputs that would be some, too."""
    from mer_edge.media.directory import IMAGE_SUFFIXES, SOUND_SUFFIXES

    endings = (*IMAGE_SUFFIXES, *SOUND_SUFFIXES, *TEXTS)
    folder = places.of_folder(os.fspath(frames))
    for place in named:
        *parent, name = place
        if tuple(parent) == folder and str(name).lower().endswith(endings):
            yield place
    try:
        files = [entry.path for entry in os.scandir(frames)]
    except OSError:  # reading it says why not
        return
    for path in files:
        if path.lower().endswith(endings):
            yield places.of(path)


def _refuse(option: str, output: Path, other: str) -> None:
    raise MerEdgeError(f"{option} {output}: that is {other}, too; expected a file of its own")
