"""Probes try the real thing, and what breaks in one stays in it."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from mer_edge.doctor import machine
from mer_edge.doctor.drawn_face import draw_face
from mer_edge.doctor.isolate import run_isolated
from mer_edge.doctor.tiny_graph import DOUBLE, run_double
from tests.starter import make_starter


def test_the_tiny_graph_is_what_onnx_would_write() -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [value("x", TensorProto.FLOAT, [2])],
        [value("y", TensorProto.FLOAT, [2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(onnx.load_from_string(DOUBLE), full_check=True)
    assert model.SerializeToString(deterministic=True) == DOUBLE


def test_the_cpu_provider_really_runs() -> None:
    assert run_double("CPUExecutionProvider") is None


@pytest.mark.skipif(
    "AzureExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="this onnxruntime lists no provider that runs nothing",
)
def test_a_provider_that_leaves_the_work_to_the_cpu_is_no_provider() -> None:
    with pytest.raises(Exception, match="fallback to CPU EP has been explicitly disabled"):
        run_double("AzureExecutionProvider")


def test_probes_of_what_is_there() -> None:
    numpy = run_isolated("numpy", "base_module", "numpy")
    assert (numpy.status, numpy.facts) == ("ok", {"version": np.__version__})
    engine = run_isolated("onnxruntime", "onnxruntime_package")
    assert engine.status == "ok"
    assert engine.facts["version"] == onnxruntime.__version__
    assert "CPUExecutionProvider" in engine.facts["providers"].split()
    assert run_isolated("CPU", "provider", "CPUExecutionProvider").status == "ok"
    media = run_isolated("media", "media")
    assert media.status == "ok"
    assert media.facts["pyav"] == av.__version__


def test_the_starter(tmp_path: Path) -> None:
    assert run_isolated("starter", "starter", str(tmp_path)).status == "missing"
    path = make_starter(tmp_path)
    found = run_isolated("starter", "starter", str(path))
    assert found.status == "ok", found
    assert found.detail.endswith("MB, CC BY-NC-SA 4.0; its golden clips come out right")
    assert found.facts["name"] == "stand-in 1"
    (path / "LICENSE").unlink()
    assert "no LICENSE of its weights" in run_isolated("starter", "starter", str(path)).detail
    (path / "audio.onnx").write_bytes(b"")
    broken = run_isolated("starter", "starter", str(path))
    assert (broken.status, "audio.onnx" in broken.detail) == ("broken", True)


def test_the_detector_finds_the_drawn_face() -> None:
    finding = run_isolated("detector", "detector")
    assert finding.status == "ok", finding.detail
    assert float(finding.facts["score"]) > 0.9
    assert draw_face().shape == (240, 240, 3)


def fake_package(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str) -> None:
    (folder / f"{name}.py").write_text(code)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise ImportError('libcudart.so.12: cannot open shared object file')", "libcudart.so.12"),
        ("import mer_edge_no_such_module", "needs mer_edge_no_such_module"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed with SIGSEGV"),
        ("import os; os._exit(7)", "ended with exit code 7"),
        ("import sys, os; print('no licence', file=sys.stderr); os._exit(1)", "no licence"),
    ],
)
def test_a_broken_package_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    fake_package(tmp_path, monkeypatch, "msgspec", code)
    finding = run_isolated("msgspec", "base_module", "msgspec")
    assert finding.status == ("missing" if told.startswith("needs") else "broken")
    assert told in finding.detail


def test_a_package_that_never_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_package(tmp_path, monkeypatch, "rich", "import time; time.sleep(60)")
    finding = run_isolated("rich", "base_module", "rich", timeout_s=1)
    assert (finding.status, finding.detail) == ("broken", "gave no answer in 1 s")


def test_a_package_that_talks_does_not_disturb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_package(tmp_path, monkeypatch, "rich", "print('welcome', end=''); __version__ = '9'")
    assert run_isolated("rich", "base_module", "rich").detail == "9"


def test_the_folder_one_stands_in_is_not_imported_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('shadow')")
    monkeypatch.chdir(tmp_path)
    assert run_isolated("rich", "base_module", "rich").status == "ok"


def test_a_missing_package_has_its_line() -> None:
    finding = run_isolated("nothing", "base_module", "mer_edge_no_such_module")
    assert (finding.status, finding.fix) == ("missing", "pip install mer-edge")
    tensorrt = run_isolated("TensorRT", "tensorrt", "tensorrt")
    assert (tensorrt.status, tensorrt.fix) == ("missing", "pip install 'mer-edge[tensorrt]'")


def test_tensorrt_is_tried_by_making_a_builder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "__version__ = '10.3.0'\n"
        "class ILogger:\n    pass\n"
        "class Builder:\n    def __init__(self, logger): {}\n"
    )
    fake_package(tmp_path, monkeypatch, "tensorrt", code.format("pass"))
    finding = run_isolated("TensorRT", "tensorrt", "tensorrt")
    assert (finding.status, finding.facts["version"]) == ("ok", "10.3.0")
    fake_package(tmp_path, monkeypatch, "tensorrt", code.format("raise TypeError('no driver')"))
    assert run_isolated("TensorRT", "tensorrt", "tensorrt").detail == "TypeError: no driver"
    old = code.replace("10.3.0", "8.6.1").format("pass")
    fake_package(tmp_path, monkeypatch, "tensorrt", old)
    finding = run_isolated("TensorRT", "tensorrt", "tensorrt")
    assert finding.status == "broken"
    assert "TensorRT is 8.6.1; expected 10.3 or later" in finding.detail


def test_a_jetson_by_its_own_files(tmp_path: Path) -> None:
    release, model = tmp_path / "nv_tegra_release", tmp_path / "model"
    assert machine.jetson(release, model) is None
    release.write_text("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: x\n")
    model.write_bytes(b"NVIDIA Jetson Orin Nano Developer Kit\0")
    finding = machine.jetson(release, model)
    assert finding is not None
    assert finding.detail == "NVIDIA Jetson Orin Nano Developer Kit, JetPack 6.x (L4T 36.4.3)"
    release.write_text("# R99 (release), REVISION: 1.0\n")
    unknown = machine.jetson(release, model)
    assert unknown is not None
    assert "does not know" in unknown.detail
    release.write_text("something else")
    other = machine.jetson(release, model)
    assert other is not None
    assert other.detail.endswith("reads: something else")


def test_the_gpu_as_its_tool_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpu().status == "missing"
    tool.write_text("#!/bin/sh\necho 'NVIDIA L4, 550.54, 23034 MiB'\n")
    tool.chmod(0o755)
    assert (machine.gpu().status, machine.gpu().detail) == ("ok", "NVIDIA L4, 550.54, 23034 MiB")
    tool.write_text("#!/bin/sh\necho 'driver/library version mismatch' >&2; exit 18\n")
    broken = machine.gpu()
    assert (broken.status, "mismatch" in broken.detail) == ("broken", True)
