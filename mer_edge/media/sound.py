"""Sound by time: 16 kHz mono samples of a range, from one pass over the audio stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.media.decode import DecodeCount, decode_stream
from mer_edge.media.scan import Scan, allowed_shortfall_s
from mer_edge.segments import SAMPLE_RATE_HZ

MAX_DRIFT_SAMPLES = 640
"""40 ms: sound may be this far from its time stamps before it is moved (a frame of video; the
time stamps of several containers jitter by less)."""
HELD_S = 0.25
"""Of a file resampled together: 12 frames of AAC at 48 kHz, for half the time of one by one."""
CLIPPED_SHARE_TO_NOTE = 0.01
CANCELLED_POWER = 0.01
"""Two channels cancel each other where their mix has less than this share (-20 dB) of the power of
the louder one, as with a microphone that is wired the wrong way round: R = -L."""
CANCELLED_NOTE = (
    "The two channels of the sound cancel each other (one is wired the wrong way round); where "
    "they do, the first was taken."
)


@dataclass(frozen=True, eq=False)
class Sound:
    """16 kHz mono samples of a time range."""

    samples: NDArray[np.float32]
    """shape = (samples,), in [-1, 1]; zeros where the stream has nothing."""
    covered: NDArray[np.bool_]
    """shape = (samples,): where the stream has sound, be it silence."""


@dataclass(frozen=True)
class Chunk:
    start: int
    """In samples of 16 kHz since the media's time 0."""
    samples: NDArray[np.float32]

    @property
    def end(self) -> int:
        return self.start + len(self.samples)


class SoundReader:
    """An audio stream as 16 kHz mono. Ranges are asked for in order; memory is that of a range."""

    def __init__(self, path: Path, scan: Scan) -> None:
        if scan.audio is None:
            raise ValueError(f"{path} has no audio stream")
        self._path = path
        self._codec = scan.audio.codec
        self._promised = scan.declares_duration
        self._end_s = scan.audio.end_s - scan.origin_s
        self._count = DecodeCount()
        self._frames = decode_stream(path, scan.audio.index, self._count, scan.audio.mend)
        self._cancelled = False
        self._chunks = self._resampled(scan.origin_s)
        self._kept: list[Chunk] = []
        self._position = 0
        self._ended = False
        self._clipped = 0
        self._decoded = 0

    def read(self, start_s: float, end_s: float) -> Sound:
        """The sound from ``start_s`` to ``end_s`` of the media; starts must not decrease.

        Raises:
            MerEdgeError: a sample is NaN or infinite, or the stream cannot be decoded.
        """
        start, end = round(start_s * SAMPLE_RATE_HZ), round(end_s * SAMPLE_RATE_HZ)
        self._kept = [chunk for chunk in self._kept if chunk.end > start]
        while self._position < end and not self._ended:
            self._pull(start)
        samples = np.zeros(max(0, end - start), np.float32)
        covered = np.zeros(len(samples), np.bool_)
        for chunk in self._kept:
            first, last = max(chunk.start, start), min(chunk.end, end)
            if first < last:
                samples[first - start : last - start] = chunk.samples[
                    first - chunk.start : last - chunk.start
                ]
                covered[first - start : last - start] = True
        return Sound(samples, covered)

    def notes(self) -> tuple[str, ...]:
        notes = list(self._count.note("audio"))
        if self._clipped > CLIPPED_SHARE_TO_NOTE * max(1, self._decoded):
            notes.append(
                f"{self._clipped / self._decoded:.0%} of the samples lie outside [-1, 1] and were "
                "clipped; the recording is too loud or its samples are not scaled."
            )
        if self._cancelled:
            notes.append(CANCELLED_NOTE)
        return tuple(notes)

    def check_damage(self) -> None:
        """Raise a MerEdgeError if most of what was read so far could not be decoded."""
        self._count.check(self._path, "audio", self._codec)

    def close(self) -> None:
        self._frames.close()

    def _pull(self, wanted: int) -> None:
        """Decode one chunk more, and keep it unless it ends before ``wanted``."""
        chunk = next(self._chunks, None)
        if chunk is None:
            self._ended = True
            self._check_decoded()
            return
        self._position = chunk.end
        self._decoded += len(chunk.samples)
        if chunk.end > wanted:
            self._kept.append(self._checked(chunk))

    def _checked(self, chunk: Chunk) -> Chunk:
        bad = np.flatnonzero(~np.isfinite(chunk.samples))
        if len(bad):
            raise MerEdgeError(
                f"{self._path}: the sound has a sample that is NaN or infinite at "
                f"{(chunk.start + bad[0]) / SAMPLE_RATE_HZ:.3f} s; expected finite samples in "
                "[-1, 1]; repair or export the recording again"
            )
        self._clipped += int(np.count_nonzero(np.abs(chunk.samples) > 1))
        return Chunk(chunk.start, np.clip(chunk.samples, -1, 1))

    def _check_decoded(self) -> None:
        """At the stream's end: whether what was decoded is what the packets promised."""
        if self._decoded == 0 and self._count.frames:
            raise MerEdgeError(
                f"{self._path}: found sound of {self._end_s * 1e3:.1g} ms, too short to resample; "
                "expected a word's length or more; record it again, or leave it out"
            )
        if self._decoded == 0:
            raise MerEdgeError(
                f"{self._path}: none of the {self._count.packets} packets of its sound stream "
                f"({self._codec}) could be decoded; expected samples; the file is damaged, "
                "copy it again"
            )
        decoded_s = self._position / SAMPLE_RATE_HZ
        if self._promised and decoded_s < self._end_s - allowed_shortfall_s(self._end_s):
            raise MerEdgeError(
                f"{self._path}: the sound decodes only until {decoded_s:.1f} s of "
                f"{self._end_s:.1f} s; expected a complete file; it is damaged, copy it again"
            )

    def _resampled(self, origin_s: float) -> Iterator[Chunk]:
        """Chunks of 16 kHz mono, each where its time stamp says.

        Samples are counted on from where a run of frames began, so that jitter of the time stamps
        makes no gaps; where the count and the stamps part (the stream starts late, has a hole or
        drifts), a new run begins.
        """
        run: Run | None = None
        for frame in self._frames:
            stamp = None if frame.time is None else round((frame.time - origin_s) * SAMPLE_RATE_HZ)
            if run is not None and not run.continues_with(frame, stamp):
                yield from run.finish()
                self._cancelled |= run.cancelled
                stamp = run.expected if stamp is None else stamp
                run = None
            if run is None:
                run = Run(frame, stamp or 0, HELD_S)
            yield from run.add(frame)
            self._cancelled |= run.cancelled
        if run is not None:
            yield from run.finish()
            self._cancelled |= run.cancelled


class Run:
    """Frames that follow each other without a gap, through one resampler.

    Args:
        frame: the first, which must be added too.
        start: where it begins, in samples of 16 kHz.
        held_s: so long frames are held to go through together. The samples are the same; together
            they cost less, live each is wanted at once.
    """

    def __init__(self, frame: Any, start: int, held_s: float = 0.0) -> None:
        self._held = av.AudioFifo()
        self._held_s = held_s
        self._kind = _kind(frame)
        self._channels = 1
        try:
            self._graph = _resampler(frame, mix=True)
        except (av.FFmpegError, ValueError):
            # FFmpeg mixes no layout that it has no name for, such as 9 channels of a mixer.
            self._graph = _resampler(frame, mix=False)
            self._channels = frame.layout.nb_channels
        self._start = start
        self._end = start
        self._frames_s = 0.0
        self.cancelled = False
        """Whether two channels cancelled each other somewhere; the louder one was taken there."""

    @property
    def expected(self) -> int:
        """Where the next frame belongs, in samples of 16 kHz."""
        return self._start + round(self._frames_s * SAMPLE_RATE_HZ)

    def continues_with(self, frame: Any, stamp: int | None) -> bool:
        near = stamp is None or abs(stamp - self.expected) <= MAX_DRIFT_SAMPLES
        return near and self.same_kind(frame)

    def same_kind(self, frame: Any) -> bool:
        """Whether a frame has the format, layout and rate of this run's."""
        return _kind(frame) == self._kind

    def add(self, frame: Any) -> Iterator[Chunk]:
        self._frames_s += frame.samples / frame.sample_rate
        frame.pts = None  # Time is kept here; a stamp that jitters must not reach the filter.
        self._held.write(frame)
        if self._held.samples >= self._held_s * frame.sample_rate:
            self._push_held()
            yield from self._pull()

    def finish(self) -> Iterator[Chunk]:
        self._push_held()
        self._graph.push(None)
        yield from self._pull()

    def _push_held(self) -> None:
        together = self._held.read()
        if together is not None:
            self.cancelled |= _take_one_of_two(together)
            self._graph.push(together)

    def _pull(self) -> Iterator[Chunk]:
        while True:
            try:
                values = self._graph.pull().to_ndarray().reshape(-1, self._channels)
            except (av.BlockingIOError, av.EOFError):
                return
            chunk = Chunk(self._end, values.mean(axis=1, dtype=np.float32))
            self._end = chunk.end
            yield chunk


def _take_one_of_two(frame: Any) -> bool:
    """Where the channels of a stereo frame cancel each other, put the first one in both.

    Those that do are about equally loud. It is always the first: one and the other in turn would
    turn the sound around from frame to frame.

    Returns:
        whether they do.
    """
    if frame.layout.nb_channels != 2:
        return False
    try:
        values = frame.to_ndarray()
    except ValueError:  # 64-bit integers, which NumPy is not given
        return False
    packed = len(values) == 1
    left, right = (values.reshape(-1, 2).T if packed else values).astype(np.float32)
    if values.dtype == np.uint8:
        left, right = left - 128, right - 128
    mixed = np.square((left + right) / 2).mean()
    if not mixed < CANCELLED_POWER * max(np.square(left).mean(), np.square(right).mean()):
        return False  # also where both are silent, or not numbers
    if packed:
        pairs = np.frombuffer(frame.planes[0], values.dtype, values.size).reshape(-1, 2)
        pairs[:, 1] = pairs[:, 0]
    else:
        np.frombuffer(frame.planes[1], values.dtype, values.shape[1])[:] = values[0]
    return True


def _kind(frame: Any) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _resampler(frame: Any, mix: bool) -> Any:
    """A filter graph that resamples frames like ``frame`` to 16 kHz float, and mixes them to mono.

    ``rematrix_maxval=1`` scales the mix so that full scale stays full scale: without it FFmpeg
    adds the channels of float sound up and a stereo voice would come out 3 dB louder than mono.
    """
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate,
        format=frame.format.name,
        layout=frame.layout.name,
        time_base=frame.time_base,
    )
    mixing = ":out_chlayout=mono:rematrix_maxval=1.0" if mix else ""
    resample = graph.add("aresample", f"{SAMPLE_RATE_HZ}:out_sample_fmt=flt{mixing}")
    sink = graph.add("abuffersink")
    source.link_to(resample)
    resample.link_to(sink)
    graph.configure()
    return graph
