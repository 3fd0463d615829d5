"""Pictures of results: drawn for real, looked at as pixels."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from mer_edge import pictures
from mer_edge.errors import MerEdgeError
from mer_edge.pictures import check_picture, check_result_picture, draw_result
from mer_edge.result import ModalitySay, Result

RESULT = Result(
    source="clip.mp4",
    start_s=0.0,
    end_s=2.0,
    segments=2,
    audio_segments=2,
    face_segments=0,
    text="a $5 day",
    probabilities={"happy": 0.9, "sa$d": 0.2},
    decision=["happy"],
    top="happy",
    modalities={
        "audio": ModalitySay(True, 0.6, {"happy": 0.7, "sa$d": 0.3}),
        "visual": ModalitySay(False, 0.0, None),
        "text": ModalitySay(True, 0.4, {"happy": 0.8, "sa$d": 0.1}),
    },
    timings_ms={"media": 80.0, "tokenize": 0.1, "text": 5.0, "audio": 9.0, "total": 94.1},
    engine="onnxruntime CPUExecutionProvider",
)


def count(path: Path, colour: str) -> int:
    """Pixels of a colour such as ``#2f7d4f``."""
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((picture == wanted).all(axis=2).sum())


def test_the_picture_shows_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "new" / "picture.png"
    draw_result(RESULT, path, "clip $1, 0 to 2 s")
    decided, undecided = count(path, pictures.DECIDED), count(path, pictures.UNDECIDED)
    assert decided / undecided == pytest.approx(0.9 / 0.2, rel=0.05)  # bars as long as the numbers
    audio = count(path, pictures.MODALITY_COLOURS["audio"])
    draw_result(replace(RESULT, probabilities={"happy": 0.45, "sa$d": 0.2}), path, "half")
    assert count(path, pictures.DECIDED) / decided == pytest.approx(0.5, rel=0.05)
    assert count(path, pictures.MODALITY_COLOURS["audio"]) == pytest.approx(audio, rel=0.05)
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]


def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else real(name)
    )


@pytest.mark.parametrize("fonts", [True, False])
def test_without_matplotlib_a_png_shows_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fonts: bool
) -> None:
    without_matplotlib(monkeypatch)
    if not fonts:  # OpenCV 4
        monkeypatch.delattr(cv2, "FontFace", raising=False)
    path = tmp_path / "new" / "picture.png"
    check_result_picture(path)
    draw_result(RESULT, path, "clip 1, 0 to 2 s")
    decided = count(path, pictures.DECIDED)
    assert decided / count(path, pictures.UNDECIDED) == pytest.approx(0.9 / 0.2, rel=0.05)
    colours = pictures.MODALITY_COLOURS
    assert count(path, colours["audio"]) > count(path, colours["text"]) > 1000  # 9 ms against 5
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]
    draw_result(replace(RESULT, probabilities={"happy": 0.45, "sa$d": 0.2}), path, "half")
    assert count(path, pictures.DECIDED) / decided == pytest.approx(0.5, rel=0.05)
    for suffix in (".svg", ".pdf"):
        with pytest.raises(MerEdgeError, match="needs the package matplotlib"):
            check_result_picture(tmp_path / f"picture{suffix}")


@pytest.mark.parametrize("suffix", [".pdf", ".svg"])
def test_vector_formats(tmp_path: Path, suffix: str) -> None:
    draw_result(RESULT, tmp_path / f"picture{suffix}", "clip")
    assert (tmp_path / f"picture{suffix}").read_bytes()[:5] in (b"%PDF-", b"<?xml")


def test_what_cannot_be_drawn_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MerEdgeError, match=r"the extension is '.doc'; expected one of .png, .pdf"):
        check_picture(tmp_path / "picture.doc")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(pictures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MerEdgeError, match="pip install 'matplotlib"):
        check_picture(tmp_path / "picture.png")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MerEdgeError, match="file is a file; expected a folder"):
        draw_result(RESULT, tmp_path / "file" / "picture.png", "clip")


def test_an_uncertain_answer_has_no_green_bar_and_shows_what_it_needs(tmp_path: Path) -> None:
    sure = replace(RESULT, task="multiclass", confidence=0.9)
    unsure = replace(sure, decision=[], uncertain=True, min_confidence=0.95)
    draw_result(sure, tmp_path / "sure.png", "clip")
    draw_result(unsure, tmp_path / "unsure.png", "clip")
    assert count(tmp_path / "sure.png", pictures.DECIDED) > 1000
    assert count(tmp_path / "unsure.png", pictures.DECIDED) == 0
    assert count(tmp_path / "sure.png", pictures.NEEDED) == 0
    assert count(tmp_path / "unsure.png", pictures.NEEDED) > 20
    draw_result(unsure, tmp_path / "unsure.svg", "clip")
    assert "uncertain" in pictures._decision_title(unsure)
    assert "needs 0.95" in pictures._decision_title(unsure)
