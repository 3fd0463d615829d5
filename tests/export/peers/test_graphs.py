"""The network as one graph, traced and joined, and the peers that run it, against PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from export.clip_batch import batch_of
from export.peers import graph_peer, torch_peer
from export.peers.graph_maker import make_graph
from export.peers.joined_graph import write_joined_graph
from export.peers.network import config_of, network_of
from export.peers.whole_graph import write_whole_graph
from mer_edge.bundle import Bundle
from mer_edge.clip import Clip
from mer_edge.clip_file import save_clip
from mer_edge.errors import MerEdgeError
from mer_edge.model.build import build_model
from mer_edge.model.config import TINY, VARIANTS, variant_name, with_variant
from mer_edge.model.mer import MerModel
from mer_edge.text.tokenizer import TextTokenizer
from runtime.bench.workload import synthetic_clip
from runtime.recognizer import Recognizer
from tests.runtime.bundles import make_bundle, make_clip

PATH = Path(__file__).parents[2] / "data" / "tiny-bundle"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(PATH)


@pytest.fixture(scope="module")
def tokenizer(bundle: Bundle) -> TextTokenizer:
    return TextTokenizer(bundle.tokenizer_path, bundle.manifest.max_tokens)


def clips(bundle: Bundle) -> dict[str, Clip]:
    whole = synthetic_clip(bundle, 4, 9)
    some = np.array([True, False, True, False])
    return {
        "whole": whole,
        "no text": replace(whole, text=None),
        "parts": replace(whole, audio_present=some, face_present=~some),
        "text alone": replace(
            whole, audio_present=np.zeros(4, np.bool_), face_present=np.zeros(4, np.bool_)
        ),
    }


def run_graph(file: Path, clip: Clip, tokenizer: TextTokenizer) -> Any:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    inputs = [value.name for value in session.get_inputs()]
    return session.run(["logits"], graph_peer.feed_of(clip, tokenizer, inputs))[0]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network that ``network_of`` makes of the bundle's manifest, traced once: it is slow."""
    folder = tmp_path_factory.mktemp("traced")
    request = {"bundle": str(PATH), "run": None, "joined": False}
    runner = make_graph({**request, "graph": str(folder / "whole.onnx")})
    assert "random" in runner.notes[0]
    return folder / "whole.onnx"


def test_the_traced_graph_decides_like_the_network(
    traced: Path, bundle: Bundle, tokenizer: TextTokenizer
) -> None:
    model, _ = network_of(bundle.manifest, PATH, None)
    _compare(model, traced, bundle, tokenizer)


@pytest.mark.slow
def test_so_does_one_whose_sems_look_at_tokens(
    bundle: Bundle, tokenizer: TextTokenizer, tmp_path: Path
) -> None:
    model = build_model(replace(TINY, sem_attention="tokens"), seed=5)[0].eval()
    write_whole_graph(model, tmp_path / "whole.onnx")
    _compare(model, tmp_path / "whole.onnx", bundle, tokenizer)


def _compare(model: MerModel, file: Path, bundle: Bundle, tokenizer: TextTokenizer) -> None:
    for name, clip in clips(bundle).items():
        with torch.inference_mode():
            expected = model(batch_of([clip], tokenizer)).logits.numpy()
        found = run_graph(file, clip, tokenizer)
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=name)


def test_the_joined_graphs_decide_like_the_chain(
    bundle: Bundle, tokenizer: TextTokenizer, tmp_path: Path
) -> None:
    write_joined_graph(bundle, tmp_path / "joined.onnx")
    recognizer = Recognizer(bundle, threads=1)
    for name in ("whole", "parts"):
        clip = clips(bundle)[name]
        expected = recognizer.chain.run([clip]).logits
        found = run_graph(tmp_path / "joined.onnx", clip, tokenizer)
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=name)


def test_graphs_that_take_tokens_can_be_joined_too(tmp_path: Path) -> None:
    bundle = Bundle.load(make_bundle(tmp_path / "b", tokens=True))
    write_joined_graph(bundle, tmp_path / "joined.onnx")
    clip = make_clip("good bad day")
    found = run_graph(tmp_path / "joined.onnx", clip, TextTokenizer(bundle.tokenizer_path, 8))
    expected = Recognizer(bundle, threads=1).chain.run([clip]).logits
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_manifest_tells_the_network(name: str, bundle: Bundle) -> None:
    config = with_variant(replace(TINY, labels=("a", "b")), name)
    sizes = {
        "text_size": config.text.hidden_size if config.uses_text else 0,
        "audio_size": config.audio.embedding_size if config.has_audio else 0,
        "visual_size": config.visual.embedding_size if config.has_visual else 0,
    }
    manifest = replace(bundle.manifest, variant=variant_name(config), labels=["a", "b"], **sizes)
    found = config_of(manifest, PATH)
    assert replace(found, audio_sem_positions=(), visual_sem_positions=()) == replace(
        config, audio_sem_positions=(), visual_sem_positions=()
    )
    assert found.has_sem == config.has_sem


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"preset": "custom"}, "its preset is 'custom'"),
        ({"variant": "MER-XL"}, "its variant 'MER-XL' has no name"),
        ({"text_size": 48}, r"features are \(48, 24, 24\) wide, those of its preset \(32"),
    ],
)
def test_a_network_that_no_preset_makes_is_refused(
    change: dict[str, Any], says: str, bundle: Bundle
) -> None:
    with pytest.raises(MerEdgeError, match=says + r".*give --run"):
        config_of(replace(bundle.manifest, **change), PATH)


@pytest.fixture
def request_(bundle: Bundle, tmp_path: Path) -> dict[str, Any]:
    save_clip(synthetic_clip(bundle, 2, 5), tmp_path / "clip.npz")
    return {
        "peer": "pytorch",
        "bundle": str(PATH),
        "clip": str(tmp_path / "clip.npz"),
        "device": "cpu",
        "threads": None,
        "run": None,
        "graph": str(tmp_path / "clip.onnx"),
        "joined": False,
    }


def test_every_engine_gives_the_same_logits(request_: dict[str, Any], traced: Path) -> None:
    expected = torch_peer.make_runner(request_)
    logits = expected.run()
    assert logits.shape == (1, 6)
    assert "eager fp32" in expected.engine
    request = {**request_, "graph": str(traced), "notes": ["a note"]}
    for peer, engine, limit in (
        ("onnxruntime", "onnxruntime CPUExecutionProvider, one graph", 1e-4),
        ("openvino-fp32", "openvino CPU, f32", 1e-3),
    ):
        found = graph_peer.make_runner({**request, "peer": peer})
        assert found.engine.startswith(engine)
        assert found.notes == ("a note",)
        np.testing.assert_allclose(found.run(), logits, atol=limit)


def test_the_joined_graph_needs_a_text(request_: dict[str, Any], bundle: Bundle) -> None:
    save_clip(replace(synthetic_clip(bundle, 2, 5), text=None), Path(request_["clip"]))
    make_graph({**request_, "joined": True})
    with pytest.raises(MerEdgeError, match="needs a clip with text"):
        graph_peer.make_runner({**request_, "peer": "onnxruntime-merged", "notes": []})


def test_a_gpu_that_is_not_there_is_not_replaced(request_: dict[str, Any]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(MerEdgeError, match="finds no CUDA"):
        torch_peer.make_runner({**request_, "device": "cuda"})
