"""The PyTorch peer of the GPU benchmark, on the CPU: it decides as the network does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu import torch_half
from export.clip_batch import batch_of
from export.peers.network import network_of
from mer_edge.bundle import Bundle
from mer_edge.clip_file import save_clip
from mer_edge.text.tokenizer import TextTokenizer
from runtime.bench.workload import synthetic_clip

TINY = Path(__file__).parents[2] / "data" / "tiny-bundle"


def test_one_clip_in_half_precision_is_the_network(tmp_path, monkeypatch):
    bundle = Bundle.load(TINY)
    clip = synthetic_clip(bundle, 3, 12)
    save_clip(clip, tmp_path / "clip.npz")
    model, _ = network_of(bundle.manifest, TINY, None)
    tokenizer = TextTokenizer(bundle.tokenizer_path, bundle.manifest.max_tokens)
    batch = batch_of([clip], tokenizer)
    with torch.inference_mode():
        expected = model(batch).logits.numpy()
        one = torch_half.OneClip(model)(
            batch.input_ids, batch.attention_mask, batch.waveform[0], batch.faces[0]
        )
    np.testing.assert_allclose(one.numpy(), expected, atol=1e-5)

    monkeypatch.setattr(torch_half, "network_of", lambda *_: (model, ["its weights are random"]))
    request = {"bundle": str(TINY), "clip": str(tmp_path / "clip.npz"), "runs": 2}
    runner = torch_half.make_runner(request | {"device": "cpu", "compiled": False})
    assert runner.engine == "PyTorch eager, bfloat16"
    np.testing.assert_allclose(runner.run(), expected, atol=0.03)
    halves = {p.dtype for name, p in model.named_parameters() if "bert" in name and "dense" in name}
    assert halves == {torch.bfloat16}
