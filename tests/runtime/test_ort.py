"""ONNX Runtime as a backend: what it refuses, and that it never falls back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from mer_edge import engines
from mer_edge.bundle import Bundle
from mer_edge.errors import MerEdgeError, MissingExtraError
from runtime.backend import open_backend
from runtime.cores import usable_cores
from runtime.ort import OrtBackend, OrtGraph, check_provider

TASKS = Path("/proc/self/task")


def test_a_graph_runs_and_names_its_engine(bundle: Bundle) -> None:
    spec = bundle.manifest.graphs["text"]
    graph = OrtBackend("cpu", 1).load(bundle.graph_path("text"), spec)
    ids = np.array([[2, 4, 3], [2, 6, 0]])
    # Inputs are cast to what the manifest says: the mask comes as bool here.
    outputs = graph.run({"input_ids": ids.astype(np.int32), "attention_mask": ids > 0})
    np.testing.assert_array_equal(outputs["text"], [[9, 3], [8, 2]])
    assert graph.engine == "onnxruntime CPUExecutionProvider"


def test_unknown_devices_are_refused_with_the_names(bundle: Bundle) -> None:
    with pytest.raises(MerEdgeError, match="--device tpu: no such device; choose from cpu, cuda"):
        open_backend("tpu", bundle)


@pytest.mark.parametrize("threads", [0, -1, 100_000, 1.5])
def test_threads_have_bounds(bundle: Bundle, threads: Any) -> None:
    with pytest.raises(
        MerEdgeError, match=rf"--threads {threads}: expected a whole number from 1 to \d+$"
    ):
        open_backend("cpu", bundle, threads)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    reason="this onnxruntime has CUDA",
)
def test_cuda_is_an_error_where_the_package_has_none() -> None:
    with pytest.raises(MerEdgeError, match=r"--device cuda: .* offers .*CPUExecutionProvider"):
        OrtBackend("cuda", None)


def test_cuda_is_an_error_where_the_session_comes_without_it(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package claims CUDA, the session comes up on the CPU: what a missing cuDNN looks like."""
    claimed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: claimed)
    real = onnxruntime.InferenceSession

    def without_cuda(path: str, options: object, providers: list[str]) -> object:
        assert providers == ["CUDAExecutionProvider"]
        return real(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", without_cuda)
    backend = OrtBackend("cuda", None)
    with pytest.raises(MerEdgeError, match=r"asked for CUDA.*, the session runs on CPU"):
        backend.load(bundle.graph_path("text"), bundle.manifest.graphs["text"])


class FallenSession:
    """A session that loses its provider in its first run."""

    def __init__(self) -> None:
        self.providers = ["CUDAExecutionProvider"]

    def get_providers(self) -> list[str]:
        return self.providers

    def run(self, names: list[str], feeds: dict[str, object]) -> list[object]:
        self.providers = ["CPUExecutionProvider"]
        return [np.zeros(1)] * len(names)


def test_a_fall_to_the_cpu_during_the_first_run_is_an_error(bundle: Bundle) -> None:
    spec = replace(bundle.manifest.graphs["text"], inputs=[])
    session = FallenSession()
    check_provider(session, Path("text.onnx"), "CUDAExecutionProvider")
    graph = OrtGraph(session, Path("text.onnx"), spec, "CUDAExecutionProvider")
    with pytest.raises(MerEdgeError, match="the session runs on CPUExecutionProvider"):
        graph.run({})


def test_a_file_that_is_no_graph(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_bytes(b"not a graph")
    with pytest.raises(MerEdgeError, match=r"text\.onnx: onnxruntime .* cannot load it") as caught:
        OrtBackend("cpu", 1).load(tmp_path / "text.onnx", bundle.manifest.graphs["text"])
    assert "\n" not in str(caught.value)


def test_a_graph_with_other_inputs_than_stated(bundle: Bundle) -> None:
    with pytest.raises(MerEdgeError, match=r"audio\.onnx: the graph's inputs are text, waveform"):
        OrtBackend("cpu", 1).load(bundle.graph_path("audio"), bundle.manifest.graphs["text"])
    spec = bundle.manifest.graphs["text"]
    spec = replace(spec, outputs=[*spec.outputs, replace(spec.outputs[0], name="tokens")])
    with pytest.raises(MerEdgeError, match=r"text\.onnx: the graph's outputs are text; the"):
        OrtBackend("cpu", 1).load(bundle.graph_path("text"), spec)


def test_a_run_that_fails_names_the_shapes(bundle: Bundle) -> None:
    spec = bundle.manifest.graphs["text"]
    graph = OrtBackend("cpu", 1).load(bundle.graph_path("text"), spec)
    feeds = {"input_ids": np.zeros((1, 3)), "attention_mask": np.zeros((1, 4))}
    with pytest.raises(MerEdgeError, match=r"failed on input_ids \(1, 3\), attention_mask \(1, 4"):
        graph.run(feeds)


def test_two_packages_in_one_folder_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"onnxruntime": "1.23.0", "onnxruntime-gpu": "1.22.0"}
    monkeypatch.setattr(engines, "installed_onnxruntimes", lambda: both)
    with pytest.raises(MerEdgeError, match="pip uninstall onnxruntime onnxruntime-gpu") as caught:
        OrtBackend("cpu", None)
    assert "onnxruntime 1.23.0 and onnxruntime-gpu 1.22.0" in str(caught.value)


def test_installed_packages_come_from_their_metadata() -> None:
    assert engines.installed_onnxruntimes() == {"onnxruntime": onnxruntime.__version__}
    assert engines.conflict({"onnxruntime": "1.23.0"}) is None
    assert engines.conflict({}) is None


@pytest.mark.parametrize(("device", "extra"), [("cpu", "cpu"), ("cuda", "gpu")])
def test_a_missing_package_is_told_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, device: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'mer-edge\[{extra}\]'"):
        OrtBackend(device, None)


def test_the_engine_is_told_to_collect_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    monkeypatch.setattr(
        onnxruntime, "disable_telemetry_events", lambda: told.append(True), raising=False
    )
    assert engines.import_onnxruntime() is onnxruntime
    OrtBackend("cpu", None)
    assert told == [True, True]


def test_a_restricted_process_gets_its_own_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from runtime import ort

    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 9}, raising=False)
    assert ort._default_threads() == 3
    assert OrtBackend("cpu", None).loaders == 3
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert ort._default_threads() == 0


def test_the_fusion_graph_wakes_no_threads(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = onnxruntime.InferenceSession

    def seen(path: str, options: Any, **more: Any) -> object:
        asked.append(options.intra_op_num_threads)
        return real(path, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", seen)
    for name in ("audio", "fusion"):
        OrtBackend("cpu", 2).load(bundle.graph_path(name), bundle.manifest.graphs[name])
    assert asked == [2, 1]


def test_a_session_gives_its_cores_away(bundle: Bundle) -> None:
    """Within a run soon, after it at once: the next graph, and others, want them."""
    backend = OrtBackend("cpu", 2)
    session = backend.open_session(bundle.graph_path("text"), bundle.manifest.graphs["text"])
    options = session.get_session_options()
    assert options.get_session_config_entry("session.intra_op.spin_duration_us") == "100"
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


@pytest.mark.parametrize(
    ("cores", "threads", "keeps_to"), [({3, 5, 9}, 3, "6;10"), ({3, 5, 9}, 2, None), ({3}, 1, None)]
)
def test_threads_that_are_as_many_as_the_cores_keep_to_one_each(
    monkeypatch: pytest.MonkeyPatch, cores: set[int], threads: int, keeps_to: str | None
) -> None:
    """The caller's is anywhere; the engine counts cores from 1."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores, raising=False)
    options = onnxruntime.SessionOptions()
    engines.set_threads(options, threads)
    assert options.intra_op_num_threads == threads
    affinities = "session.intra_op_thread_affinities"
    if keeps_to is None:
        with pytest.raises(RuntimeError, match=affinities):
            options.get_session_config_entry(affinities)
    else:
        assert options.get_session_config_entry(affinities) == keeps_to


@pytest.mark.skipif(not TASKS.exists() or usable_cores() < 2, reason="Linux, two cores")
def test_the_engine_takes_the_cores(bundle: Bundle) -> None:
    """In a process of its own: other sessions have threads, too."""
    found = subprocess.run(
        [sys.executable, "-c", THREAD_CORES, str(bundle.graph_path("text"))],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(found.stdout) == sorted(os.sched_getaffinity(0))[1:]


THREAD_CORES = """
import json, os, sys
import onnxruntime
from mer_edge.engines import set_threads
options = onnxruntime.SessionOptions()
set_threads(options, len(os.sched_getaffinity(0)))
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
allowed = [os.sched_getaffinity(int(thread)) for thread in os.listdir("/proc/self/task")]
print(json.dumps(sorted(core for cores in allowed if len(cores) == 1 for core in cores)))
"""
"""Prints the cores that threads keep to."""


def test_an_engine_that_does_not_load_is_not_told_as_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('failed to map segment')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime")
    with pytest.raises(MerEdgeError, match=r"is installed and cannot be loaded \(failed to map"):
        OrtBackend("cpu", 1)
