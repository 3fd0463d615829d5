"""Recognizer: a bundle, ready to say what emotion is in a clip. The Python API of the runtime."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.bundle import Bundle
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.result import Result
from runtime.backend import open_backend
from runtime.chain import Chain
from runtime.results import build_results, is_empty, lacking
from runtime.shapes import load_graphs
from runtime.texts import Texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mer_edge.clips import ClipOptions
    from mer_edge.faces.face import Face, FaceDetector


class Recognizer:
    """Runs a bundle on clips, files and lists of clips.

    Args:
        bundle: a loaded bundle, or the path of one, which is then loaded and verified; None for
            the built-in starter.
        device: one of ``runtime.backend.DEVICES``; an error where this machine does not have it.
        threads: CPU threads a graph may use; None leaves it to the engine.
        min_confidence: of a bundle with exclusive labels, below which probability the answer is
            "uncertain"; 0: never. None takes the bundle's own.

    Raises:
        MerEdgeError: the bundle is broken, the device cannot be had, or ``min_confidence`` cannot
            be, or not for this bundle.
        MissingExtraError: no inference engine is installed.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path | None = None,
        device: str = "cpu",
        threads: int | None = None,
        *,
        min_confidence: float | None = None,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        if min_confidence is not None:
            self.bundle = self.bundle.with_min_confidence(min_confidence)
        backend = open_backend(device, self.bundle, threads)
        graphs = load_graphs(self.bundle, backend)
        texts = Texts(self.bundle, backend.arrays) if "text" in graphs else None
        self.chain = Chain(self.bundle, graphs, texts, backend.arrays)
        self._detectors: dict[Path | None, FaceDetector] = {}

    def recognize(self, source: Clip | str | Path, text: str | None = None) -> Result:
        """The decision on one clip, or on a file that is one clip.

        Args:
            source: a Clip, a media file or a directory of frames.
            text: what is said; it takes the place of whatever text the source has.

        Raises:
            MerEdgeError: the source cannot be read, is more than one clip (an utterance each:
                use ``recognize_all``), or has none of the modalities that the bundle uses; or
                ``text`` was given and the bundle makes no use of text.
        """
        if text is not None:
            self.check_uses_text("text=...")
        if isinstance(source, Clip):
            return self._recognize_clip(source if text is None else replace(source, text=text))
        start = time.perf_counter()
        clips = self._clips(Path(source), _options_for(text))
        clip = next(clips)
        second = next(clips, None)
        if second is not None:
            raise MerEdgeError(
                f"{source}: more than one clip (the second starts at {second.start_s:.2f} s); "
                "expected one; use recognize_all, or mer-edge infer"
            )
        return self._run([clip], start)[0]

    def recognize_all(
        self, source: str | Path, options: ClipOptions | None = None
    ) -> Iterator[Result]:
        """The decision on every utterance of a source, each as soon as it is made.

        Args:
            source: a media file or a directory of frames.
            options: where text and faces come from; None for the defaults.

        Raises:
            MerEdgeError: while iterating: the source cannot be read, or has none of the
                modalities that the bundle uses anywhere; what came before stands. Also options
                for what the bundle makes no use of.
        """
        options = options or _options_for(None)
        self.check_options(options)
        start = time.perf_counter()
        for clip in self._clips(Path(source), options):
            yield self._run([clip], start)[0]
            start = time.perf_counter()

    def run_batch(self, clips: Sequence[Clip]) -> list[Result]:
        """The decisions on several clips, run together.

        A clip with nothing that the bundle uses gets a Result that decides nothing and says so. The
        times of a result are those of the batch it ran in: all of its clips waited for them.

        Raises:
            MerEdgeError: a clip is longer than the bundle takes, or its text is empty.
        """
        size = self.chain.max_batch
        results: list[Result] = []
        for first in range(0, len(clips), size):
            results += self._run(list(clips[first : first + size]), None)
        return results

    def _run(self, clips: list[Clip], media_start: float | None) -> list[Result]:
        """Run a batch; ``media_start`` is when the making of its clips began, if it was ours."""
        start = time.perf_counter()
        media_ms = 0.0 if media_start is None else (start - media_start) * 1e3
        output = self.chain.run(clips)
        total_ms = media_ms + (time.perf_counter() - start) * 1e3
        timings = {"media": media_ms, **output.timings_ms, "total": total_ms}
        return build_results(clips, output, self.bundle.manifest, timings)

    def _recognize_clip(self, clip: Clip) -> Result:
        modalities = self.bundle.manifest.modalities
        if is_empty(clip, modalities):
            words = "; say what is spoken with text=..." if "text" in modalities else ""
            expected = "it" if len(modalities) == 1 else "at least one of them"
            raise MerEdgeError(
                f"{clip.source or 'clip'}: {lacking(modalities)}; expected {expected}, because "
                f"{self.bundle.manifest.variant} decides by nothing else{words}"
            )
        return self.run_batch([clip])[0]

    def check_options(self, options: ClipOptions) -> None:
        """No option for what the bundle makes no use of is taken and forgotten.

        Raises:
            MerEdgeError: one of them was given.
        """
        for option, given in (("--text", options.text.text), ("--asr", options.text.asr_model)):
            if given is not None:
                self.check_uses_text(option)
        manifest = self.bundle.manifest
        for option, is_given in (
            ("--face", options.face != 1),
            ("--yunet", options.yunet is not None),
            ("--hwaccel", options.hwaccel is not None),
        ):
            if is_given and "visual" not in manifest.graphs:
                raise MerEdgeError(
                    f"{option} was given, but {manifest.variant} looks at no faces; leave it out, "
                    "or take a bundle that does"
                )

    def check_uses_text(self, option: str) -> None:
        """Raise a MerEdgeError that names ``option`` where the bundle makes no use of text."""
        if "text" not in self.bundle.manifest.graphs:
            raise MerEdgeError(
                f"{option} was given, but {self.bundle.manifest.variant} makes no use of text; "
                "leave it out, or take a bundle that does"
            )

    def _clips(self, source: Path, options: ClipOptions) -> Iterator[Clip]:
        """The clips of a source; the next one is made while one is run."""
        from mer_edge.clips import for_bundle, load_clips
        from mer_edge.media.ahead import read_ahead

        options = for_bundle(options, self.bundle.manifest)
        return read_ahead(load_clips(source, options, detector=self.detector(options.yunet)))

    def detector(self, yunet: Path | None = None) -> FaceDetector:
        """One detector for all sources, files and streams. A user's own is opened at once.

        Args:
            yunet: the user's YuNet file; None for the default detector, opened when it is needed.

        Raises:
            MerEdgeError: ``yunet`` is missing or no YuNet model.
        """
        if yunet not in self._detectors:
            self._detectors[yunet] = open_detector(yunet)
        return self._detectors[yunet]


def open_detector(yunet: Path | None) -> FaceDetector:
    """A user's YuNet, opened and so checked at once; or the default detector.

    Raises:
        MerEdgeError: ``yunet`` is missing or no YuNet model.
    """
    return LazyDetector() if yunet is None else _open(yunet)


class LazyDetector:
    """The default detector, opened for the first picture: sound alone does not pay for it."""

    name = "mtcnn"

    def __init__(self) -> None:
        self._opened: FaceDetector | None = None

    def detect(self, frame_rgb: NDArray[np.uint8]) -> list[Face]:
        """See ``mer_edge.faces.face.FaceDetector``."""
        return self._detector().detect(frame_rgb)

    def detect_near(self, frame_rgb: NDArray[np.uint8], faces: Sequence[Face]) -> list[Face]:
        """See ``mer_edge.faces.face.NearDetector``."""
        detector = self._detector()
        if hasattr(detector, "detect_near"):
            found: list[Face] = detector.detect_near(frame_rgb, faces)
            return found
        return detector.detect(frame_rgb)

    def _detector(self) -> FaceDetector:
        if self._opened is None:
            self._opened = _open(None)
        return self._opened


def _open(yunet: Path | None) -> FaceDetector:
    from mer_edge.faces import detector

    return detector.open_detector(yunet)


def _options_for(text: str | None) -> ClipOptions:
    from mer_edge.clips import ClipOptions
    from mer_edge.text.source import TextOptions

    return ClipOptions(text=TextOptions(text=text))
