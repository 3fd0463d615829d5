"""What a media file really holds, found by reading its packets once without decoding them.

Durations in headers are promises: a truncated file breaks them and a damaged header can say
anything. The packets say where picture and sound begin and end, and reading them costs far less
than decoding (about 6 microseconds each).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from mer_edge.errors import MerEdgeError
from mer_edge.media.container import (
    READ_ERRORS,
    check_room,
    choose_stream,
    describe_streams,
    open_container,
)
from mer_edge.media.declared import header_duration_s
from mer_edge.media.mending import mend_stamps
from mer_edge.media.passed_over import PassedOver
from mer_edge.media.pieces import UNCHANGED, MendedStream, StampMend
from mer_edge.media.stamps import MAX_RUNS, StampLog

MIN_FRAME_SIDE_PX = 20
"""The smallest face the detectors can find; a smaller picture cannot hold one."""
DECLARING_FORMATS = frozenset({"mov", "matroska", "avi", "wav", "w64", "flac"})
"""Containers whose header says how long the media lasts (others are estimates of FFmpeg's)."""
DURATION_FORMATS = frozenset({"matroska", "flv"})
"""Containers of which FFmpeg tells the header's own duration, which is from time 0."""
STRICT_FORMATS = frozenset({"mpegts", "mpeg"})
"""Containers whose standard bounds how far the presentation of a frame is behind its decoding."""
MAX_DURATION_S = 24 * 3600.0
"""A day; longer is a damaged time stamp, after which a clip would be cut every half minute."""
MAX_CODEC_DELAY_S = 0.1
"""A stream that starts this little before 0 starts with its codec's priming, not with content."""


@dataclass(frozen=True)
class StreamSpan:
    """One stream of a container. Times are the container's own, in seconds."""

    index: int
    codec: str
    start_s: float
    end_s: float
    packets: int
    frame_s: float = 0.04
    """How long a video frame is shown at the stream's average rate."""
    pixel_aspect: float = 1.0
    """Width / height of one stored pixel (the sample aspect ratio)."""
    mend: StampMend = UNCHANGED
    """What its readers have to change of the packets' time stamps."""


@dataclass(frozen=True)
class Scan:
    """The streams to decode; at least one is not None."""

    video: StreamSpan | None
    audio: StreamSpan | None
    declares_duration: bool
    """Whether the container promises a length, which it then must deliver."""
    notes: tuple[str, ...] = ()
    has_subtitles: bool = True
    """Whether there is a stream of subtitles, of text or pictures."""

    @property
    def origin_s(self) -> float:
        """The container's time that is time 0 of the media: where its first stream starts."""
        start_s = min(span.start_s for span in self._spans)
        return 0.0 if -MAX_CODEC_DELAY_S < start_s < 0 else start_s

    @property
    def duration_s(self) -> float:
        return max(span.end_s for span in self._spans) - self.origin_s

    @property
    def _spans(self) -> list[StreamSpan]:
        return [span for span in (self.video, self.audio) if span is not None]


def allowed_shortfall_s(declared_s: float) -> float:
    """How much of a declared duration may be missing: 10 %, and a second at least."""
    return max(1.0, 0.1 * declared_s)


def scan_media(path: Path) -> Scan:
    """Read the packets of the picture and sound streams that a player would choose.

    Raises:
        MerEdgeError: not a media file, nothing to decode in it, nothing in its streams, a picture
            too small for a face, or less media than the container declares.
    """
    with open_container(path) as container:
        video, audio = choose_stream(container, "video"), choose_stream(container, "audio")
        if video is None and audio is None:
            raise MerEdgeError(
                f"{path}: no stream to decode; found {describe_streams(container)}; "
                "expected sound or a picture; convert the file with another tool"
            )
        if video is not None:
            _check_size(path, video)
        chosen = [stream for stream in (video, audio) if stream is not None]
        passed = PassedOver(container, video, _frame_s(video))
        logs = _read_logs(path, container, chosen, passed)
        extents, stamp_notes = _mended(container, chosen, logs)
        _check_contents(path, video, audio, extents)
        spans = {
            kind: _span(stream, extents[stream.index])
            for kind, stream in (("video", video), ("audio", audio))
            if stream is not None
        }
        declaring = not DECLARING_FORMATS.isdisjoint(container.format.name.split(","))
        notes = (*_notes(container, video, audio, spans), *stamp_notes)
        has_subtitles = len(container.streams.subtitles) > 0
        scan = Scan(spans.get("video"), spans.get("audio"), declaring, notes, has_subtitles)
        scan = replace(scan, notes=(*notes, *passed.notes(scan.origin_s)))
        _check_length(path, scan.duration_s)
        if declaring:
            _check_delivered(path, _declared_s(path, container), scan.origin_s, extents)
    return scan


def _declared_s(path: Path, container: Any) -> float:
    """The longest of what the header says and what FFmpeg makes of it; 0 without a word of it."""
    corrected_s: float = (container.duration or 0) / av.time_base
    return max(corrected_s, header_duration_s(path, container.format.name) or 0.0)


def _read_logs(
    path: Path, container: Any, chosen: Sequence[Any], passed: PassedOver
) -> dict[int, StampLog]:
    """By stream; of all streams, because a container's length is that of its longest one."""
    strict = container.format.name in STRICT_FORMATS
    logs = {
        stream.index: StampLog(
            float(stream.time_base or 0),
            _default_duration(stream),
            reorders=stream.type == "video",
            strict=strict,
        )
        for stream in container.streams
    }
    for stream in chosen:
        logs[stream.index].others = [logs[other.index] for other in chosen if other is not stream]
    try:
        for arrived, packet in enumerate(container.demux()):
            if packet.size:
                passed.add(packet)
            if packet.size and not getattr(packet, "is_discard", False):
                logs[packet.stream_index].add(packet, arrived)
            elif packet.size:
                logs[packet.stream_index].skip()
    except READ_ERRORS as error:
        check_room(error, str(path))
        # What was read until here counts; a file that is cut shows as too short.
    for log in logs.values():
        log.finish()
    if any(log.crowded for log in logs.values()):
        raise MerEdgeError(
            f"{path}: found time stamps that leap more than {MAX_RUNS} times; expected times that "
            "go on; they are damaged, copy or record the file again"
        )
    return logs


def _mended(
    container: Any, chosen: Sequence[Any], logs: dict[int, StampLog]
) -> tuple[dict[int, MendedStream], tuple[str, ...]]:
    """Every stream, those to be decoded with right time stamps, and what was wrong with them."""
    may_restart = bool(container.format.flags & av.format.Flags.ts_discont.value)
    known = not DURATION_FORMATS.isdisjoint(container.format.name.split(","))
    mending = mend_stamps(
        [logs[stream.index] for stream in chosen],
        may_restart=may_restart,
        declared_end_s=container.duration / av.time_base if known and container.duration else None,
    )
    for index in logs.keys() - {stream.index for stream in chosen}:
        logs[index].settle(lambda one, two: True)
        logs[index].believe()
    extents = {index: MendedStream(log) for index, log in logs.items()}
    extents |= {stream.index: m for stream, m in zip(chosen, mending.streams, strict=True)}
    origin_s = min((m.first * m.log.time_base_s for m in mending.streams if m.first), default=0.0)
    kinds = [stream.type for stream in chosen]
    return extents, mending.notes(kinds, origin_s)


def _default_duration(stream: Any) -> float:
    """One frame at the stream's average rate, in time bases; 0 where there is no rate."""
    rate = _frame_rate(stream)
    return float(1 / rate / stream.time_base) if rate and stream.time_base else 0.0


def _frame_rate(stream: Any) -> Fraction | None:
    """Frames per second as far as a video's container or FFmpeg knows."""
    return getattr(stream, "average_rate", None) or getattr(stream, "guessed_rate", None)


def _span(stream: Any, extent: MendedStream) -> StreamSpan | None:
    if not extent.log.packets or extent.first is None:
        return None
    # The stream's own start knows of edit lists and codec delay; the first packet does not.
    known = stream.start_time is not None and not extent.belies(stream.start_time)
    start = stream.start_time if known else extent.first
    unit_s = extent.log.time_base_s
    start_s, end_s = start * unit_s, max(extent.end, start) * unit_s
    name, frame_s = stream.codec_context.name, _frame_s(stream)
    packets, aspect = extent.log.packets, _pixel_aspect(stream)
    return StreamSpan(stream.index, name, start_s, end_s, packets, frame_s, aspect, extent.mend())


def _frame_s(stream: Any) -> float:
    rate = _frame_rate(stream)
    return float(1 / rate) if rate else StreamSpan.frame_s


def _pixel_aspect(stream: Any) -> float:
    if stream.type != "video":
        return 1.0
    return float(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)


def _check_size(path: Path, video: Any) -> None:
    width, height = video.codec_context.width, video.codec_context.height
    # 0 means that FFmpeg will know with the first frame.
    if width and height and min(width, height) < MIN_FRAME_SIDE_PX:
        raise MerEdgeError(
            f"{path}: found a video of {width} x {height} pixels; expected at least "
            f"{MIN_FRAME_SIDE_PX} x {MIN_FRAME_SIDE_PX}, the smallest face that can be found; "
            "use the original, or its sound alone"
        )


def _check_contents(path: Path, video: Any, audio: Any, extents: dict[int, MendedStream]) -> None:
    if video is not None and not extents[video.index].log.packets:
        raise MerEdgeError(
            f"{path}: found a video stream ({video.codec_context.name}) without a frame; "
            "expected frames; the file is truncated or empty, copy or record it again"
        )
    if video is None and not extents[audio.index].log.packets:
        raise MerEdgeError(
            f"{path}: found a sound stream ({audio.codec_context.name}) of length 0; "
            "expected samples; the file is truncated or empty, copy or record it again"
        )


def _notes(
    container: Any, video: Any, audio: Any, spans: dict[str, StreamSpan | None]
) -> tuple[str, ...]:
    notes = []
    if audio is not None and spans["audio"] is None:
        notes.append("The sound stream is empty, so there is no sound.")
    for kind, chosen in (("video", video), ("audio", audio)):
        if chosen is None and any(
            s.type == kind and s.codec_context is None for s in container.streams
        ):
            notes.append(f"The {kind} stream is left out: its codec has no decoder here.")
    return tuple(notes)


def _check_length(path: Path, duration_s: float) -> None:
    if duration_s > MAX_DURATION_S:
        raise MerEdgeError(
            f"{path}: found time stamps that reach over {duration_s / 3600:.0f} hours; expected "
            f"at most {MAX_DURATION_S / 3600:.0f}; they are damaged, or the recording is to be cut"
        )


def _check_delivered(
    path: Path, declared_s: float, origin_s: float, extents: dict[int, MendedStream]
) -> None:
    # Matroska declares the time of the end, others the length: a late start counts for both.
    end_s = max(extent.end * extent.log.time_base_s for extent in extents.values())
    delivered_s = end_s - min(origin_s, 0.0)
    if delivered_s < declared_s - allowed_shortfall_s(declared_s):
        raise MerEdgeError(
            f"{path}: found {delivered_s:.1f} s of media where its header declares "
            f"{declared_s:.1f} s; expected a complete file; it is truncated or damaged, "
            "copy it again"
        )
