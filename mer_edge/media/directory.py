"""A directory of numbered frames, with one sound file inside or none."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.media.frames import TIME_TOLERANCE_S, Picture
from mer_edge.media.scan import MIN_FRAME_SIDE_PX

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
SOUND_SUFFIXES = (".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".wma")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEFAULT_FRAME_RATE_HZ = 25.0


def list_frames(directory: Path, pattern: str = "") -> list[Path]:
    """The images of a directory in natural order (``frame_2`` before ``frame_10``).

    Args:
        pattern: of their names, as in a shell; "" takes every image.

    Raises:
        MerEdgeError: there is none.
    """
    frames = _files(directory, IMAGE_SUFFIXES)
    if pattern:
        frames = [frame for frame in frames if fnmatch(frame.name, pattern)]
    if not frames and pattern:
        raise MerEdgeError(
            f"{directory}: found no image named {pattern}; expected the frames of the clip there"
        )
    if not frames:
        raise MerEdgeError(
            f"{directory}: found a directory without images; expected frames "
            f"({', '.join(IMAGE_SUFFIXES)}); name a media file or a directory of frames"
        )
    return frames


def find_sound(directory: Path, name: str = "") -> Path | None:
    """The one sound file of a directory, or None; with ``name`` the one of that name.

    Raises:
        MerEdgeError: there are several, or none of that name.
    """
    if name:
        if not (directory / name).is_file():
            raise MerEdgeError(
                f"{directory}: found no file {name}; expected the clip's sound there"
            )
        return directory / name
    sounds = _files(directory, SOUND_SUFFIXES)
    if len(sounds) > 1:
        raise MerEdgeError(
            f"{directory}: found {len(sounds)} sound files ({sounds[0].name}, {sounds[1].name}"
            f"{', ...' if len(sounds) > 2 else ''}); expected one at most; move the others away"
        )
    return sounds[0] if sounds else None


def _files(directory: Path, suffixes: tuple[str, ...]) -> list[Path]:
    try:
        entries = list(directory.iterdir())
    except PermissionError as error:
        raise MerEdgeError(
            f"{directory}: found a directory that may not be read (permission denied); "
            f"expected a directory of frames; run: chmod +rx '{directory}'"
        ) from error
    found = [
        path
        for path in entries
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    ]
    return sorted(found, key=lambda path: natural_key(path.name))


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts digits by their value: ``a2 < a10``.

    >>> sorted(["a10.jpg", "a2.jpg", "a1.jpg"], key=natural_key)
    ['a1.jpg', 'a2.jpg', 'a10.jpg']
    """
    # [0-9] rather than \d: int() does not read every Unicode digit.
    parts = re.split(r"([0-9]+)", name.casefold())
    key = [(0, int(part), "") if i % 2 else (1, 0, part) for i, part in enumerate(parts)]
    return key, name


def check_frame_rate(frame_rate_hz: float) -> None:
    if not (math.isfinite(frame_rate_hz) and 0 < frame_rate_hz <= 1000):
        raise MerEdgeError(
            f"found a frame rate of {frame_rate_hz:g} Hz; expected more than 0 and at most 1000; "
            "give --frame-rate the frames per second of the directory"
        )


class ImageFrames:
    """Images shown one after the other at a constant rate; only those asked for are read."""

    def __init__(self, images: list[Path], frame_rate_hz: float) -> None:
        self._images = images
        self._frame_rate_hz = frame_rate_hz
        self._first: tuple[Path, tuple[int, int]] | None = None
        self._picture: Picture | None = None

    def picture_at(self, time_s: float) -> Picture | None:
        number = math.floor((time_s + TIME_TOLERANCE_S) * self._frame_rate_hz)
        if not 0 <= number < len(self._images):
            return None
        if self._picture is None or self._picture.key != number:
            self._picture = self._read(number)
        return self._picture

    def pictures_at(self, times_s: Sequence[float]) -> Iterator[Picture | None]:
        for time_s in times_s:
            yield self.picture_at(time_s)

    def notes(self) -> tuple[str, ...]:
        return ()

    def check_damage(self) -> None:
        """Every image that is read is whole: a damaged one raises when it is read."""

    def close(self) -> None:
        self._picture = None

    def _read(self, number: int) -> Picture:
        path = self._images[number]
        pixels = _read_image(path)
        height, width = pixels.shape[:2]
        if self._first is None:
            self._first = path, (width, height)
        first, size = self._first
        if size != (width, height):
            raise MerEdgeError(
                f"{path}: found an image of {width} x {height} pixels beside {first.name} of "
                f"{size[0]} x {size[1]}; expected frames of one size; name the directory of one "
                "video's frames"
            )
        if min(size) < MIN_FRAME_SIDE_PX:
            raise MerEdgeError(
                f"{path}: found an image of {width} x {height} pixels; expected at least "
                f"{MIN_FRAME_SIDE_PX} x {MIN_FRAME_SIDE_PX}, the smallest face that can be found"
            )
        return Picture(number, pixels)


def _read_image(path: Path) -> NDArray[np.uint8]:
    """RGB uint8 (height, width, 3), turned as its EXIF orientation says (OpenCV applies it)."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise MerEdgeError(f"{path}: the image cannot be read: {error.strerror}") from error
    level = _set_opencv_log_level(0)  # Its log would stand beside the one error line of ours.
    try:
        whole = len(data) > 0 and not _is_broken_png(data.tobytes())
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if whole else None
    except (cv2.error, MemoryError) as error:  # a size that nobody takes pictures of
        raise MerEdgeError(
            f"{path}: found an image whose size OpenCV does not read; expected frames of a video; "
            "scale it down or remove it"
        ) from error
    finally:
        _set_opencv_log_level(level)
    if image is None:
        raise MerEdgeError(
            f"{path}: found {len(data)} bytes that are not an image; expected a frame as jpg, "
            "png, webp or bmp; copy it again or remove it"
        )
    pixels: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return pixels


def _is_broken_png(data: bytes) -> bool:
    """Whether this is a PNG that ends early or has a changed byte.

    libpng finds that too, but prints it on stderr, where nothing of OpenCV keeps it from.
    """
    if not data.startswith(PNG_SIGNATURE):
        return False
    start, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        size, kind = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        end = start + 12 + size
        if end > len(data):
            return True
        if zlib.crc32(data[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return True
        start = end
    return False


def _set_opencv_log_level(level: int) -> int:
    """Returns the level until now; OpenCV 5 has moved the function. 0 is silent."""
    module = cv2.utils.logging if hasattr(cv2.utils, "logging") else cv2
    return int(module.setLogLevel(level))
