"""The text of a window from its sound, at once or from a worker beside the stream."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.left_behind import leave_behind
from mer_edge.text.asr import open_model, transcribe


class Transcriber:
    """Transcribes the sound of windows with a local Whisper model.

    Args:
        model_dir: as for ``mer_edge.text.asr.transcribe``.
        waits: transcribe before the decision on the same window, as offline; else a worker thread
            does, the newest window only, and a decision has the text that was ready.

    Raises:
        MerEdgeError: ``model_dir`` holds no such model.
        MissingExtraError: faster-whisper is not installed.
    """

    def __init__(self, model_dir: Path, *, waits: bool) -> None:
        open_model(model_dir)
        self._model_dir = model_dir
        self._waits = waits
        self._changed = threading.Condition()
        self._next: NDArray[np.float32] | None = None
        self._text: str | None = None
        self._error: MerEdgeError | None = None
        self._closed = False
        self._worker: threading.Thread | None = None
        self.windows = 0
        """How many were transcribed."""

    def text_of(self, sound: NDArray[np.float32]) -> str | None:
        """The text for the decision on a window; None where nobody was understood (yet).

        Args:
            sound: shape = (samples,), 16 kHz mono.

        Raises:
            MerEdgeError: an earlier window could not be transcribed.
        """
        if self._waits:
            self.windows += 1
            return transcribe(self._model_dir, sound) or None
        with self._changed:
            if self._error is not None:
                raise self._error
            self._next = sound
            self._changed.notify_all()
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, daemon=True, name="asr")
                self._worker.start()
            return self._text

    def close(self) -> None:
        """Let the worker go; it ends with the window that it is at."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._worker is not None:
            leave_behind(self._worker)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._next is not None)
                if self._closed:
                    return
                sound, self._next = self._next, None
            assert sound is not None
            try:
                text = transcribe(self._model_dir, sound) or None
            except Exception as error:  # nobody else would hear of it: told with the next window
                with self._changed:
                    self._error = MerEdgeError(f"--asr {self._model_dir}: {error}")
                return
            with self._changed:
                self._text = text
                self.windows += 1
