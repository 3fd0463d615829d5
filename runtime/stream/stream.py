"""Stream: sound, pictures and text as they come, a decision at the end of every segment."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import ANYTHING
from mer_edge.faces.face import FaceDetector, rgb_frame
from mer_edge.media.hearing import hear
from mer_edge.media.sound import Chunk
from mer_edge.media.voice import VoiceListener
from mer_edge.result import Result
from mer_edge.segments import SAMPLE_RATE_HZ, SEGMENT_HOP_SAMPLES, SEGMENT_S
from runtime.chain import Stopwatch
from runtime.recognizer import Recognizer
from runtime.results import build_results
from runtime.stream.arrays import audio_frame, check_time
from runtime.stream.counts import StreamCounts
from runtime.stream.faces import FaceChooser
from runtime.stream.grid import PATIENCE_S, Grid
from runtime.stream.pictures import MiddlePicker, Picture, Pixels
from runtime.stream.sound import SoundRuns
from runtime.stream.texts import TextTimeline
from runtime.stream.transcriber import Transcriber
from runtime.stream.window import Window

UNKNOWN_FRAME_S = 1 / 25
"""How long a frame is shown that nobody says it of."""


class Stream:
    """A decision on the last ``window_segments`` segments whenever one of 0.96 s is at its end.

    Not thread-safe: one thread gives and takes. A segment's text-independent part is computed once,
    its features once per text, the text once when it changes. The first decisions are on as many
    segments as there are.

    Args:
        recognizer: the loaded bundle; None for the built-in starter.
        window_segments: N, at most what the bundle takes of a clip.
        text: what is said from the beginning on.
        face: whose face, 1 for the main person of the window.
        detector: finds the faces; None takes the recognizer's default one.
        source: a name for results and messages.
        expects: which of ``audio`` and ``visual`` will be given; None for what the bundle uses.
        transcriber: gives the text from the sound; then ``text`` must be None.
        patience_s: how far sound or pictures may fall behind the other before a decision is made
            without them.

    Raises:
        MerEdgeError: the window is longer than the bundle takes, nothing that the bundle uses will
            be given, or text is given to a bundle that makes no use of it.
    """

    def __init__(
        self,
        recognizer: Recognizer | None = None,
        window_segments: int = 5,
        *,
        text: str | None = None,
        face: int = 1,
        detector: FaceDetector | None = None,
        source: str = "stream",
        expects: Collection[str] | None = None,
        transcriber: Transcriber | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        recognizer = recognizer or Recognizer()
        self._manifest = recognizer.bundle.manifest
        self._source = source
        _check_window(recognizer, window_segments)
        encoders = recognizer.chain.encoders
        wanted = [name for name in encoders if expects is None or name in expects]
        if not wanted:
            raise MerEdgeError(
                f"{source}: found neither sound nor pictures that {self._manifest.variant} uses; "
                f"expected {' or '.join(encoders) or 'a bundle with an encoder'}; choose another "
                "source or bundle"
            )
        chooser = None
        if "visual" in wanted:
            chooser = FaceChooser(detector or recognizer.detector(), face, self._manifest.evidence)
        elif face != 1:
            raise MerEdgeError(
                f"{source}: found --face {face} where no faces are looked at; expected it for a "
                "source with pictures and a bundle that uses them; leave it out"
            )
        ranges = self._manifest.shape_ranges
        most = ranges["segments"].maximum
        evidence = self._manifest.evidence or ANYTHING
        listens = evidence.voice and "audio" in wanted
        self._listener = VoiceListener() if listens else None
        self._window = Window(recognizer.chain, window_segments, chooser, most)
        if transcriber is not None and "audio" not in wanted:
            wanted.append("audio")
        self._grid = Grid(wanted, patience_s)
        self._wanted = wanted
        self.counts = StreamCounts()
        """What happened so far."""
        self._runs = SoundRuns(self.counts)
        self._picker: MiddlePicker[Picture] = MiddlePicker()
        self._texts = TextTimeline()
        self._transcriber = transcriber
        self._told = StreamCounts()
        self._arrived: float | None = None
        if text is not None:
            self.set_text(text, 0.0)

    @property
    def expects(self) -> tuple[str, ...]:
        """Which of ``audio`` and ``visual`` a segment waits for."""
        return tuple(self._wanted)

    @property
    def time_s(self) -> float:
        """Where the segment that comes begins."""
        return self._grid.next * SEGMENT_S

    def add_audio(
        self, samples: NDArray[Any], rate_hz: int, at_s: float | None = None, layout: str = ""
    ) -> None:
        """Sound of any rate, resampled and mixed as a file's is.

        Args:
            samples: shape = (samples,) or (channels, samples); floats in [-1, 1], or int16, int32.
            at_s: when the first sample is heard; None follows what came before.
            layout: FFmpeg's name, such as ``5.1``; empty for mono, stereo, or channels that are
                mixed with equal weights.

        Raises:
            MerEdgeError: not such an array, no such rate or layout, or a time that is none of the
                stream's.
        """
        if at_s is not None:
            check_time("at_s", at_s, self.time_s)
        frame = audio_frame(samples, rate_hz, layout)
        for chunk in self._runs.add(frame, at_s):
            self.add_chunk(chunk)

    def add_frame(self, rgb: NDArray[np.uint8], at_s: float) -> None:
        """A picture that is shown from ``at_s`` until the next one; kept, not copied.

        Args:
            rgb: shape = (height, width, 3), upright, square pixels.

        Raises:
            MerEdgeError: not such an array, or a time that is none of the stream's.
        """
        check_time("at_s", at_s, self.time_s)
        picture = Pixels(rgb_frame(rgb))
        for segment, known in self._picker.add(picture, at_s, UNKNOWN_FRAME_S):
            self.add_picture(segment, known)
        self.saw_pictures(self._picker.seen_until_s)

    def set_text(self, text: str | None, from_s: float | None = None) -> None:
        """What is said from a time on, until another text; None for nothing known.

        A window has the newest text that began before its end.

        Args:
            from_s: None is from the segment that comes on.

        Raises:
            MerEdgeError: no words in it, no time, or the bundle makes no use of text.
        """
        if text is not None and "text" not in self._manifest.graphs:
            raise MerEdgeError(
                f"{self._source}: a text was given, but {self._manifest.variant} makes no use of "
                "text; leave it out, or take a bundle that does"
            )
        from_s = self.time_s if from_s is None else from_s
        check_time("from_s", from_s, math.inf)
        self._texts.set(text, from_s)

    def add_chunk(self, chunk: Chunk, arrived_s: float | None = None) -> None:
        """Sound that is 16 kHz mono already and knows its place.

        Args:
            arrived_s: when it came, by ``time.perf_counter``; None is now.
        """
        self._grid.add_sound(chunk)
        self._arrived = time.perf_counter() if arrived_s is None else arrived_s
        self.counts.broken_samples = self._grid.track.broken

    def add_picture(self, segment: int, picture: Picture | None) -> None:
        """The picture of a segment's middle, or that there is none."""
        self._grid.add_picture(segment, picture)

    def saw_pictures(self, until_s: float) -> None:
        """Frames have come until ``until_s``, looked at or not."""
        self._grid.saw_pictures(until_s)
        if "audio" not in self._wanted:
            self._arrived = time.perf_counter()

    def results(self) -> Iterator[Result]:
        """The decisions that are due, oldest first.

        Raises:
            MerEdgeError: the engine failed.
        """
        while self._grid.due:
            yield self._close(SEGMENT_HOP_SAMPLES)

    def work_ahead(self) -> bool:
        """Compute what the next decision needs and is here already; whether there was any.

        For idle moments: what is done here is not left to do when a segment ends.

        Raises:
            MerEdgeError: the engine failed.
        """
        tail = self._grid.tail()
        if tail is not None and self._window.last is not None:
            self._window.last.complete(tail.samples)
        looks = self._grid.picture_is_known and not self._window.coming.looked
        if looks:
            self._window.look(self._grid.picture())
        return self._window.work_ahead(self._text_at(self.time_s + SEGMENT_S)) or looks

    def finish(self, end_s: float | None = None) -> Iterator[Result]:
        """The stream is at its end: the decisions that are left.

        A last part of half a segment or more is a segment, as for a file; so is any part if there
        was no decision yet.

        Args:
            end_s: where the stream ends; None is where its sound or its pictures end.
        """
        for chunk in self._runs.finish():
            self.add_chunk(chunk)
        if end_s is None:
            end_s = max(self._grid.track.position / SAMPLE_RATE_HZ, self._picker.seen_until_s)
        while self.time_s + SEGMENT_S <= end_s + 1e-9:
            yield self._close(SEGMENT_HOP_SAMPLES)
        left = round((end_s - self.time_s) * SAMPLE_RATE_HZ)
        if left >= SEGMENT_HOP_SAMPLES / 2 or (left > 0 and not self.counts.decisions):
            yield self._close(left)

    def restart(self, at_s: float) -> None:
        """Go on after a gap, with the first whole segment from ``at_s`` on and an empty window."""
        segment = max(self._grid.next, int(np.ceil(at_s / SEGMENT_S - 1e-9)))
        self.counts.gap_s += (segment - self._grid.next) * SEGMENT_S
        self._runs.finish()
        self._picker.restart(segment)
        self._grid.restart(segment)
        self._window.restart(segment)
        if self._listener is not None:
            self._listener.restart()

    def _close(self, samples: int) -> Result:
        """The coming segment is at its end, ``samples`` long."""
        due, window = time.perf_counter(), self._window
        if not window.coming.looked:
            window.look(self._picture())
        sound = self._grid.take(samples)
        heard = hear(sound, 1, self._listener)
        window.close(sound.samples, bool(heard.present[0]))
        end_s = self.time_s - (SEGMENT_HOP_SAMPLES - samples) / SAMPLE_RATE_HZ
        if self._transcriber is not None:
            self._texts.set(self._transcriber.text_of(window.sound()), 0.0)
        output, clip = window.decide(self._text_at(end_s))
        self.counts.decisions += 1
        timings = {"media": 0.0, **window.watch.timings_ms}
        timings["total"] = sum(timings.values())
        timings["latency"] = (time.perf_counter() - (self._arrived or due)) * 1e3
        window.watch = Stopwatch()
        clip = replace(clip, source=self._source, end_s=end_s, notes=self._notes(clip))
        return build_results([clip], output, self._manifest, timings)[0]

    def _picture(self) -> Picture | None:
        """Of the coming segment: what is known, or the frame that still stands."""
        if not self._grid.picture_is_known:
            for segment, picture in self._picker.settle(self._grid.next):
                self._grid.settle_picture(segment, picture)
        return self._grid.picture()

    def _text_at(self, end_s: float) -> str | None:
        return self._texts.at(end_s) if "text" in self._manifest.graphs else None

    def _notes(self, clip: Clip) -> tuple[str, ...]:
        """What has happened since the last decision."""
        news = self.counts.news_since(self._told)
        self._told = replace(self.counts)
        return tuple(news)


def _check_window(recognizer: Recognizer, segments: int) -> None:
    ranges = recognizer.bundle.manifest.shape_ranges
    allowed = ranges.get("clip_segments", ranges.get("segments"))
    most = allowed.maximum if allowed else 1
    if not 1 <= segments <= most:
        raise MerEdgeError(
            f"found a window of {segments} segments; expected 1 to {most}, which the bundle takes "
            "of a clip"
        )
