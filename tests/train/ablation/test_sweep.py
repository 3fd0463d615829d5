"""A grid really trained, on few clips and for one epoch."""

import json

import pytest

from mer_edge.cli.main import main


def ablate(data, out, *more: str) -> int:
    arguments = ["ablate", str(data), "--out", str(out), "--preset", "tiny", "--epochs", "1"]
    return main([*arguments, "--workers", "1", *more])


@pytest.fixture(scope="module")
def grid():
    return ["--variants", "audio,text", "--vary", "cross_modal=none,mbt", "--seeds", "3"]


@pytest.fixture(scope="module")
def swept(drawn_data, grid, tmp_path_factory):
    out = tmp_path_factory.mktemp("ablation") / "grid"
    return out, ablate(drawn_data, out, *grid, "--json")


def test_trains_the_grid_and_lists_what_fails(swept):
    out, code = swept
    found = json.loads((out / "ablation.json").read_text())
    assert code == 2  # neither network has two encoders that could meet
    assert [(f["cell"], f["seed"]) for f in found["failures"]] == [
        ("audio_cross_modal-mbt", 3),
        ("text_cross_modal-mbt", 3),
    ]
    assert "cross_modal is 'mbt'" in found["failures"][0]["reason"]
    assert [run["cell"] for run in found["runs"]] == [
        "audio_cross_modal-none",
        "text_cross_modal-none",
    ]
    assert found["finished"] is True
    for run in found["runs"]:
        report = json.loads((out / run["cell"] / "seed-3/report.json").read_text())
        assert run["figures"]["f1"] == pytest.approx(report["test"]["tuned"]["f1"], abs=1e-12)
        assert run["figures"]["f1_at_half"] == pytest.approx(report["test"]["at_half"]["f1"])
        assert run["parameters"] == report["parameters"]
        assert report["options"]["seed"] == 3


def test_a_second_time_trains_nothing_and_says_the_same(swept, drawn_data, grid, capsys):
    out, _ = swept
    weights = out / "audio_cross_modal-none/seed-3/best/model.safetensors"
    before, table = weights.stat().st_mtime_ns, (out / "ablation.md").read_text()
    capsys.readouterr()
    assert ablate(drawn_data, out, *grid) == 2
    shown = capsys.readouterr().out
    assert "text_cross_modal-none (reference)" in shown
    assert weights.stat().st_mtime_ns == before
    assert (out / "ablation.md").read_text() == table


def test_runs_made_with_other_options_are_not_mixed(swept, drawn_data, grid, capsys):
    out, _ = swept
    assert ablate(drawn_data, out, *grid, "--batch-size", "3") == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert "trained with batch_size 4, and this ablation wants 3" in line


def test_runs_of_other_data_are_not_mixed(swept, few_clips, drawn_data, grid, capsys):
    out, _ = swept
    manifest = few_clips / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"text": "', '"text": "Well, ', 1))
    assert ablate(few_clips, out, *grid, "--cache", str(drawn_data / ".prepared")) == 2
    assert "trained on other data than" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--variant", "mer"], "found --variant mer; expected --variants"),
        (["--variants", ","], "found no name in --variants"),
        (["--seeds", "1,-2"], "found --seeds 1,-2; expected whole numbers of at least 0"),
        (["--seeds", "1,1"], "expected whole numbers of at least 0, each once"),
        (["--vary", "epochs=0,1"], "epochs is 0; expected at least 1"),
        (["--reference", "mer-sem"], "found --reference mer-sem; expected one of text"),
    ],
)
def test_a_grid_that_makes_no_sense_is_one_line_and_exit_code_2(
    more, message, drawn_data, tmp_path, capsys
):
    variants = [] if more[0] in ("--variants", "--variant") else ["--variants", "text"]
    assert ablate(drawn_data, tmp_path / "out", *variants, *more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(drawn_data, tmp_path, capsys):
    (tmp_path / "holiday.jpg").write_bytes(b"precious")
    assert ablate(drawn_data, tmp_path, "--variants", "text") == 2
    assert "is not an ablation's folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]
