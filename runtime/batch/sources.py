"""Which files a batch job is about: folders are searched, manifests read, each file counts once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.clip import Clip, text_clip
from mer_edge.clips import ClipOptions
from mer_edge.errors import MerEdgeError
from mer_edge.media.directory import IMAGE_SUFFIXES, SOUND_SUFFIXES, natural_key
from mer_edge.samples.clips import clip_options
from mer_edge.samples.manifest import read_manifest
from mer_edge.samples.sample import Sample

if TYPE_CHECKING:
    from mer_edge.bundle import Manifest
    from mer_edge.faces.face import FaceDetector

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".3gp", ".3g2", ".flv", ".wmv", ".asf", ".ogv", ".mxf", ".vob"),
)
"""By which a video is known in a folder; a file that is named itself may have any name."""
MEDIA_SUFFIXES = (*VIDEO_SUFFIXES, *SOUND_SUFFIXES)
MANIFEST_SUFFIXES = (".jsonl", ".csv")


@dataclass(frozen=True)
class Source:
    """One file, one directory of frames, or one line of a manifest."""

    path: Path
    """As the user named it or its folder."""
    options: ClipOptions
    key: str
    """By which a job knows it again: the absolute path, and which part of it."""
    text_alone: str = ""
    """The name of a manifest's sample without media; ``path`` is the manifest's then."""

    @property
    def name(self) -> str:
        """What results and messages say."""
        return f"{self.path}: {self.text_alone}" if self.text_alone else str(self.path)

    def clips(self, manifest: Manifest, detector: FaceDetector) -> Iterator[Clip]:
        """Its clips, as far as a bundle decides by them.

        Raises:
            MerEdgeError: while iterating: it cannot be read, or has nothing of these.
        """
        from mer_edge.clips import for_bundle, load_clips

        options = for_bundle(self.options, manifest)
        if not self.text_alone:
            yield from load_clips(self.path, options, detector=detector)
            return
        text = options.text.text
        if text is None or "text" not in manifest.modalities:
            raise MerEdgeError(
                f"{self.name}: text alone, and text is not looked at; expected a clip with sound "
                "or a face; leave out --no-text and --asr, or take a bundle that decides by text"
            )
        yield text_clip(text, self.name)


@dataclass(frozen=True)
class Found:
    """What a job is about."""

    sources: tuple[Source, ...]
    """In the order of the results: as named, within a folder by name with numbers by value."""
    passed_over: int
    """Files of the searched folders that are no media by their name."""


@dataclass
class _Folder:
    """What lies directly in a directory, hidden files left out."""

    folders: list[Path]
    media: list[Path]
    images: int = 0
    others: int = 0

    @classmethod
    def read(cls, path: Path) -> _Folder:
        found = cls([], [])
        try:
            entries = sorted(path.iterdir(), key=lambda entry: natural_key(entry.name))
        except OSError as error:
            raise MerEdgeError(
                f"{path}: the folder cannot be read ({error.strerror}); expected one with media "
                "files; change its permissions or name another"
            ) from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            suffix = entry.suffix.lower()
            if entry.is_dir():
                found.folders.append(entry)
            elif suffix in MEDIA_SUFFIXES:
                found.media.append(entry)
            elif suffix in IMAGE_SUFFIXES:
                found.images += 1
            else:
                found.others += 1
        return found

    @property
    def may_be_frames(self) -> bool:
        """One sound file at most belongs to frames; a video or several sounds do not."""
        return not self.media or (
            len(self.media) == 1 and self.media[0].suffix.lower() in SOUND_SUFFIXES
        )


def is_job(path: Path) -> bool:
    """Whether a FILE of the command line is many: a manifest, or a folder of media files.

    A directory with images is a directory of frames, one clip, unless there is a video in it, more
    than one sound file, or any media file further down.
    """
    if not path.is_dir():
        return path.suffix.lower() in MANIFEST_SUFFIXES and path.is_file()
    return any(source != path for source in _Search().media(path))


def is_empty(path: Path) -> bool:
    """Whether a folder has neither media files nor images, in it or below."""
    return path.is_dir() and not _Search().media(path)


def find_sources(paths: Sequence[Path], options: ClipOptions) -> Found:
    """The sources of a job.

    Args:
        paths: media files, directories of frames, folders to be searched with all below them, and
            manifests (docs/datasets.md), whose lines say which text and which part of a file.
        options: of what is not in a manifest.

    Raises:
        MerEdgeError: a folder or manifest cannot be read, or there is nothing in all of them.
    """
    search = _Search()
    sources: dict[str, Source] = {}
    for path in paths:
        for source in _sources_of(path, options, search):
            sources.setdefault(source.key, source)
    if not sources:
        raise MerEdgeError(
            f"{', '.join(map(str, paths))}: found no media file; expected names that end in "
            f"{', '.join(MEDIA_SUFFIXES)}; name another folder, or the files themselves"
        )
    return Found(tuple(sources.values()), search.passed_over)


def _sources_of(path: Path, options: ClipOptions, search: _Search) -> Iterator[Source]:
    if path.is_dir():
        for media in search.media(path):
            yield file_source(media, options)
    elif path.suffix.lower() in MANIFEST_SUFFIXES and path.is_file():
        for number, sample in enumerate(read_manifest(path)):
            yield _sample_source(sample, number, path, options)
    else:
        yield file_source(path, options)


def file_source(path: Path, options: ClipOptions) -> Source:
    """A file or directory of frames; a frame rate is for directories, a decoder for videos."""
    if not path.is_dir():
        options = replace(options, frame_rate_hz=None)
    return Source(path, replace(options, hwaccel=_hwaccel(path, options)), _key(path))


def _hwaccel(path: Path, options: ClipOptions) -> str | None:
    return None if path.is_dir() or path.suffix.lower() in SOUND_SUFFIXES else options.hwaccel


def _sample_source(sample: Sample, number: int, manifest: Path, options: ClipOptions) -> Source:
    said = clip_options(sample)
    text = options.text if options.text.no_text or options.text.asr_model else said.text
    if sample.media is None:
        key = f"{_key(manifest)}#{number}#{sample.text}"
        return Source(manifest, replace(said, text=text), key, text_alone=sample.id)
    merged = replace(
        said,
        text=text,
        face=options.face,
        yunet=options.yunet,
        hwaccel=_hwaccel(sample.media, options),
        frame_rate_hz=said.frame_rate_hz or options.frame_rate_hz
        if sample.media.is_dir()
        else None,
    )
    part = f"#{sample.start_s}-{sample.end_s}#{sample.frames}#{sample.sound}"
    return Source(sample.media, merged, _key(sample.media) + part)


def _key(path: Path) -> str:
    # Not resolved: a link is a file of its own, which may point elsewhere tomorrow.
    return os.path.abspath(path)  # noqa: PTH100


class _Search:
    """Goes through folders; links to folders are followed, but never round in a circle."""

    def __init__(self) -> None:
        self.passed_over = 0

    def media(self, folder: Path, above: frozenset[str] = frozenset()) -> list[Path]:
        """Media files and directories of frames at and below ``folder``."""
        real = os.path.realpath(folder)
        if real in above:
            return []
        here = _Folder.read(folder)
        below = [path for child in here.folders for path in self.media(child, above | {real})]
        if here.images and not below and here.may_be_frames:
            return [folder]
        self.passed_over += here.images + here.others
        return [*here.media, *below]
