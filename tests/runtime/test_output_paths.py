from __future__ import annotations

from pathlib import Path

import pytest

from mer_edge.cli.main import main
from mer_edge.errors import MerEdgeError
from runtime.output_paths import check_outputs, model_files

BUNDLE = Path(__file__).parents[1] / "data" / "tiny-bundle"


@pytest.mark.parametrize("command", [["in.mp4"], ["--stream", "in.mp4"]])
@pytest.mark.parametrize("out", ["in.mp4", "./in.mp4", "in.txt", "link.jsonl"])
def test_what_is_read_is_never_written(command, out, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("in.mp4").write_bytes(b"a video")
    Path("in.txt").write_text("what is said")
    Path("link.jsonl").symlink_to("in.mp4")
    assert main(["infer", str(BUNDLE), *command, "--out", out]) == 2
    assert "that is what is read, too" in capsys.readouterr().err
    assert Path("in.mp4").read_bytes() == b"a video"
    assert Path("in.txt").read_text() == "what is said"


def test_two_outputs_are_two_files():
    with pytest.raises(MerEdgeError, match=r"--plot r.png: that is --out, too"):
        check_outputs({"--out": Path("r.png"), "--plot": Path("r.png")}, [])
    check_outputs({"--out": Path("r.jsonl"), "--plot": None}, [Path("-"), None, Path("in.mp4")])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of media and its neighbours; what is in it may not change."""
    monkeypatch.chdir(tmp_path)
    sub = Path("d/sub")
    sub.mkdir(parents=True)
    Path("d/clip.mp4").write_bytes(b"a video")
    Path("d/clip.txt").write_text("what is said")
    Path("d/sub/link.dat").symlink_to("../clip.mp4")
    Path("d/sub/hard.dat").hardlink_to("d/clip.mp4")
    Path("d/frames").mkdir()
    Path("d/frames/0.jpg").write_bytes(b"a picture")
    Path("d/frames/1.jpg").symlink_to("../../elsewhere.jpg")
    Path("elsewhere.jpg").write_bytes(b"another")
    line = '{"media": "clip.mp4", "text": null, "labels": [], "split": "test"}'
    for name in ("m.jsonl", "t.parquet.part.jsonl"):
        Path("d", name).write_text(line)
    Path("d/x.jsonl.job").write_bytes(b"a video of that name")
    before = contents()
    yield
    assert contents() == before


def contents():
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "out",
    [
        *("d/clip.mp4", "d/sub/../clip.mp4", "d/sub/link.dat", "d/sub/hard.dat"),
        *("d/clip.txt", "d/clip.SRT", "d/frames/0.jpg", "d/frames/new.png", "elsewhere.jpg"),
    ],
)
@pytest.mark.parametrize("ray", [[], ["--ray"]], ids=["here", "ray"])
def test_no_result_of_a_job_takes_the_place_of_a_file(out, ray, folder, capsys):
    assert main(["infer", str(BUNDLE), "d", "--overwrite", "--out", out, *ray]) == 2
    said = f"error: --out {out}: that is what is read, too; expected a file of its own\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("file", "out", "named"),
    [
        ("d/m.jsonl", "d/m.jsonl", "--out d/m.jsonl"),
        ("d/m.jsonl", "d/clip.mp4", "--out d/clip.mp4"),
        ("d/x.jsonl.job", "d/x.jsonl", "the journal of --out, d/x.jsonl.job"),
        (
            "d/t.parquet.part.jsonl",
            "d/t.parquet",
            "the lines of --out, d/t.parquet.part.jsonl",
        ),
    ],
)
def test_nor_do_its_journal_and_its_parts(file, out, named, folder, capsys):
    assert main(["infer", str(BUNDLE), file, "--batch", "2", "--overwrite", "--out", out]) == 2
    assert f"error: {named}: that is what is read, too" in capsys.readouterr().err


def test_results_may_lie_beside_what_is_read():
    outputs = {"--out": Path("d/results.jsonl"), "its journal": Path("d/results.jsonl.job")}
    check_outputs(outputs, [Path("d/clip.mp4"), Path("nowhere/results.jsonl")])


@pytest.mark.parametrize("name", ["manifest.json", "text.onnx", "tokenizer.json"])
@pytest.mark.parametrize(
    "command", [["in.mp4"], ["--stream", "in.mp4"], ["--batch", "1", "in.mp4"]]
)
def test_a_bundle_is_read_too(name, command, capsys):
    out = str(BUNDLE / name)
    assert main(["infer", str(BUNDLE), *command, "--out", out]) == 2
    assert f"--out {out}: that is what is read, too" in capsys.readouterr().err


def test_what_is_read_of_models(tmp_path):
    assert {path.name for path in model_files(BUNDLE)} == {path.name for path in BUNDLE.iterdir()}
    assert [*model_files(tmp_path)] == [tmp_path / "manifest.json"]
    (tmp_path / "best").mkdir()
    assert tmp_path / "best" / "model.safetensors" in [*model_files(BUNDLE, run=tmp_path)]
    assert tmp_path / "model.bin" in [*model_files(BUNDLE, asr=tmp_path)]
