"""What of ``make bench-gpu`` runs without a GPU: options, refusals, the report, the arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import on_gpu
from benchmarks.gpu import floor, latency, own
from benchmarks.gpu.report import as_markdown
from mer_edge.bundle import Bundle
from mer_edge.clip_file import save_clip
from mer_edge.cuda_device import Gpu
from runtime.cuda.cudart import Cuda
from tests.runtime.bundles import expected_logits, make_bundle, make_clip
from tests.runtime.cuda.conftest import Rig
from tests.runtime.cuda.fake_cuda import FakeCuda

TINY = Path(__file__).parents[2] / "data" / "tiny-bundle"


def test_without_a_gpu_there_is_nothing_to_try(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(on_gpu, "current_gpu", lambda: None)
    assert on_gpu.main(["--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: no NVIDIA GPU here, so there is nothing to try\n"
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_is_recorded_word_for_word(monkeypatch, capsys, tmp_path):
    """A GPU, but no engine that could use it: this machine's own packages answer."""
    monkeypatch.setattr(on_gpu, "current_gpu", lambda: Gpu("NVIDIA H100", "9.0"))
    monkeypatch.setattr(on_gpu, "is_installed", lambda flavour: False)
    options = ["--bundle", str(TINY), "--no-latency", "--out", str(tmp_path)]
    assert on_gpu.main(options) == 1
    outcome = json.loads((tmp_path / "on-gpu.json").read_text())
    (step,) = outcome["bundles"][0]["steps"]
    assert step["command"] == f"mer-edge verify {TINY} --device cuda"
    assert step["exit_code"] == 2
    assert step["stderr"][-1].startswith("error: --device cuda: ")
    page = (tmp_path / "on-gpu.md").read_text()
    assert page.startswith("# On NVIDIA H100\n")
    assert step["stderr"][-1].replace("|", "\\|") in page
    assert "0 of 1 steps went well on NVIDIA H100" in capsys.readouterr().out


def test_a_bundle_that_is_none_is_an_error(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(on_gpu, "current_gpu", lambda: Gpu("NVIDIA H100", "9.0"))
    assert on_gpu.main(["--bundle", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "error: " in capsys.readouterr().err


def test_who_takes_part(monkeypatch, tmp_path):
    monkeypatch.setattr(latency, "is_installed", lambda flavour: flavour == "tensorrt")
    found = {name: told for name, _, told in latency.subjects(tmp_path, "cuda")}
    assert list(found) == [
        "cuda",
        "cuda without CUDA graphs",
        "tensorrt",
        "tensorrt without CUDA graphs",
        "pytorch eager",
        "torch.compile with CUDA graphs",
    ]
    assert found["tensorrt"] == {"device": "tensorrt", "cache": str(tmp_path), "cuda_graphs": True}
    assert found["torch.compile with CUDA graphs"] == {"compiled": True, "device": "cuda"}


def test_the_own_partner_runs_the_chain_on_its_backend(monkeypatch, tmp_path):
    """Over the stand-ins for CUDA and TensorRT: the numbers are the bundle's."""
    path = make_bundle(tmp_path / "bundle")
    rig = Rig(Bundle.load(path), tmp_path / "cache")
    asked = {}

    def open_backend(bundle, device, **options):
        asked.update(options, device=device)
        return rig.backend

    monkeypatch.setattr(own, "open_cuda_backend", open_backend)
    clip = make_clip("good day", [0.25, 0.75], [51, 102])
    save_clip(clip, tmp_path / "clip.npz")
    request = {"bundle": str(path), "clip": str(tmp_path / "clip.npz"), "runs": 4}
    place = {"device": "tensorrt", "cache": str(tmp_path / "cache"), "cuda_graphs": True}
    runner = own.make_runner(request | place)
    assert asked == place | {"cache": tmp_path / "cache"}
    assert runner.engine == "TensorRT 10.13.2 on Orin, CUDA graphs"
    before = len(rig.cuda.calls("cudaGraphLaunch"))
    np.testing.assert_allclose(runner.run(), [expected_logits(clip)], rtol=1e-5)
    assert len(rig.cuda.calls("cudaGraphLaunch")) - before == 4 * 4  # four runs of four graphs


def test_who_cannot_be_had_is_a_row_with_the_answer(monkeypatch, tmp_path):
    """In processes of their own: here ONNX Runtime has no CUDA."""
    only = [("cuda", latency.OWN, {"device": "cuda", "cache": None, "cuda_graphs": True})]
    monkeypatch.setattr(latency, "subjects", lambda cache, device: iter(only))
    rows = latency.measure(TINY, tmp_path, tmp_path, latency.Measure(2, 8, 2), lambda *_: None)
    assert [row["name"] for row in rows] == ["cuda"]
    assert rows[0]["refused"].startswith("--device cuda: the installed onnxruntime")


def test_a_turns_time_is_divided_by_its_runs(monkeypatch):
    class Two:
        def __init__(self, time_ms):
            self.run = lambda: time_ms

    times = latency._in_turns({"a": Two(20.0), "pytorch eager": Two(100.0)}, 6, lambda *_: None)
    assert times == {"a": [1.0] * 6, "pytorch eager": [5.0] * 6}
    figures = latency._figures("a", times)
    assert figures["latency"]["p50_ms"] == 1.0
    assert figures["against"]["pytorch eager"]["of_medians"] == 5.0
    assert latency._in_turns({}, 6, lambda *_: None) == {}


def test_the_bandwidth_counts_reading_and_writing(monkeypatch):
    monkeypatch.setattr(floor, "COPY_BYTES", 1000)
    fake = FakeCuda()  # whose events are always 1.5 ms apart
    assert floor.copy_bandwidth(Cuda(fake)) == pytest.approx(2 * 1000 * 20 / 1.5e-3)
    assert fake.used_bytes == 0
    copies = [detail for _, _, detail in fake.calls("cudaMemcpyAsync")]
    assert set(copies) == {("copy", 1000)}
    assert len(copies) == 5 * 21


def test_tables_are_not_read_whole():
    """Of the committed bundle: its parameters, by name, without the embeddings of tokens."""
    import onnx

    bundle = Bundle.load(TINY)
    everything = tables = 0
    for name in bundle.manifest.graphs:
        model = onnx.load(bundle.graph_path(name))
        for tensor in model.graph.initializer:
            size = onnx.numpy_helper.to_array(tensor).nbytes
            everything += size
            tables += size * ("word_embeddings" in tensor.name)
    assert tables > 10_000
    found = floor.weight_bytes(bundle)
    assert everything - tables - 20_000 < found <= everything - tables


def outcome():
    def row(name, median, eager, compiled):
        ratios = {"pytorch eager": eager, "torch.compile with CUDA graphs": compiled}
        against = {
            peer: {"of_medians": ratio, "low": ratio - 0.1, "high": ratio + 0.1}
            for peer, ratio in ratios.items()
            if ratio
        }
        return {"name": name, "engine": name, "latency": {"p50_ms": median}, "against": against}

    return {
        "gpu": "NVIDIA L4",
        "compute_capability": "8.9",
        "driver": "580.1",
        "system": "Linux",
        "commit": "abc",
        "measured": "2026-01-01",
        "bundles": [
            {
                "bundle": "b",
                "preset": "paper",
                "precision": "fp16",
                "settings": {"segments": 5, "tokens": 32, "rounds": 50},
                "steps": [{"command": "mer-edge build b", "exit_code": 0, "stderr": []}],
                "floor": {"bytes_per_s": 3e11, "weight_bytes": 3e8, "floor_ms": 1.0},
                "latency": [
                    row("tensorrt", 2.5, 12.0, 1.5),
                    row("cuda", 6.0, 4.0, 0.8),
                    {"name": "tensorrt-rtx", "refused": "not on this GPU"},
                    row("pytorch eager", 30.0, None, 0.1),
                ],
            }
        ],
    }


def test_the_page_says_what_was_reached():
    page = as_markdown(outcome())
    assert "A clip reads 300 MB of weights" in page
    assert "moved 300 GB/s: 1.000 ms is the least" in page
    assert "| `mer-edge build b` | ok |" in page
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert rows[-4:] == [
        "| tensorrt | tensorrt | 2.500 | 12.00 x (11.90 to 12.10), aim | "
        "1.50 x (1.40 to 1.60), must | 2.5, must |",
        "| cuda | cuda | 6.000 | 4.00 x (3.90 to 4.10), missed | "
        "0.80 x (0.70 to 0.90), missed | 6.0, missed |",
        "| tensorrt-rtx | not on this GPU | | | | |",
        "| pytorch eager | pytorch eager | 30.000 |  | 0.10 x (0.00 to 0.20) | 30.0 |",
    ]


def test_other_precisions_are_not_judged():
    found = outcome()
    found["bundles"][0]["precision"] = "int8"
    page = as_markdown(found)
    assert "| 12.00 x (11.90 to 12.10) | 1.50 x (1.40 to 1.60) | 2.5 |" in page
    assert "must" not in page


def test_a_bandwidth_that_could_not_be_measured_is_told():
    found = outcome()
    found["bundles"][0]["floor"] = {"refused": "out of memory"}
    page = as_markdown(found)
    assert "The bandwidth was not measured: out of memory" in page
    assert "| tensorrt | tensorrt | 2.500 |" in page
