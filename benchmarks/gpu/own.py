"""A bundle on one of the GPU's backends, as a partner in turns, in a process of its own.

A turn is several runs one after the other, from the clip's arrays and token ids to the logits on
the host, so that the GPU is as busy as in a stream of clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_edge.bundle import Bundle
from mer_edge.clip import Clip
from mer_edge.clip_file import load_clip
from mer_edge.turns import Runner, serve
from runtime.backend import LoadedGraph
from runtime.bench.machine import versions
from runtime.chain import Chain
from runtime.cuda.backend import open_cuda_backend
from runtime.shapes import load_graphs
from runtime.texts import EncodedText, Texts, TextSide, TokenBatch


def serve_peer(parent: int) -> None:
    """The child's whole life."""
    serve(make_runner, parent)


@dataclass(frozen=True)
class Tokenized:
    """A clip's tokens, made once: the peers are given theirs as well."""

    texts: Texts
    batch: TokenBatch

    def tokenize(self, clips: Sequence[Clip]) -> TokenBatch:
        return self.batch

    def encode(self, batch: TokenBatch, graph: LoadedGraph) -> EncodedText:
        return self.texts.encode(batch, graph)


def make_runner(request: dict[str, Any]) -> Runner:
    """``bundle``, ``clip`` (.npz), ``device``, ``cache``, ``cuda_graphs`` and ``runs`` a turn.

    Raises:
        MerEdgeError: the backend cannot be had, or has no engines.
    """
    bundle = Bundle.load(request["bundle"])
    cache = None if request["cache"] is None else Path(request["cache"])
    backend = open_cuda_backend(
        bundle, request["device"], cache=cache, cuda_graphs=request["cuda_graphs"]
    )
    clips = [load_clip(Path(request["clip"]))]
    graphs = load_graphs(bundle, backend)
    texts: TextSide | None = None
    if "text" in graphs:
        made = Texts(bundle, backend.arrays)
        texts = Tokenized(made, made.tokenize(clips))
    chain = Chain(bundle, graphs, texts, backend.arrays)
    for _ in range(3):  # warm up, capture, launch: then the engine says how it runs
        engine = chain.run(clips).engine

    def run() -> Any:
        for _ in range(request["runs"]):
            logits = chain.run(clips).logits
        return logits

    return Runner(run, engine, versions=versions())
