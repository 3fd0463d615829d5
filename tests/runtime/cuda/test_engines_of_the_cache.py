"""Engines come from the cache, checked, or not at all: nothing is built while recognising."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mer_edge.cuda_device import Gpu
from mer_edge.engine_cache import PLAN, SIDECAR
from mer_edge.errors import MerEdgeError, MissingExtraError
from runtime.cuda import backend
from runtime.cuda.backend import open_cuda_backend, tensorrt_backend
from runtime.cuda.cudart import Cuda
from tests.runtime.cuda.fake_cuda import FakeCuda
from tests.runtime.cuda.fake_tensorrt import ORIN, FakeTensorRT


def load(bundle, cache, version="10.13.2", gpu=ORIN, graph="audio", change=lambda fake: None):
    cuda = FakeCuda()
    fake = FakeTensorRT(version, cuda)
    change(fake)
    made = tensorrt_backend(bundle, fake.api, Cuda(cuda), gpu, cache, True)
    return made.load(bundle.graph_path(graph), bundle.manifest.graphs[graph])


@pytest.fixture
def cache(bundle, tmp_path):
    FakeTensorRT("10.13.2", FakeCuda()).fill(tmp_path / "cache", bundle)
    return tmp_path / "cache"


def test_a_missing_engine_says_what_builds_it(bundle, tmp_path):
    with pytest.raises(MerEdgeError) as caught:
        load(bundle, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no engine for the graph audio; run: mer-edge build {bundle.path} "
        "--device tensorrt"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_engine_of_another_version_is_stale(bundle, cache):
    with pytest.raises(MerEdgeError, match=r"stale: .*version 10\.13\.2 \(wanted: 11\.0\.0\).*run"):
        load(bundle, cache, "11.0.0")


def test_an_engine_of_another_gpu_is_foreign(bundle, cache):
    other = Gpu("NVIDIA GeForce RTX 4090", "8.9")
    with pytest.raises(MerEdgeError, match=r"foreign: .*gpu Orin \(wanted: NVIDIA GeForce RTX 4"):
        load(bundle, cache, gpu=other)


def test_a_damaged_engine_is_not_deserialised(bundle, cache):
    (plan,) = cache.glob(f"audio-*/{PLAN}")
    content = bytearray(plan.read_bytes())
    content[20] ^= 1
    plan.write_bytes(bytes(content))
    with pytest.raises(MerEdgeError, match=r"the engine is damaged: SHA-256 .* mer-edge build"):
        load(bundle, cache)


def test_an_engine_that_is_refused_is_told_with_tensorrts_reason(bundle, cache):
    with pytest.raises(MerEdgeError) as caught:
        load(bundle, cache, change=lambda fake: fake.refuses.add("audio"))
    assert str(caught.value) == (
        "TensorRT 10.13.2 does not take the engine of the audio graph on Orin: the engine was "
        f"made for another compute capability; run: mer-edge build {bundle.path} --device tensorrt"
    )


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"inputs": [["waveform", "float32", ["segments", 15600]]]},
            r"has no text; the manifest says text \(input float32 device\)",
        ),
        (
            {"outputs": [["audio", "int64", ["segments", 2]]]},
            r"has audio \(output int64 device\); the manifest says audio \(output float32 device",
        ),
    ],
)
def test_an_engine_of_other_tensors_is_refused(bundle, tmp_path, changed, told):
    FakeTensorRT("10.13.2", FakeCuda()).fill(tmp_path, bundle, graph="audio", **changed)
    with pytest.raises(MerEdgeError, match=rf"the audio engine {told}.*mer-edge build"):
        load(bundle, tmp_path)


def test_shapes_outside_of_the_profile_are_refused(bundle, tmp_path):
    narrow = {"batch": [1, 1, 1], "tokens": [3, 4, 8], "segments": [1, 1, 1]}
    FakeTensorRT("10.13.2", FakeCuda()).fill(
        tmp_path, bundle, ranges=narrow | {"clip_segments": [1, 1, 1]}
    )
    graph = load(bundle, tmp_path, graph="text")
    ids = np.zeros((2, 3), np.int64)
    with pytest.raises(MerEdgeError, match=r"takes input_ids from \(1, 3\) to \(1, 8\), not \(2"):
        graph.run({"input_ids": ids, "attention_mask": ids})


@pytest.mark.parametrize(
    ("gpu", "found"),
    [(Gpu("RTX 4090", "8.9"), True), (Gpu("RTX 2080", "7.5"), False)],
)
def test_rtx_engines_for_all_gpus_are_not_for_turing(bundle, tmp_path, gpu, found):
    fake = FakeTensorRT("rtx", FakeCuda())
    fake.fill(tmp_path, bundle, Gpu("RTX 4090", "8.9"))
    (sidecar,) = tmp_path.glob(f"audio-*/{SIDECAR}")
    assert json.loads(sidecar.read_text())["key"]["compute_capability"] == "any"
    if found:
        assert load(bundle, tmp_path, "rtx", gpu).engine == "TensorRT-RTX 1.7.1.116 on RTX 4090"
    else:
        with pytest.raises(MerEdgeError, match=r"capability any \(wanted: 7\.5\).*tensorrt-rtx"):
            load(bundle, tmp_path, "rtx", gpu)


def test_a_graph_of_another_bundle_is_refused(bundle, cache, tokens_bundle):
    cuda = FakeCuda()
    made = tensorrt_backend(
        bundle, FakeTensorRT("10.13.2", cuda).api, Cuda(cuda), ORIN, cache, True
    )
    with pytest.raises(MerEdgeError, match="not a graph of"):
        made.load(Path("audio.onnx"), tokens_bundle.manifest.graphs["audio"])


@pytest.fixture
def gpu_machine(monkeypatch):
    """A machine with a GPU and TensorRT 10.13."""
    cuda = FakeCuda()
    monkeypatch.setattr(backend, "load_tensorrt", lambda flavour: FakeTensorRT("10.13.2", cuda).api)
    monkeypatch.setattr(backend, "load_cuda", lambda device, extra: Cuda(cuda))
    monkeypatch.setattr(backend, "current_gpu", lambda: ORIN)


def test_the_backend_is_opened_over_the_users_cache(bundle, cache, gpu_machine, monkeypatch):
    monkeypatch.setenv("MER_EDGE_CACHE", str(cache))
    made = open_cuda_backend(bundle, "tensorrt")
    graph = made.load(bundle.graph_path("audio"), bundle.manifest.graphs["audio"])
    assert graph.engine == "TensorRT 10.13.2 on Orin"


def test_options_that_mean_nothing_are_refused(bundle, gpu_machine):
    with pytest.raises(MerEdgeError, match="--threads 2: tensorrt runs nothing on CPU threads"):
        open_cuda_backend(bundle, "tensorrt", 2)
    with pytest.raises(MerEdgeError, match="choose from cuda, tensorrt, tensorrt-rtx"):
        open_cuda_backend(bundle, "cpu")


def test_a_machine_without_a_gpu(bundle, gpu_machine, monkeypatch):
    monkeypatch.setattr(backend, "current_gpu", lambda: None)
    with pytest.raises(MerEdgeError, match="--device tensorrt: no NVIDIA GPU here"):
        open_cuda_backend(bundle, "tensorrt")


def test_a_package_that_is_not_there_is_named(bundle, monkeypatch):
    monkeypatch.setattr("mer_edge.tensorrt_api._is_package", lambda name: False)
    with pytest.raises(MissingExtraError, match=r"'mer-edge\[tensorrt\]'"):
        open_cuda_backend(bundle, "tensorrt")
