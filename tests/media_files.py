"""Media files for tests, written with PyAV: every value in them follows from the time."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

TONE_HZ = 440.0
LEVEL_STEP = 8
"""Grey levels between consecutive frames of :func:`numbered`: more than a codec's error."""
QUADRANTS = {"top left": (220, 30, 30), "top right": (30, 200, 30), "bottom left": (40, 40, 220)}
"""Colours of :func:`quadrants`; the bottom right is grey."""


def numbered(number: int, time_s: float, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frame ``number`` as a grey level: 20, 28, 36, ... (28 frames, then again)."""
    return np.full((size[1], size[0], 3), level_of(number), np.uint8)


def level_of(number: int) -> int:
    return 20 + LEVEL_STEP * (number % 28)


def number_of(pixels: NDArray[np.uint8]) -> int:
    """Which frame of :func:`numbered` this is, after a codec."""
    return round((float(pixels.mean()) - 20) / LEVEL_STEP)


def quadrants(number: int, time_s: float, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Red top left, green top right, blue bottom left, grey bottom right."""
    width, height = size
    pixels = np.full((height, width, 3), 128, np.uint8)
    pixels[: height // 2, : width // 2] = QUADRANTS["top left"]
    pixels[: height // 2, width // 2 :] = QUADRANTS["top right"]
    pixels[height // 2 :, : width // 2] = QUADRANTS["bottom left"]
    return pixels


def tone(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """440 Hz at half of full scale."""
    return 0.5 * np.sin(2 * np.pi * TONE_HZ * times_s)


@dataclass(frozen=True)
class Picture:
    """A video stream to write."""

    codec: str = "libx264"
    size: tuple[int, int] = (160, 120)
    frames: int = 25
    rate_hz: float = 25.0
    times_s: Sequence[float] | None = None
    """When each frame is shown (variable frame rate); None is ``rate_hz`` from ``start_s``."""
    start_s: float = 0.0
    draw: Callable[[int, float, tuple[int, int]], NDArray[np.uint8]] = numbered
    pixel_aspect: Fraction | None = None
    pixel_format: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    def shown_s(self) -> list[float]:
        if self.times_s is not None:
            return [self.start_s + time_s for time_s in self.times_s]
        return [self.start_s + i / self.rate_hz for i in range(self.frames)]


@dataclass(frozen=True)
class Voice:
    """An audio stream to write."""

    codec: str = "aac"
    rate_hz: int = 48_000
    layout: str = "mono"
    duration_s: float = 1.0
    start_s: float = 0.0
    wave: Callable[[NDArray[np.float64]], NDArray[np.float64]] = tone
    """Sample values at times since ``start_s``: shape (n,) for all channels, or (channels, n)."""


def write_media(
    path: Path,
    picture: Picture | None = None,
    voice: Voice | None = None,
    *,
    cues: Sequence[tuple[float, float, str]] = (),
    options: dict[str, str] | None = None,
) -> Path:
    """Write a media file; the extension chooses the container. Returns ``path``."""
    with av.open(str(path), "w", options=options or {}) as container:
        packets: list[Any] = []
        writers = []
        if picture is not None:
            writers.append(_picture_packets(container, picture))
        if voice is not None:
            writers.append(_voice_packets(container, voice))
        for writer in writers:
            next(writer)  # Every stream exists before the first packet is written.
        if cues:
            packets += _cue_packets(container, cues)
        for writer in writers:
            packets += list(writer)
        packets.sort(key=lambda packet: float(packet.dts * packet.time_base))
        container.mux(packets)
    return path


def _picture_packets(container: Any, picture: Picture) -> Iterator[Any]:
    rate = Fraction(picture.rate_hz).limit_denominator(1001)
    stream = container.add_stream(picture.codec, rate=rate)
    stream.width, stream.height = picture.size
    stream.pix_fmt = picture.pixel_format or stream.codec_context.codec.video_formats[0].name
    if stream.pix_fmt not in ("yuv420p", "yuvj420p") and picture.pixel_format is None:
        names = [format_.name for format_ in stream.codec_context.codec.video_formats]
        stream.pix_fmt = next(n for n in ("yuv420p", "yuvj420p", *names) if n in names)
    if picture.pixel_aspect is not None:
        stream.codec_context.sample_aspect_ratio = picture.pixel_aspect
    stream.codec_context.options = {
        **({"preset": "ultrafast"} if picture.codec == "libx264" else {}),
        **({"deadline": "realtime", "cpu-used": "8"} if "vpx" in picture.codec else {}),
        **picture.options,
    }
    if picture.times_s is not None:
        stream.codec_context.time_base = Fraction(1, 1000)
    base = stream.codec_context.time_base or 1 / rate
    yield None
    for number, time_s in enumerate(picture.shown_s()):
        pixels = picture.draw(number, time_s, picture.size)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.time_base = base
        frame.pts = round(time_s / base)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _voice_packets(container: Any, voice: Voice) -> Iterator[Any]:
    stream = container.add_stream(voice.codec, rate=voice.rate_hz, layout=voice.layout)
    yield None
    count = round(voice.duration_s * voice.rate_hz)
    channels = av.AudioLayout(voice.layout).nb_channels
    values = voice.wave(np.arange(count) / voice.rate_hz)
    values = np.broadcast_to(values, (channels, count)).astype(np.float32)
    for frame in _voice_frames(stream, voice, values):
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _voice_frames(stream: Any, voice: Voice, values: NDArray[np.float32]) -> Iterator[Any]:
    format_ = stream.codec_context.format.name
    resampler = av.AudioResampler(format=format_, layout=voice.layout, rate=voice.rate_hz)
    fifo_size = stream.codec_context.frame_size or 1024
    for start in range(0, values.shape[1], fifo_size):
        block = np.ascontiguousarray(values[:, start : start + fifo_size])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=voice.layout)
        frame.sample_rate = voice.rate_hz
        frame.time_base = Fraction(1, voice.rate_hz)
        frame.pts = round(voice.start_s * voice.rate_hz) + start
        yield from [frame] if format_ == "fltp" else resampler.resample(frame)


def _cue_packets(container: Any, cues: Sequence[tuple[float, float, str]]) -> list[Any]:
    """Subtitles as SubRip packets, copied from a SubRip file in memory."""
    lines = [
        f"{i}\n{_clock(start_s)} --> {_clock(end_s)}\n{text}\n"
        for i, (start_s, end_s, text) in enumerate(cues, 1)
    ]
    with av.open(io.BytesIO("\n".join(lines).encode()), format="srt") as subtitles:
        stream = container.add_stream_from_template(subtitles.streams[0])
        packets = [packet for packet in subtitles.demux() if packet.size]
    for packet in packets:
        packet.stream = stream
    return packets


def _clock(seconds: float) -> str:
    minutes, ms = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d},{ms % 1000:03d}"


def set_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write the 2 x 2 part of the matrix into every track header of an mp4 or mov."""
    data = bytearray(path.read_bytes())
    position = data.find(b"tkhd")
    while position >= 0:
        matrix = position + 4 + (52 if data[position + 4] == 1 else 40)
        assert struct.unpack(">9i", data[matrix : matrix + 36])[8] == 1 << 30
        values = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
        data[matrix : matrix + 36] = struct.pack(">9i", *values)
        position = data.find(b"tkhd", position + 4)
    path.write_bytes(data)


ROTATIONS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""Display matrices (a, b, c, d) that turn the stored picture clockwise by so many degrees."""


def declare_duration(path: Path, seconds: float) -> None:
    """Make the movie header of an mp4 or mov promise another duration."""
    data = bytearray(path.read_bytes())
    for box, skip in ((b"mvhd", 12), (b"mdhd", 12)):
        position = data.find(box)
        while position >= 0:
            assert data[position + 4] == 0, "only version 0 boxes"
            start = position + 4 + skip
            (scale,) = struct.unpack(">I", data[start : start + 4])
            data[start + 4 : start + 8] = struct.pack(">I", round(seconds * scale))
            position = data.find(box, position + 4)
    path.write_bytes(data)


def damage(path: Path, start_share: float, end_share: float, seed: int = 0) -> None:
    """Overwrite a part of the media data with noise; headers at both ends stay."""
    data = bytearray(path.read_bytes())
    start, end = int(start_share * len(data)), int(end_share * len(data))
    noise = np.random.default_rng(seed).integers(0, 256, end - start, dtype=np.uint8)
    data[start:end] = noise.tobytes()
    path.write_bytes(data)
