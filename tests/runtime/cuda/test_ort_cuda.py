"""IO binding, run for real by the CPU provider on the fake GPU's memory; CUDA by its options."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from mer_edge.errors import MerEdgeError
from runtime.chain import Chain
from runtime.cuda import backend
from runtime.cuda.backend import open_cuda_backend, ort_backend
from runtime.cuda.cudart import Cuda, OutOfDeviceMemoryError
from runtime.cuda.ort_cuda import OrtPlace
from runtime.ort import OrtBackend
from runtime.shapes import load_graphs
from runtime.texts import Texts
from tests.runtime.bundles import expected_logits, make_clip
from tests.runtime.cuda.fake_cuda import FakeCuda, cudaError_t

REAL = onnxruntime.InferenceSession
CLIPS = [
    [make_clip("good day", [0.25, 0.75], [51, 102])],
    [make_clip("bad", [0.5, None, 0.125], [None, 200, 10]), make_clip(None, [0.5], [7])],
    [make_clip("good day", [0.1] * 6, [3] * 6)],
    [make_clip("good day", [0.5, 0.25], [2, 1])],
]


@pytest.fixture
def cuda():
    return FakeCuda(seed=None)  # the CPU provider computes at once: copies must be done by then


@pytest.fixture
def place(cuda):
    return OrtPlace(OrtBackend("cpu", 1), Cuda(cuda), "cpu")


def chain_of(bundle, made):
    texts = Texts(bundle, made.arrays)
    return Chain(bundle, load_graphs(bundle, made), texts, made.arrays)


def test_the_chain_runs_over_bound_memory(bundle, place, cuda):
    chain = chain_of(bundle, ort_backend(bundle, place))
    for clips in CLIPS * 2:
        output = chain.run(clips)
        expected = [expected_logits(clip) for clip in clips]
        np.testing.assert_allclose(output.logits, expected, atol=1e-5)
    assert output.engine == "onnxruntime CPUExecutionProvider, IO binding"
    cuda.log.clear()
    chain.run(CLIPS[0])
    copies = [detail for _, _, detail in cuda.calls("cudaMemcpyAsync")]
    assert [size for way, size in copies if way == "out"] == [8, 24, 12]
    assert {name for name, _, _ in cuda.log}.isdisjoint({"cudaMalloc", "cudaMallocHost"})


def test_shapes_run_as_they_are(bundle, place):
    """Rounding up would change the range that a dynamically quantised graph sees."""
    made = ort_backend(bundle, place)
    graph = made.load(bundle.graph_path("text"), bundle.manifest.graphs["text"])
    ids = np.array([[2, 4, 6, 4, 6, 4, 6, 3, 0]])
    graph.run({"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64)})
    assert list(graph._slots) == [(("batch", 1), ("tokens", 9))]


class Sessions:
    """Stands where ``onnxruntime.InferenceSession`` is: has CUDA as far as it is told to."""

    def __init__(self, refuses_graphs: bool = False, fails: str = "") -> None:
        self.options: list[dict[str, str]] = []
        self.run_options: list[dict[str, str]] = []
        self.bound: list[dict[str, object]] = []
        self.providers = ["CUDAExecutionProvider"]
        self.refuses_graphs, self.fails = refuses_graphs, fails
        self.loses_its_provider = False

    def __call__(self, path, options, providers, provider_options):
        assert providers == ["CUDAExecutionProvider"]
        self.options += provider_options
        if self.refuses_graphs and provider_options[0]["enable_cuda_graph"] == "1":
            raise RuntimeError("not all nodes are on CUDA\nand more")
        self._real = REAL(path)
        return self

    def disable_fallback(self):
        pass

    def get_inputs(self):
        return self._real.get_inputs()

    def get_outputs(self):
        return self._real.get_outputs()

    def get_providers(self):
        return self.providers

    def io_binding(self):
        bind = lambda **bound: self.bound.append(bound)  # noqa: E731
        return SimpleNamespace(bind_input=bind, bind_output=bind)

    def run_with_iobinding(self, binding, options):
        keys = ("disable_synchronize_execution_providers", "gpu_graph_id")
        self.run_options.append({k: _entry(options, k) for k in keys})
        if self.loses_its_provider:
            self.providers = ["CPUExecutionProvider"]
        if self.fails:
            raise RuntimeError(self.fails)


def _entry(options, key):
    try:
        return options.get_run_config_entry(key)
    except (RuntimeError, ValueError, KeyError):
        return None


@pytest.fixture
def on_cuda(monkeypatch, cuda):
    """ONNX Runtime with CUDA, as it describes itself."""
    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(backend, "load_cuda", lambda device, extra: Cuda(cuda))

    def install(sessions):
        monkeypatch.setattr(onnxruntime, "InferenceSession", sessions)
        return sessions

    return install


IDS = np.array([[2, 4, 3]])
FEEDS = {"input_ids": IDS, "attention_mask": np.ones_like(IDS)}


def text_graph(bundle, **options):
    made = open_cuda_backend(bundle, "cuda", **options)
    return made.load(bundle.graph_path("text"), bundle.manifest.graphs["text"])


def test_what_cuda_is_asked_for(bundle, on_cuda, cuda):
    sessions = on_cuda(Sessions())
    graph = text_graph(bundle)
    graph.run(FEEDS)
    (options,) = sessions.options
    assert options["use_tf32"] == "0"
    assert options["enable_cuda_graph"] == "0"
    assert int(options["user_compute_stream"]) in cuda._streams
    assert {bound["name"]: (bound["device_type"], bound["shape"]) for bound in sessions.bound} == {
        "input_ids": ("cuda", [1, 3]),
        "attention_mask": ("cuda", [1, 3]),
        "text": ("cuda", [1, 2]),
    }
    for bound in sessions.bound:
        cuda.view(bound["buffer_ptr"], 8)  # memory of the GPU
    assert sessions.run_options == [
        {"disable_synchronize_execution_providers": "1", "gpu_graph_id": None}
    ]
    assert graph.engine == "onnxruntime CUDAExecutionProvider, IO binding"


def test_fp16_graphs_may_use_tf32(bundle, on_cuda, monkeypatch):
    sessions = on_cuda(Sessions())
    graphs = bundle.manifest.graphs
    monkeypatch.setitem(graphs, "text", replace(graphs["text"], precision="fp16"))
    text_graph(bundle)
    assert "use_tf32" not in sessions.options[0]


def test_cuda_graphs_have_a_number_for_each_bucket(bundle, on_cuda):
    sessions = on_cuda(Sessions())
    graph = text_graph(bundle, cuda_graphs=True)
    for length in (3, 4, 3):
        ids = np.ones((1, length), np.int64)
        graph.run({"input_ids": ids, "attention_mask": ids})
    assert sessions.options[0]["enable_cuda_graph"] == "1"
    assert [options["gpu_graph_id"] for options in sessions.run_options] == ["1", "2", "1"]
    assert graph.engine == "onnxruntime CUDAExecutionProvider, IO binding, CUDA graphs left to it"


def test_refused_cuda_graphs_are_told(bundle, on_cuda):
    sessions = on_cuda(Sessions(refuses_graphs=True))
    graph = text_graph(bundle, cuda_graphs=True)
    assert [options["enable_cuda_graph"] for options in sessions.options] == ["1", "0"]
    assert "IO binding, without CUDA graphs: " in graph.engine
    assert "not all nodes are on CUDA" in graph.engine
    assert "and more" not in graph.engine


def test_a_session_that_falls_to_the_cpu_is_an_error(bundle, on_cuda):
    sessions = on_cuda(Sessions())
    graph = text_graph(bundle)
    sessions.loses_its_provider = True
    with pytest.raises(MerEdgeError, match=r"asked for CUDA.*, the session runs on CPUExecution"):
        graph.run(FEEDS)


def test_onnxruntime_out_of_memory_says_the_sizes(bundle, on_cuda):
    said = "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size "
    on_cuda(Sessions(fails=f"Non-zero status code while running Conv node. {said}123456789"))
    with pytest.raises(OutOfDeviceMemoryError) as caught:
        text_graph(bundle).run(FEEDS)
    assert str(caught.value).startswith(
        "the GPU is out of memory (onnxruntime): the text graph in onnxruntime needs 123.5 MB, of "
        "4295 MB 4295.0 MB are free; run fewer clips at once"
    )


def test_another_failure_is_one_sentence(bundle, on_cuda):
    on_cuda(Sessions(fails="CUDNN_STATUS_EXECUTION_FAILED\nfile and line"))
    with pytest.raises(MerEdgeError, match=r"text\.onnx: onnxruntime failed: CUDNN\w+$"):
        text_graph(bundle).run(FEEDS)


@pytest.mark.parametrize("threads", [None, 1])
def test_cuda_without_a_gpu_is_an_error(bundle, on_cuda, monkeypatch, threads):
    """The package has CUDA, the machine has not."""
    on_cuda(Sessions())
    nothing = FakeCuda(fails={"cudaGetDeviceCount": cudaError_t.cudaErrorNoDevice})
    monkeypatch.setattr(backend, "load_cuda", lambda device, extra: Cuda(nothing))
    with pytest.raises(MerEdgeError, match="no NVIDIA GPU can be used here"):
        open_cuda_backend(bundle, "cuda", threads)


def test_an_output_whose_size_no_input_tells(bundle, place, monkeypatch):
    graphs = bundle.manifest.graphs
    text = graphs["text"]
    grown = replace(text, outputs=[replace(text.outputs[0], shape=["batch", "words"])])
    monkeypatch.setitem(graphs, "text", grown)
    with pytest.raises(MerEdgeError, match="text has a size 'words' that no input tells"):
        ort_backend(bundle, place).load(bundle.graph_path("text"), grown)
