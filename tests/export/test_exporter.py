"""What stops an export, and that it then leaves nothing behind.

Tracing takes seconds, so here the graphs of the session's export are copied instead of traced.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

import export.exporter
from export.exporter import export_bundle
from mer_edge.bundle import Bundle
from mer_edge.cli.main import main
from mer_edge.errors import MerEdgeError
from tests.export.broken import with_changed_weight


@pytest.fixture
def broken_visual(exported, copied_graphs, tmp_path_factory, monkeypatch):
    broken = tmp_path_factory.mktemp("broken") / "visual.onnx"
    with_changed_weight(exported.files["visual"], broken, "sems.5.norm.weight", 1.0)

    def trace_graph(plan, metadata):
        return onnx.load(broken if plan.name == "visual" else exported.files[plan.name])

    monkeypatch.setattr(export.exporter, "trace_graph", trace_graph)


def one_line(capsys) -> str:
    """The error on stderr, which is one line and no traceback."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith("error: ")
    return captured.err


def test_progress_counts_to_its_end(exported, copied_graphs, tmp_path):
    told: list[tuple[str, int, int]] = []
    bundle = export_bundle(exported.run, tmp_path / "b", progress=lambda *step: told.append(step))
    assert Bundle.load(tmp_path / "b").manifest == bundle.manifest
    for part in (1, 2):  # what the gate runs is added once it is known
        counts = [step[part] for step in told]
        assert counts == sorted(counts)
    assert told[0][2] == 5 + 1
    assert told[-1][1] == told[-1][2] > 5 + 1 + 7
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_a_model_still_in_training_mode_is_exported_for_inference(
    exported, copied_graphs, tmp_path
):
    exported.checkpoint.model.train()
    try:
        export_bundle(exported.checkpoint, tmp_path / "b")
    finally:
        exported.checkpoint.model.eval()


def test_golden_tensors_that_are_not_reproduced_stop_it(exported, broken_visual, tmp_path, capsys):
    out = tmp_path / "deep" / "bundle"
    assert main(["export", str(exported.run), "--out", str(out), "--json"]) == 2
    assert "the exported visual graph does not reproduce PyTorch" in one_line(capsys)
    assert not out.exists()
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_difference_in_the_decisions_stops_it(
    exported, broken_visual, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(export.exporter, "check_golden", lambda golden, runner: None)
    assert main(["export", str(exported.run), "--out", str(tmp_path / "b"), "--quiet"]) == 2
    message = one_line(capsys)
    assert "do not decide like the PyTorch model" in message
    assert "the first part to differ is the visual graph" in message
    assert list(tmp_path.iterdir()) == []


def test_nan_weights_stop_it(exported, tmp_path, capsys):
    run = shutil.copytree(exported.run, tmp_path / "run")
    weights = load_file(run / "model.safetensors")
    weights["fusion.text_decision.0.bias"][0] = float("nan")
    save_file(weights, run / "model.safetensors")
    assert main(["export", str(run), "--out", str(tmp_path / "b"), "--quiet"]) == 2
    message = one_line(capsys)
    assert "fusion.text_decision.0.bias has NaN" in message
    assert not (tmp_path / "b").exists()


def test_nan_weights_of_a_model_in_memory_stop_it(exported, copied_graphs, tmp_path):
    bias = exported.checkpoint.model.fusion.text_decision[0].bias
    before = bias[0].item()
    with torch.no_grad():
        bias[0] = float("nan")
    try:
        with pytest.raises(MerEdgeError, match="is not finite; no bundle was written"):
            export_bundle(exported.checkpoint, tmp_path / "b")
    finally:
        with torch.no_grad():
            bias[0] = before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["nothing", "empty", "file", "bundle"])
def test_what_is_no_run_gets_one_line(what, exported, tmp_path, capsys):
    run = tmp_path / "run"
    if what == "empty":
        run.mkdir()
    elif what == "file":
        run.write_text("hello")
    elif what == "bundle":
        run = exported.bundle.path
    assert main(["export", str(run), "--out", str(tmp_path / "b"), "--quiet"]) == 2
    assert str(run) in one_line(capsys)
    assert not (tmp_path / "b").exists()


def test_an_existing_bundle_stays_without_overwrite(exported, tmp_path, capsys):
    out = shutil.copytree(exported.bundle.path, tmp_path / "b")
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert main(["export", str(exported.run), "--out", str(out), "--quiet"]) == 2
    assert "exists already" in one_line(capsys)
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_overwrite_replaces_a_bundle(exported, copied_graphs, tmp_path, capsys):
    out = shutil.copytree(exported.bundle.path, tmp_path / "b")
    (out / "tokenizer.json").write_text("damaged")
    assert main(["export", str(exported.run), "--out", str(out), "--overwrite", "--quiet"]) == 0
    Bundle.load(out)
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("what", ["run", "file", "home"])
def test_overwrite_removes_nothing_but_a_bundle(what, exported, tmp_path, capsys):
    """``--out .`` or ``--out RUN`` with --overwrite must not cost anyone their files."""
    out = tmp_path / "precious"
    if what == "run":
        shutil.copytree(exported.run, out)
    elif what == "file":
        out.write_text("precious")
    else:
        shutil.copytree(exported.bundle.path, out)
        (out / "papers").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert main(["export", str(exported.run), "--out", str(out), "--overwrite", "--quiet"]) == 2
    assert "name another --out" in one_line(capsys)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("file", ["text.onnx", "golden.safetensors", "manifest.json"])
def test_a_full_disk_leaves_nothing(file, exported, tmp_path, capsys, monkeypatch):
    real = Path.write_bytes

    def write_bytes(path: Path, data) -> int:
        if path.name == file:
            real(path, bytes(data)[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, data)

    def trace_graph(plan, metadata):
        return onnx.load(exported.files[plan.name])

    monkeypatch.setattr(export.exporter, "trace_graph", trace_graph)
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    assert main(["export", str(exported.run), "--out", str(tmp_path / "b"), "--quiet"]) == 2
    assert "the disk is full while exporting" in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 500 kB, where a tiny bundle of 900 kB does not fit."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_leaves_nothing(exported, copied_graphs, small_disk, capsys):
    out = small_disk / "b"
    assert main(["export", str(exported.run), "--out", str(out), "--quiet"]) == 2
    message = one_line(capsys)
    assert "the disk is full while exporting" in message
    assert "nothing was kept" in message
    assert list(small_disk.iterdir()) == []
