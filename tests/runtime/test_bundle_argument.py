"""Which bundle runs: a named one, one that stands first, else the built-in starter."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest

import mer_edge
from mer_edge import starter_bundle
from mer_edge.bundle import Bundle
from mer_edge.cli.main import main
from mer_edge.errors import MerEdgeError
from runtime.bundle_argument import take_bundle
from tests.runtime.media import tone_wav
from tests.starter import CARD, MODEL_LINE, TINY, USE_LINE, starter

__all__ = ["starter"]

NOTICE = Bundle.load(TINY).manifest.notice


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    tone_wav(tmp_path / "tone.wav")
    return tmp_path / "tone.wav"


@pytest.fixture
def no_starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(starter_bundle, "STARTER", tmp_path / "no-starter")
    return tmp_path / "no-starter"


def test_without_a_bundle_the_starter_speaks_first(starter, tone, capsys) -> None:
    assert main(["infer", str(tone)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == [MODEL_LINE, USE_LINE]
    assert out.count(USE_LINE) == 1
    assert out.splitlines()[-1] == ("next: mer-edge infer YOUR_CLIP.mp4 --json --out results.jsonl")
    assert err == ""


def test_scripts_learn_which_model_speaks(starter, tone, capsys) -> None:
    assert main(["infer", str(tone), str(tone), "--json"]) == 0
    out, err = capsys.readouterr()
    for line in out.splitlines():
        assert json.loads(line)["model"] == {
            "name": CARD.name,
            "notice": f"{CARD.summary} {NOTICE}",
        }
    assert err.splitlines() == [MODEL_LINE, USE_LINE]
    assert main(["infer", str(tone), str(tone), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err.splitlines() == [MODEL_LINE]


def test_a_folder_and_a_stream_say_it_too(starter, tone, capsys, tmp_path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    shutil.copy(tone, folder / "a.wav")
    shutil.copy(tone, folder / "b.wav")
    for command in (
        ["infer", str(folder)],
        ["stream", str(tone)],
        ["infer", "--stream", str(tone)],
    ):
        assert main(command) == 0
        out, err = capsys.readouterr()
        assert out.splitlines()[:2] == [MODEL_LINE, USE_LINE], command
        assert out.count(MODEL_LINE) == 1
        assert "next: mer-edge " in out
        assert str(starter) not in out
        assert err == ""
    out = tmp_path / "results.parquet"
    assert main(["infer", str(folder), "--out", str(out), "--quiet"]) == 0
    import pyarrow.parquet

    row = pyarrow.parquet.read_table(out).to_pylist()[0]
    assert row["model"]["name"] == CARD.name


@pytest.mark.parametrize(
    "arguments",
    [["{other}", "{tone}"], ["--bundle", "{other}", "{tone}"], ["{tone}", "--bundle={other}"]],
)
def test_another_bundle_is_named_or_stands_first(
    starter, tone, capsys, tmp_path, arguments: list[str]
) -> None:
    other = shutil.copytree(TINY, tmp_path / "other")
    words = [word.format(other=other, tone=tone) for word in arguments]
    assert main(["infer", *words, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""  # it has no card
    assert json.loads(out)["model"] == {"name": "MER-SEM-MBT (tiny)", "notice": NOTICE}
    assert main(["stream", *words, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_two_bundles_are_refused(starter, tone, capsys) -> None:
    assert main(["infer", "--bundle", str(TINY), str(starter), str(tone)]) == 2
    assert "found two bundles, --bundle" in capsys.readouterr().err
    assert main(["verify", str(TINY), "--bundle", str(starter)]) == 2
    assert "found two bundles, --bundle" in capsys.readouterr().err


def test_verify_and_bench_take_the_starter(starter, capsys) -> None:
    assert main(["verify"]) == 0
    assert "next: mer-edge infer YOUR_CLIP.mp4 --device cpu" in capsys.readouterr().out
    assert main(["verify", "--device", "cpu", str(TINY), "--quiet"]) == 0
    quick = ["--rounds", "2", "--warm-ups", "1", "--cold-runs", "0"]
    assert main(["bench", *quick]) == 0
    assert re.search(r"mer-edge bench( --|$)", capsys.readouterr().out, re.M)
    assert main(["bench", *quick, "--bundle", str(TINY), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"]["path"] == str(TINY)


def test_from_python(starter, tone) -> None:
    recognizer = mer_edge.Recognizer()
    assert recognizer.bundle.path == starter
    assert recognizer.recognize(tone).model.name == CARD.name
    assert mer_edge.Stream(window_segments=2).expects == ("audio", "visual")
    assert mer_edge.Bundle.load().manifest.card == CARD


def test_where_there_is_no_starter_one_line_says_so(no_starter, tone, capsys) -> None:
    for command in (["infer", str(tone)], ["stream", str(tone)], ["verify"], ["bench"]):
        assert main(command) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err == (
            "error: no bundle was named, and this installation has no built-in one (looked in "
            f"{no_starter}); expected --bundle DIR, a directory made by mer-edge export\n"
        )
    with pytest.raises(MerEdgeError, match="no bundle was named"):
        mer_edge.Recognizer()
    assert main(["infer", str(TINY), str(tone), "--quiet"]) == 0


def test_a_first_argument_that_may_mean_both_is_refused_as_both(starter, tone, capsys, tmp_path):
    (tmp_path / "run").mkdir()
    for first, found in (
        ("runs/bundel", "nothing is there"),
        (str(tmp_path / "run"), "a directory without manifest.json and without media"),
    ):
        started_s = time.monotonic()
        assert main(["infer", first, str(tone)]) == 2
        assert time.monotonic() - started_s < 1
        err = capsys.readouterr().err
        assert err.startswith(f"error: {first}: {found}; expected a bundle (a directory with ")
        assert "or a clip (a video, a sound file" in err


def test_a_missing_clip_is_told_before_the_model_is_loaded(starter, capsys, monkeypatch):
    def never(*_: object) -> None:
        raise AssertionError("the model was loaded for nothing")

    monkeypatch.setattr("runtime.recognizer.Recognizer.__init__", never)
    assert main(["infer", "interview.mp4"]) == 2
    assert capsys.readouterr().err.startswith("error: interview.mp4: no such file; expected a")


def test_sources_of_the_stream_command(starter, tone, capsys) -> None:
    assert main(["stream"]) == 2
    assert "found no SOURCE; expected one SOURCE: a camera" in capsys.readouterr().err
    assert main(["stream", str(TINY), str(tone), str(tone)]) == 2
    assert "expected one SOURCE" in capsys.readouterr().err
    assert main(["stream", "--quiet", "--realtime", "--bundle", str(TINY), "-", "x"]) == 2
    assert "found - and x; expected one SOURCE" in capsys.readouterr().err
    assert main(["stream", "runs/bundel", str(tone)]) == 2
    assert "runs/bundel: nothing is there; expected a bundle" in capsys.readouterr().err


def test_names_that_cannot_be(tmp_path: Path) -> None:
    for name in ("nul\0", "long" * 2000):
        with pytest.raises(MerEdgeError, match="nothing is there"):
            take_bundle(None, [Path(name)])
