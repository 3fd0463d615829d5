"""From a source to decisions: a thread that reads it, and this one that decides."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mer_edge.clips import ClipOptions
from mer_edge.errors import MerEdgeError
from mer_edge.faces.face import FaceDetector
from mer_edge.left_behind import leave_behind
from mer_edge.result import Result
from runtime.defects import defect
from runtime.recognizer import Recognizer
from runtime.stream.counts import StreamCounts
from runtime.stream.files import FileReader
from runtime.stream.given_texts import given_texts
from runtime.stream.grid import PATIENCE_S
from runtime.stream.inbox import (
    BackItem,
    Closed,
    EndItem,
    GapItem,
    Inbox,
    Item,
    PictureItem,
    SeenItem,
    SoundItem,
)
from runtime.stream.live import LiveReader
from runtime.stream.source import Source
from runtime.stream.stream import Stream
from runtime.stream.transcriber import Transcriber

WAIT_S = 0.2
"""How long to wait for the source before looking whether anybody interrupts."""
RECORDING_PATIENCE_S = 10.0
"""In a recording, sound and pictures may lie far apart; nothing is gained by not waiting."""
ATTEMPTS = 5
"""The usual number to open a lost source again."""
CLOSE_WAIT_S = 0.5
"""How long the reader gets to close its source. One that still waits for it is left behind: whoever
ended the stream shall not wait, too."""


@dataclass(frozen=True)
class SessionOptions:
    """How a source is read and decided on."""

    clip: ClipOptions = field(default_factory=ClipOptions)
    """Text, face and detector, as for files."""
    window_segments: int = 5
    reconnect: float | None = None
    """Attempts in a row to open a lost source again, ``math.inf`` for ever; None is the usual
    number where a source can come back."""
    realtime: bool = False
    """Let a file arrive as slowly as it was recorded; what comes too fast is dropped."""


class Reader(Protocol):
    """What a session reads from."""

    @property
    def expects(self) -> set[str]: ...

    @property
    def may_have_subtitles(self) -> bool: ...

    @property
    def is_recording(self) -> bool: ...

    def read(self, inbox: Inbox, counts: StreamCounts) -> None: ...

    def close(self) -> None: ...


class Session:
    """Decisions on a source until it ends; a context manager.

    Args:
        detector: finds the faces; None takes the recognizer's for ``options``.

    Raises:
        MerEdgeError: the source cannot be opened, or an option does not fit it or the bundle.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        source: Source,
        options: SessionOptions = SessionOptions(),
        *,
        detector: FaceDetector | None = None,
    ) -> None:
        self._source = source
        manifest = recognizer.bundle.manifest
        _check_options(source, options, recognizer)
        asr_model = options.clip.text.asr_model
        wanted = tuple(name for name in ("audio", "visual") if name in manifest.graphs)
        self.reader, lossless = _open_reader(source, options, wanted)
        _check_uses(source, options, self.reader)
        self._transcriber = None
        if asr_model is not None:
            self._transcriber = Transcriber(asr_model, waits=lossless)
        self.stream = Stream(
            recognizer,
            options.window_segments,
            face=options.clip.face,
            detector=detector or recognizer.detector(options.clip.yunet),
            source=source.name,
            expects=self.reader.expects,
            transcriber=self._transcriber,
            patience_s=RECORDING_PATIENCE_S if lossless else PATIENCE_S,
        )
        if "text" in manifest.graphs:
            inside = self.reader.may_have_subtitles
            for text, from_s in given_texts(source, options.clip.text, look_inside=inside):
                self.stream.set_text(text, from_s)
        self._inbox = Inbox(self.stream.counts, lossless=lossless)
        self._thread = threading.Thread(target=self._read, daemon=True, name="source")

    def __enter__(self) -> Session:
        try:
            self._thread.start()
        except BaseException:  # a signal may come while it starts, and then nobody leaves
            self._inbox.close()
            leave_behind(self._thread)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._inbox.close()
        # A reader may be stuck in a system call, as on a pipe: its thread ends with the process.
        self._thread.join(CLOSE_WAIT_S)
        leave_behind(self._thread)
        if self._transcriber is not None:
            self._transcriber.close()

    def results(self) -> Iterator[Result]:
        """Each decision as soon as it is made.

        Raises:
            MerEdgeError: the source broke off, or was lost and did not come back; or the engine
                failed. What came before stands.
        """
        stream = self.stream
        while True:
            item = self._inbox.take(0.0)
            if item is None and stream.work_ahead():
                continue
            item = item or self._inbox.take(WAIT_S)
            if item is None:
                continue
            if isinstance(item, GapItem):
                yield from stream.finish(item.end_s)
            elif isinstance(item, EndItem):
                if item.end_s is not None:
                    yield from stream.finish(item.end_s)
                if item.error is not None:
                    raise item.error
                return
            else:
                self._give(item)
                yield from stream.results()

    def _give(self, item: Item) -> None:
        stream = self.stream
        if isinstance(item, SoundItem):
            stream.add_chunk(item.chunk, item.arrived_s)
        elif isinstance(item, PictureItem):
            stream.add_picture(item.segment, item.picture)
        elif isinstance(item, SeenItem):
            stream.saw_pictures(item.until_s)
        elif isinstance(item, BackItem):
            stream.restart(item.at_s)

    def _read(self) -> None:
        """The reader's thread: whatever happens there becomes the last item."""
        try:
            try:
                self.reader.read(self._inbox, self.stream.counts)
            except MerEdgeError as error:
                self._inbox.put(EndItem(error=error))
            except Closed:
                raise
            except Exception as error:  # a defect of ours must not leave the decisions waiting
                self._inbox.put(EndItem(error=defect(self._source.name, error)))
        except Closed:
            return
        finally:
            self.reader.close()


def _check_options(source: Source, options: SessionOptions, recognizer: Recognizer) -> None:
    """No option is taken and forgotten."""
    recognizer.check_options(options.clip)
    if options.clip.text.text_file is not None:  # of a file it says where utterances are, too
        recognizer.check_uses_text("--text-file")
    if options.clip.frame_rate_hz is not None and not Path(source.target).is_dir():
        raise MerEdgeError(
            f"{source.name}: --frame-rate was given for what has a frame rate of its own; expected "
            "it for a directory of frames only; leave it out"
        )
    if options.reconnect is not None and not source.can_return:
        raise _no_return(source, f"a {source.kind}")


def _check_uses(source: Source, options: SessionOptions, reader: Reader) -> None:
    """As ``_check_options``, by what was found in the source."""
    for option, given, name, what in (
        ("--yunet", options.clip.yunet, "visual", "pictures"),
        ("--asr", options.clip.text.asr_model, "audio", "sound"),
    ):
        if given is not None and name not in reader.expects:
            raise MerEdgeError(
                f"{source.name}: {option} was given for a source without {what}; expected it for "
                "one that has some; leave it out"
            )
    if options.reconnect is not None and reader.is_recording:
        raise _no_return(source, "a recording, whose end is the end")


def _no_return(source: Source, what: str) -> MerEdgeError:
    return MerEdgeError(
        f"{source.name}: --reconnect was given for {what}; expected it for a camera or a live URL, "
        "which may come back; leave it out"
    )


def _open_reader(
    source: Source, options: SessionOptions, wanted: tuple[str, ...]
) -> tuple[Reader, bool]:
    """The reader, and whether it waits for us instead of dropping."""
    hears = options.clip.text.asr_model is not None and "audio" not in wanted
    if source.kind == "file" and not options.realtime and source.format is None:
        return FileReader(Path(source.target), options.clip, wanted, hears), True
    if options.realtime and source.kind != "file":
        raise MerEdgeError(
            f"{source.name}: --realtime was given for what is not a file; expected a recording to "
            "slow down; leave it out"
        )
    if Path(source.target).is_dir():
        raise MerEdgeError(
            f"{source.name}: found a directory of frames with --realtime or --stream-format; "
            "expected a file; leave the option out"
        )
    if options.clip.hwaccel is not None:
        raise MerEdgeError(
            f"{source.name}: --hwaccel was given for a source that is decoded on the CPU as it "
            "comes; expected a file without --realtime and --stream-format; leave --hwaccel out"
        )
    needs = (*wanted, "audio") if hears else wanted
    attempts = ATTEMPTS if options.reconnect is None else options.reconnect
    reader = LiveReader(source, needs, attempts=attempts, paced=options.realtime)
    waits = source.kind == "pipe" or (reader.is_recording and not options.realtime)
    return reader, waits
