"""The picture of a result where matplotlib is not installed: drawn with OpenCV, which is a base
package. matplotlib and what it needs are 98 MB on disk, a fifth of base + [cpu]."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.files import new_file
from mer_edge.pictures import (
    DECIDED,
    MODALITY_COLOURS,
    NO_PICTURE,
    UNDECIDED,
    modality_part,
    stages,
)
from mer_edge.result import Result
from mer_edge.segments import MODALITIES

WIDTH_PX = 1200
MARGIN_PX, LABEL_PX, VALUE_PX = 24, 130, 60
LEFT_PX, RIGHT_PX = MARGIN_PX, WIDTH_PX // 2 + 10
"""Where the two halves begin: the decision, and what each modality said alone."""
BAR_PX = WIDTH_PX // 2 - MARGIN_PX - LABEL_PX - VALUE_PX - 10
"""Of a probability of 1."""
TOP_PX, ROW_PX, TIMES_PX = 100, 52, 110
TEXT_PX, TITLE_PX = 17, 22
INK = "#2b2f33"

Canvas = NDArray[np.uint8]


def draw_plain(result: Result, path: Path, title: str) -> None:
    """Draw probabilities, what each modality said and its weight, and the times, as a PNG.

    Args:
        path: ``.png``; written whole or not at all.

    Raises:
        MerEdgeError: the disk says no.
    """
    height = TOP_PX + ROW_PX * len(result.probabilities) + TIMES_PX
    canvas = np.full((height, WIDTH_PX, 3), 255, np.uint8)
    _write(canvas, title, (MARGIN_PX, 36), size=TITLE_PX)
    _write(canvas, "the decision (green)", (LEFT_PX + LABEL_PX, 76))
    _draw_legend(canvas, result)
    for row, label in enumerate(result.probabilities):
        _draw_label(canvas, result, label, TOP_PX + row * ROW_PX)
    _draw_times(canvas, result, height - TIMES_PX + 30)
    data = cv2.imencode(".png", canvas[:, :, ::-1])[1]
    with new_file(path, "drawing the picture", advice=NO_PICTURE) as temporary:
        temporary.write_bytes(data.tobytes())


def _draw_legend(canvas: Canvas, result: Result) -> None:
    x = RIGHT_PX
    for name in MODALITIES:
        _fill(canvas, x, 64, 14, 14, MODALITY_COLOURS[name])
        _write(canvas, f"{name}, {modality_part(result.modalities[name])}", (x + 20, 76))
        x += (WIDTH_PX - RIGHT_PX) // 3


def _draw_label(canvas: Canvas, result: Result, label: str, top: int) -> None:
    """One emotion's row: its probability, and beside it each modality's."""
    probability = result.probabilities[label]
    colour = DECIDED if label in result.decision else UNDECIDED
    length = round(probability * BAR_PX)
    _write(canvas, label, (LEFT_PX, top + 27))
    _fill(canvas, LEFT_PX + LABEL_PX, top + 6, length, ROW_PX - 16, colour)
    _write(canvas, f"{probability:.2f}", (LEFT_PX + LABEL_PX + length + 8, top + 27))
    thickness = (ROW_PX - 10) // len(MODALITIES)
    for row, name in enumerate(MODALITIES):
        said = result.modalities[name].probabilities
        length = 0 if said is None else round(said[label] * BAR_PX)
        place = top + 3 + row * thickness
        _fill(canvas, RIGHT_PX + LABEL_PX, place, length, thickness - 2, MODALITY_COLOURS[name])
    _write(canvas, label, (RIGHT_PX, top + 27))


def _draw_times(canvas: Canvas, result: Result, top: int) -> None:
    """The stages one after the other, as long as they took."""
    total_ms = max(result.timings_ms["total"], 1e-9)
    _write(canvas, f"{total_ms:.1f} ms in all, {result.engine}", (MARGIN_PX, top))
    start_ms, x = 0.0, MARGIN_PX
    per_ms = (WIDTH_PX - 2 * MARGIN_PX) / total_ms
    for stage, colour in stages(result):
        spent_ms = result.timings_ms[stage]
        _fill(
            canvas,
            MARGIN_PX + round(start_ms * per_ms),
            top + 12,
            round(spent_ms * per_ms),
            18,
            colour,
        )
        start_ms += spent_ms
        _fill(canvas, x, top + 46, 14, 14, colour)
        _write(canvas, f"{stage} {spent_ms:.1f} ms", (x + 20, top + 58))
        x += (WIDTH_PX - 2 * MARGIN_PX) // max(1, len(stages(result)))


def _fill(canvas: Canvas, x: int, y: int, width: int, height: int, colour: str) -> None:
    canvas[y : y + height, x : x + width] = _rgb(colour)


def _write(canvas: Canvas, text: str, place: tuple[int, int], size: int = TEXT_PX) -> None:
    """Text on one line, its lower left corner at ``place``."""
    colour = tuple(int(part) for part in _rgb(INK))
    if hasattr(cv2, "FontFace"):  # OpenCV 5, with letters of all alphabets
        cv2.putText(canvas, text, place, colour, cv2.FontFace("sans"), size)
        return
    font = cv2.FONT_HERSHEY_SIMPLEX
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(canvas, plain, place, font, size / 34, colour, 1, cv2.LINE_AA)


def _rgb(colour: str) -> NDArray[np.uint8]:
    """``#2f7d4f`` as red, green and blue."""
    return np.frombuffer(bytes.fromhex(colour.removeprefix("#")), np.uint8)
