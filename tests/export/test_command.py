import builtins
import json
import re
import shutil
import sys

import pytest

from mer_edge.bundle import GRAPHS, Bundle
from mer_edge.cli.main import main


def test_json_is_the_outcome_and_nothing_else(exported):
    """The session's export ran with --json; its stdout was read as one JSON value."""
    outcome = exported.outcome
    manifest = exported.bundle.manifest
    assert outcome["bundle"] == str(exported.bundle.path)
    assert {name: graph["sha256"] for name, graph in outcome["graphs"].items()} == {
        name: spec.sha256 for name, spec in manifest.graphs.items()
    }
    assert (outcome["target"], outcome["precision"]) == ("cpu", "fp32")
    measured = outcome["parity"]["max_abs_logit_difference"]
    assert measured == manifest.parity.max_abs_logit_difference
    assert outcome["parity"]["cases"] == 16
    sizes = [file.stat().st_size for file in exported.bundle.path.iterdir()]
    assert outcome["bytes"] == sum(sizes)
    assert 0 < outcome["seconds"] < 600


def test_it_ends_with_the_next_command(exported, copied_graphs, tmp_path, capsys):
    out = tmp_path / "b"
    assert main(["export", str(exported.run), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    head = re.escape(f"{out}: MER-SEM-MBT in fp32 for cpu, 5 graphs, ")
    assert re.fullmatch(head + r"(0\.\d|1\.\d) MB, in \d+\.\d s", lines[-2])
    assert lines[-1] == f"next: mer-edge infer {out} CLIP.mp4"
    assert "allowed, fp32: " in "\n".join(lines[:-2])


def test_fp16_for_a_jetson_and_a_picture(exported, copied_graphs, tmp_path, capsys):
    out, plot = tmp_path / "b", tmp_path / "parity.png"
    command = ["export", str(exported.run), "--out", str(out), "--plot", str(plot)]
    assert main([*command, "--target", "jetson-orin", "--precision", "fp16"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"next: on the device: mer-edge build {out}"
    manifest = Bundle.load(out).manifest
    assert (manifest.target, manifest.precision) == ("jetson-orin", "fp16")
    assert {spec.precision for spec in manifest.graphs.values()} == {"fp16"}
    assert manifest.calibration is None
    assert 0 < manifest.parity.max_abs_logit_difference < 0.05
    assert plot.read_bytes()[:4] == b"\x89PNG"
    assert not [path for path in out.iterdir() if path.is_dir()]


def test_int8_from_real_clips(exported, copied_graphs, drawn_clips, tmp_path, capsys):
    # Nothing was learned, so that all probabilities lie beside 0.5: far from it the rounding of
    # one processor or another decides nothing.
    run = shutil.copytree(exported.run, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "thresholds": [0.9] * 6}))
    out = tmp_path / "b"
    command = ["export", str(run), "--out", str(out), "--precision", "int8", "--json"]
    command += ["--calibrate", str(drawn_clips), "--seed", "3"]
    assert main(command) == 0
    outcome = json.loads(capsys.readouterr().out)
    manifest = Bundle.load(out).manifest
    precisions = {name: spec.precision for name, spec in manifest.graphs.items()}
    assert precisions == {**dict.fromkeys(GRAPHS, "int8"), "fusion": "fp32"}
    assert "attention" in manifest.graphs["text"].rewrites
    assert outcome["calibration"] == {
        "data": str(drawn_clips),
        "clips": 16,
        "seed": 3,
        "clips_sha256": manifest.calibration.clips_sha256,
        "compared_clips": 8,
    }
    chain = [d for d in outcome["parity"]["decisions"] if d["part"] == "chain"]
    assert {d["clips"] for d in chain if d["source"] == "real"} == {8}
    assert manifest.graphs["text"].kept_higher == []


def test_auto_says_what_it_chose_from(exported, copied_graphs, drawn_clips, tmp_path, capsys):
    out, pareto = tmp_path / "b", tmp_path / "pareto.png"
    command = ["export", str(exported.run), "--out", str(out), "--precision", "auto"]
    command += ["--calibrate", str(drawn_clips), "--budget", "2%", "--pareto", str(pareto)]
    assert main(command) == 0
    said = capsys.readouterr().out
    manifest = Bundle.load(out).manifest
    choice = manifest.choice
    assert manifest.precision == "auto"
    assert choice.budget == 0.02
    assert len(choice.plans) == 16  # text, audio and both halves of visual in fp32 or int8
    assert choice.chosen in choice.plans
    assert 1 - choice.chosen.agreement <= 0.02
    precisions = {name: spec.precision for name, spec in manifest.graphs.items()}
    assert precisions == choice.chosen.precisions
    assert "chosen: text " in said
    assert "calibrated with 16 clips, seed 0; at least 64 are advised" in said
    assert pareto.read_bytes()[:4] == b"\x89PNG"
    assert not [path for path in out.iterdir() if path.is_dir()]


def test_a_vocabulary_cut_to_a_text(exported, tmp_path, capsys):
    texts, out = tmp_path / "texts.txt", tmp_path / "b"
    texts.write_text("Kids are talking by the door.\n")
    command = ["export", str(exported.run), "--out", str(out), "--vocabulary", str(texts)]
    assert main([*command, "--quiet"]) == 0
    bundle = Bundle.load(out)
    assert "vocabulary" in bundle.manifest.graphs["text"].rewrites
    tokens = [
        len(json.loads(made.tokenizer_path.read_text())["model"]["vocab"])
        for made in (bundle, exported.bundle)
    ]
    assert tokens[0] < tokens[1]
    assert bundle.graph_path("text").stat().st_size < exported.files["text"].stat().st_size
    texts.write_bytes(b"\xff")
    assert main([*command, "--quiet", "--overwrite"]) == 2
    assert "texts.txt: cannot be read (not UTF-8)" in capsys.readouterr().err
    assert Bundle.load(out) == bundle


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--target", "toaster"], "--target toaster: expected one of cpu, cuda, tensorrt"),
        (["--precision", "int4"], "--precision int4: expected one of fp32, fp16, int8, auto"),
        (["--precision", "auto", "--target", "tensorrt"], "choose fp16 or int8"),
        (["--precision", "auto"], "--precision auto needs real clips"),
        (["--precision", "auto", "--budget", "lots"], "--budget lots: expected the share"),
        (["--pareto", "p.png"], "without --precision auto"),
        (["--precision", "int8"], "needs real clips .* name a data set with --calibrate"),
        (["--calibrate", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["--calibration-clips", "0", "--precision", "fp16"], "expected at least 64 clips"),
    ],
)
def test_what_cannot_be_is_one_line(exported, tmp_path, capsys, options, said):
    out = tmp_path / "b"
    assert main(["export", str(exported.run), "--out", str(out), "--quiet", *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(said, error)
    assert not out.exists()


def test_too_few_clips_to_calibrate_are_refused(exported, drawn_clips, tmp_path, capsys):
    few = tmp_path / "few.jsonl"
    lines = (drawn_clips / "manifest.jsonl").read_text().splitlines()[:12]
    absolute = [
        {**line, "media": str(drawn_clips / line["media"])} for line in map(json.loads, lines)
    ]
    few.write_text("".join(json.dumps(line) + "\n" for line in absolute))
    command = ["export", str(exported.run), "--out", str(tmp_path / "b"), "--quiet"]
    assert main([*command, "--precision", "int8", "--calibrate", str(few)]) == 2
    assert "expected at least 64, and no fewer than 16" in capsys.readouterr().err


def test_quiet_is_quiet(exported, copied_graphs, tmp_path, capfd):
    assert main(["export", str(exported.run), "--out", str(tmp_path / "b"), "--quiet"]) == 0
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_a_missing_package_names_the_extra(exported, tmp_path, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "export.exporter")
    real = builtins.__import__

    def without_onnx(name, *arguments, **keywords):
        if name == "export.exporter":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    assert main(["export", str(exported.run), "--out", str(tmp_path / "b")]) == 2
    message = capsys.readouterr().err
    assert "needs the package onnx" in message
    assert "pip install 'mer-edge[export]'" in message


def test_out_is_required(exported, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(exported.run)])
    assert stopped.value.code == 2
    assert "--out" in capsys.readouterr().err
