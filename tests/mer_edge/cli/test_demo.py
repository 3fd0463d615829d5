"""The demo end to end with few clips, and what it refuses."""

import importlib.util
import json
import re
import subprocess
import sys

import msgspec
import pytest

from mer_edge.bundle import Bundle
from mer_edge.cli import demo
from mer_edge.cli.main import main
from mer_edge.errors import MerEdgeError
from mer_edge.result import Result


@pytest.mark.slow
def test_says_what_it_found_and_what_comes_next(finished_demo):
    _, ran = finished_demo
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("draw") == 1  # the bars are on stderr
    for stage in ("prepare", "train", "export", "infer"):
        assert stage in ran.stderr
    for word in ("angry", "happy", "neutral", "sad", "audio", "visual", "text", "weight", "ms:"):
        assert word in ran.stdout, word
    assert "of 4 unseen generated clips right: accuracy" in ran.stdout
    assert "chance 0.25" in ran.stdout
    assert "recognises nothing real" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "next: mer-edge infer demo/bundle YOUR_CLIP.mp4"


@pytest.mark.slow
def test_leaves_data_run_bundle_results_and_picture(finished_demo):
    folder, _ = finished_demo
    assert sorted(path.name for path in folder.iterdir()) == [
        "bundle",
        "data",
        "decision.png",
        demo.MARKER,
        "results.jsonl",
        "run",
    ]
    assert len(list((folder / "data/clips").iterdir())) == 12
    assert "recognises nothing real" in Bundle.load(folder / "bundle").manifest.notice
    assert (folder / "decision.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((folder / "run/report.json").read_text())
    assert (folder / "run" / report["data"]).resolve() == (folder / "data").resolve()
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.slow
def test_its_accuracy_is_that_of_its_results(finished_demo):
    folder, _ = finished_demo
    summary = msgspec.json.decode((folder / demo.MARKER).read_bytes(), type=demo.Outcome)
    lines = (folder / "results.jsonl").read_bytes().splitlines()
    results = [msgspec.json.decode(line, type=Result) for line in lines]
    truth = {}
    for line in (folder / "data/manifest.jsonl").read_text().splitlines():
        sample = json.loads(line)
        if sample["split"] == "test":
            truth[f"data/{sample['media']}"] = sample["labels"]
    assert {result.source for result in results} == set(truth)
    correct = sum(result.top in truth[result.source] for result in results)
    assert (summary.correct, summary.unseen_clips) == (correct, 4)
    assert summary.accuracy == correct / 4
    assert (summary.chance, summary.seed, summary.clips) == (0.25, 5, 12)
    assert summary.megabytes < 60
    assert set(summary.seconds) == {"generate", "train", "export", "infer"}
    assert all("onnxruntime" in result.engine.lower() for result in results)


def fake_demo(folder, clips, seed, bars):
    (folder / demo.MARKER).write_text("{}")
    (folder / "made").write_text(str(seed))
    return demo.Outcome(seed, clips, 4, 3, 0.75, 0.25, {}, 0.1, demo.NOTICE), None


def test_a_folder_that_exists_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "make_demo", lambda *_: pytest.fail("the work began"))
    (tmp_path / "thesis.tex").write_text("ten years of work")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "exists already; name another --out, or add --overwrite" in capsys.readouterr().err


def test_overwrite_never_removes_what_no_demo_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "make_demo", lambda *_: pytest.fail("the work began"))
    (tmp_path / "thesis.tex").write_text("ten years of work")
    for out in (tmp_path, tmp_path / "thesis.tex"):
        assert main(["demo", "--out", str(out), "--overwrite"]) == 2
        assert "is not a demo (" in capsys.readouterr().err
    assert (tmp_path / "thesis.tex").read_text() == "ten years of work"


def test_overwrite_replaces_an_earlier_demo(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "make_demo", fake_demo)
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--quiet"]) == 0
    (out / "old").touch()
    assert main(["demo", "--out", str(out), "--seed", "7", "--overwrite", "--json"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["made", demo.MARKER]
    assert (out / "made").read_text() == "7"
    quiet, outcome = capsys.readouterr().out.splitlines()
    assert quiet == "3 of 4 unseen generated clips right: accuracy 0.75, chance 0.25"
    assert json.loads(outcome)["seed"] == 7


@pytest.mark.parametrize("error", [MerEdgeError("no luck"), KeyboardInterrupt()])
def test_a_demo_that_fails_leaves_nothing_and_keeps_the_earlier_one(
    tmp_path, monkeypatch, error, capsys
):
    monkeypatch.setattr(demo, "make_demo", fake_demo)
    out = tmp_path / "demo"
    main(["demo", "--out", str(out), "--quiet"])

    def fail(folder, clips, seed, bars):
        (folder / "half").touch()
        raise error

    monkeypatch.setattr(demo, "make_demo", fail)
    assert main(["demo", "--out", str(out), "--overwrite", "--quiet"]) != 0
    assert main(["demo", "--out", str(tmp_path / "new"), "--quiet"]) != 0
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert (out / "made").read_text() == "0"


@pytest.mark.parametrize("package", ["torch", "onnxscript", "onnxruntime", "matplotlib"])
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    package, tmp_path, capsys, monkeypatch
):
    original = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else original(name)
    )
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(rf"demo needs .* {package}, .*mer-edge\[train,export,cpu\]", line)


def test_too_few_clips_is_one_line(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo"), "--clips", "3", "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "3 clips asked for; expected at least 12" in line
    assert list(tmp_path.iterdir()) == []


def test_the_module_is_light():
    code = (
        "import sys, mer_edge.cli.demo\n"
        "heavy = {'numpy', 'torch', 'cv2', 'av', 'rich', 'matplotlib', 'train', 'export',"
        " 'runtime'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
