"""The PyTorch network, as it is or compiled, as the partner of a comparison."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from export.clip_batch import batch_of
from export.peers.network import network_of
from mer_edge.bundle import Bundle
from mer_edge.clip import Clip
from mer_edge.clip_file import load_clip
from mer_edge.errors import MerEdgeError
from mer_edge.text.tokenizer import TextTokenizer
from mer_edge.turns import Runner, serve

COMPILED = "torch-compile"


def serve_peer(parent: int) -> None:
    """The child's whole life."""
    serve(make_runner, parent)


def make_runner(request: dict[str, Any]) -> Runner:
    """``peer``, ``bundle``, ``run``, ``clip`` (.npz) or ``file`` (media), ``device``, ``threads``.

    Raises:
        MerEdgeError: no such device, or the network cannot be built or compiled.
    """
    if request["threads"] is not None:
        torch.set_num_threads(request["threads"])
    device = request["device"]
    if device == "cuda" and not torch.cuda.is_available():
        raise MerEdgeError(
            f"the installed torch {torch.__version__} finds no CUDA; expected a GPU; "
            "compare with --device cpu"
        )
    bundle = Bundle.load(request["bundle"])
    run_path = None if request["run"] is None else Path(request["run"])
    model, notes = network_of(bundle.manifest, bundle.path, run_path)
    model.to(device)
    compiled = request["peer"] == COMPILED
    # CUDA graphs are what makes compiled code fast on a GPU; on the CPU the mode is the default.
    forward = torch.compile(model, mode="reduce-overhead" if device == "cuda" else None)
    tokenizer = None
    if model.config.uses_text:
        tokenizer = TextTokenizer(bundle.tokenizer_path, bundle.manifest.max_tokens)
    clip = _clip(request, bundle)

    def run() -> Any:
        with torch.inference_mode():
            batch = batch_of([clip], tokenizer).to(device)
            return (forward if compiled else model)(batch).logits.cpu().numpy()

    if compiled:
        _compile(run)
    how = "torch.compile" if compiled else "eager"
    threads = f"{torch.get_num_threads()} threads" if device == "cpu" else device
    packages = ("torch", "transformers")
    versions = {package: metadata.version(package) for package in packages}
    return Runner(run, f"PyTorch {how} fp32, {threads}", tuple(notes), versions)


def _clip(request: dict[str, Any], bundle: Bundle) -> Clip:
    if request.get("file") is None:
        return load_clip(Path(request["clip"]))
    from mer_edge.clips import ClipOptions, for_bundle, load_clips

    return next(load_clips(request["file"], for_bundle(ClipOptions(), bundle.manifest)))


def _compile(run: Any) -> None:
    """The first run compiles, which takes minutes and needs a C++ compiler on the CPU."""
    try:
        run()
    except Exception as error:  # the compiler's exceptions have no common class of their own
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MerEdgeError(
            f"torch.compile failed on this network: {first[:300]}; compare with --against pytorch"
        ) from error
