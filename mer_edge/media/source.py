"""Media: pictures and sound of a file or a directory of frames, on one clock that starts at 0."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.media.directory import (
    DEFAULT_FRAME_RATE_HZ,
    ImageFrames,
    check_frame_rate,
    find_sound,
    list_frames,
)
from mer_edge.media.frames import FrameSource, VideoFrames
from mer_edge.media.scan import scan_media
from mer_edge.media.sound import SoundReader


@dataclass(frozen=True)
class Media:
    """An opened source. Readers go forward only: one pass over the file, bounded memory."""

    path: Path
    duration_s: float
    frames: FrameSource | None
    sound: SoundReader | None
    opening_notes: tuple[str, ...] = ()
    has_subtitles: bool = False

    def notes(self) -> tuple[str, ...]:
        """What the user should know of the source as far as it was read."""
        return (*self.opening_notes, *(note for reader in self._readers for note in reader.notes()))

    def check_damage(self) -> None:
        """Raise a MerEdgeError if most of what was read so far could not be decoded."""
        for reader in self._readers:
            reader.check_damage()

    def close(self) -> None:
        for reader in self._readers:
            reader.close()

    @property
    def _readers(self) -> list[FrameSource | SoundReader]:
        return [reader for reader in (self.frames, self.sound) if reader is not None]


@contextmanager
def open_media(
    path: Path,
    frame_rate_hz: float | None = None,
    frames: str = "",
    sound: str = "",
    hwaccel: str | None = None,
) -> Iterator[Media]:
    """Open a media file or a directory of frames, and close it afterwards.

    Args:
        path: the file or directory.
        frame_rate_hz: of a directory of frames; None spreads the frames over the sound's
            duration, or shows 25 a second where there is no sound.
        frames: a pattern for the names of a directory's frames; "" takes every image.
        sound: the name of a directory's sound file; "" takes the only one.
        hwaccel: decode a file's video on this kind of device (``mer_edge.media.hardware``).

    Raises:
        MerEdgeError: whatever keeps the source from being read, named with what to do.
    """
    if frame_rate_hz is not None:
        check_frame_rate(frame_rate_hz)
    if path.is_dir():
        if hwaccel is not None:
            raise MerEdgeError(
                f"{path}: found --hwaccel {hwaccel} for a directory of frames; expected a video; "
                "leave --hwaccel out"
            )
        media = _open_directory(path, frame_rate_hz, frames, sound)
    elif frame_rate_hz is not None and path.is_file():
        raise MerEdgeError(
            f"{path}: found a frame rate of {frame_rate_hz:g} Hz for a file; expected it only for "
            "a directory of frames, a file has its own; leave --frame-rate out"
        )
    elif (frames or sound) and path.is_file():
        raise MerEdgeError(
            f"{path}: found a file where '{frames or sound}' was to be taken from a directory; "
            "expected a directory of frames; name the directory, or leave frames and sound out"
        )
    else:
        media = _open_file(path, hwaccel)
    with closing(media):
        yield media


def _open_file(path: Path, hwaccel: str | None) -> Media:
    scan = scan_media(path)
    if hwaccel is not None and scan.video is None:
        raise MerEdgeError(
            f"{path}: found --hwaccel {hwaccel} for a file without a picture; expected a video; "
            "leave --hwaccel out"
        )
    frames = VideoFrames(path, scan, hwaccel) if scan.video else None
    sound = SoundReader(path, scan) if scan.audio else None
    return Media(path, scan.duration_s, frames, sound, scan.notes, scan.has_subtitles)


def _open_directory(path: Path, frame_rate_hz: float | None, frames: str, sound: str) -> Media:
    images, sound_path = list_frames(path, frames), find_sound(path, sound)
    scan = scan_media(sound_path) if sound_path else None
    if scan is not None and (scan.audio is None or scan.video is not None):
        raise MerEdgeError(
            f"{sound_path}: expected a sound file beside the frames; found "
            f"{'a video' if scan.video else 'no sound'} in it; move it away"
        )
    notes: tuple[str, ...] = ()
    if frame_rate_hz is None and scan is not None:
        frame_rate_hz = len(images) / scan.duration_s
        notes = (f"The {len(images)} frames are spread over the sound: {frame_rate_hz:.4g} Hz.",)
    elif frame_rate_hz is None:
        frame_rate_hz = DEFAULT_FRAME_RATE_HZ
        notes = (f"The frame rate is not known; {frame_rate_hz:g} Hz was assumed.",)
    duration_s = max(len(images) / frame_rate_hz, scan.duration_s if scan else 0.0)
    reader = SoundReader(sound_path, scan) if scan and sound_path else None
    return Media(path, duration_s, ImageFrames(images, frame_rate_hz), reader, notes)
