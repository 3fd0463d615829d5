"""A grid really trained, on few clips and for one epoch."""

import json

import pytest

from mer_edge.cli.main import main
from train.evaluation.subject import RunSubject


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


def asked(monkeypatch) -> list[str]:
    """Notes every run that is asked about clips."""
    names = []
    original = RunSubject.predict

    def predict(self, ready, progress):
        names.append(self.info.name)
        return original(self, ready, progress)

    monkeypatch.setattr(RunSubject, "predict", predict)
    return names


def test_a_second_time_trains_and_predicts_nothing_and_says_the_same(
    swept, drawn_data, grid, capsys, monkeypatch
):
    names = asked(monkeypatch)
    out, _ = swept
    weights = out / "audio_cross_modal-none/seed-3/best/model.safetensors"
    before, table = weights.stat().st_mtime_ns, (out / "ablation.md").read_text()
    capsys.readouterr()
    assert ablate(drawn_data, out, *grid) == 2
    shown = capsys.readouterr().out
    assert "text_cross_modal-none (reference)" in shown
    assert weights.stat().st_mtime_ns == before
    assert names == []
    assert (out / "ablation.md").read_text() == table


def test_figures_of_another_model_or_half_of_them_are_made_again(
    swept, drawn_data, grid, monkeypatch
):
    out, _ = swept
    table = (out / "ablation.md").read_text()
    files = [out / f"{cell}_cross_modal-none/seed-3/figures.json" for cell in ("audio", "text")]
    files[0].write_text(files[0].read_text().replace('"checkpoint":{"', '"checkpoint":{"other-'))
    files[1].write_bytes(files[1].read_bytes()[:50])
    names = asked(monkeypatch)
    ablate(drawn_data, out, *grid, "--quiet")
    assert names == ["audio_cross_modal-none", "text_cross_modal-none"]
    assert (out / "ablation.md").read_text() == table


def test_what_would_be_trained_twice_is_said(swept, drawn_data, capsys):
    out, _ = swept
    varies = ["--vary", "cross_modal=none,mbt", "--vary", "backbone_learning_rate=1e-5,1e-6"]
    same = ["--variants", "text", *varies, "--seeds", "3"]
    reference = "text_cross_modal-none_backbone_learning_rate-1e-6"
    ablate(drawn_data, out.parent / "twins", *same, "--reference", reference)
    shown = capsys.readouterr()
    line = f"{reference}, whose training is that of {reference.replace('1e-6', '1e-5')}"
    assert f"left out: {line}" in shown.out
    assert f"{reference} is left out" in shown.err
    found = json.loads((out.parent / "twins/ablation.json").read_text())
    assert [cell["name"] for cell in found["cells"]] == [
        "text_cross_modal-none_backbone_learning_rate-1e-5",
        "text_cross_modal-mbt_backbone_learning_rate-1e-5",
        "text_cross_modal-mbt_backbone_learning_rate-1e-6",
    ]
    assert found["reference"] == found["cells"][0]["name"]
    assert found["twins"] == {reference: found["reference"]}


def test_runs_made_with_other_options_are_not_mixed(swept, drawn_data, grid, capsys):
    out, _ = swept
    assert ablate(drawn_data, out, *grid, "--batch-size", "3") == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert (
        "begun with batch_size 4 and is asked for with 3 now; expected the same; give the earl"
        in line
    )


def test_runs_of_other_data_are_not_mixed(swept, few_clips, drawn_data, grid, capsys):
    out, _ = swept
    manifest = few_clips / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"text": "', '"text": "Well, ', 1))
    assert ablate(few_clips, out, *grid, "--cache", str(drawn_data / ".prepared")) == 2
    assert "the data has changed since the run was begun" in capsys.readouterr().err


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
