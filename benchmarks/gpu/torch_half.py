"""The PyTorch network in half precision, eager or compiled, at its best, as a partner in turns.

At its best: one clip with everything present, so no masks and no branches; linear layers,
convolutions and embeddings hold half-precision weights, autocast does the rest; inputs go out of
page-locked memory; compiled code replays CUDA graphs (``mode="reduce-overhead"``).
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export.clip_batch import batch_of
from export.peers.network import network_of
from mer_edge.bundle import Bundle
from mer_edge.clip_file import load_clip
from mer_edge.errors import MerEdgeError
from mer_edge.model.mer import MerModel
from mer_edge.model.sem import TextGuide
from mer_edge.text.tokenizer import TextTokenizer
from mer_edge.turns import Runner, serve

HALVED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding)
HALVES = {"cuda": torch.float16, "cpu": torch.bfloat16}
"""On the CPU, where nothing is measured, the tests run the same code."""


def serve_peer(parent: int) -> None:
    """The child's whole life."""
    serve(make_runner, parent)


class OneClip(nn.Module):
    """The network on one clip that has all that the network uses."""

    def __init__(self, model: MerModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor, waveform: Tensor, faces: Tensor) -> Tensor:
        """Token ids and mask (1, L), waveform (S, 15600), faces (S, 224, 224, 3) -> logits."""
        model, config = self.model, self.model.config
        everything = torch.ones(1, len(waveform), dtype=torch.bool, device=waveform.device)
        guide, words, audio, visual = TextGuide(None), None, None, None
        if config.uses_text:
            text = model.encode_text(ids, mask)
            if "text" in config.modalities:
                words = text.vector
            count = len(waveform)
            if config.sem_attention == "tokens":
                tokens = text.tokens.expand(count, -1, -1)
                guide = TextGuide(None, tokens, text.token_mask.expand(count, -1))
            else:
                guide = TextGuide(text.vector.expand(count, -1))
        if config.has_audio:
            audio = model.encode_audio(waveform, guide)[None].float()
        if config.has_visual:
            visual = model.encode_visual(faces, guide)[None].float()
        present = everything[:, 0] if words is not None else None
        logits: Tensor = model.fuse(
            audio,
            visual,
            words,
            everything if audio is not None else None,
            everything if visual is not None else None,
            present,
        ).logits
        return logits


def make_runner(request: dict[str, Any]) -> Runner:
    """``bundle``, ``clip`` (.npz), ``compiled``, ``device`` and ``runs`` a turn.

    Raises:
        MerEdgeError: torch finds no GPU, or cannot compile the network.
    """
    device = request["device"]
    if device == "cuda" and not torch.cuda.is_available():
        raise MerEdgeError(f"the installed torch {torch.__version__} finds no CUDA")
    bundle = Bundle.load(request["bundle"])
    model, notes = network_of(bundle.manifest, bundle.path, None)
    network = OneClip(halved(model, HALVES[device]).to(device))
    forward: Any = network
    if request["compiled"]:
        forward = torch.compile(network, mode="reduce-overhead")
    host = _inputs(bundle, Path(request["clip"]), device)

    def once() -> Any:
        inputs = [tensor.to(device, non_blocking=True) for tensor in host]
        with torch.inference_mode(), torch.autocast(device, HALVES[device]):
            return forward(*inputs).float().cpu().numpy()

    def run() -> Any:
        for _ in range(request["runs"]):
            logits = once()
        return logits

    _warm_up(once)
    how = "torch.compile, reduce-overhead" if request["compiled"] else "eager"
    half = str(HALVES[device]).removeprefix("torch.")
    packages = {name: metadata.version(name) for name in ("torch", "transformers")}
    return Runner(run, f"PyTorch {how}, {half}", tuple(notes), packages)


def halved(model: MerModel, dtype: torch.dtype) -> MerModel:
    """Weights that autocast would else convert in every run."""
    for module in model.modules():
        if isinstance(module, HALVED):
            module.to(dtype)
    return model


def _inputs(bundle: Bundle, clip: Path, device: str) -> list[Tensor]:
    tokenizer = None
    if "text" in bundle.manifest.graphs:
        tokenizer = TextTokenizer(bundle.tokenizer_path, bundle.manifest.max_tokens)
    batch = batch_of([load_clip(clip)], tokenizer)
    tensors = [batch.input_ids, batch.attention_mask, batch.waveform[0], batch.faces[0]]
    return [tensor.pin_memory() for tensor in tensors] if device == "cuda" else tensors


def _warm_up(run: Any) -> None:
    try:
        for _ in range(5):  # compiled code captures its CUDA graphs in the first ones
            run()
    except Exception as error:  # the compiler's exceptions have no common class of their own
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MerEdgeError(f"PyTorch does not run this network here: {first[:300]}") from error
