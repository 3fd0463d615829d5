"""The rewrites that every export applies: before and after, on ONNX Runtime's CPU kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import onnx
import torch
from torch import nn

from benchmarks.rewrites.timing import in_turn, largest_difference, open_session, random_feed
from export.graphs import trace_graph
from export.rewrites import apply_rewrites
from export.wrappers import plan_graphs
from mer_edge.model.build import build_model
from mer_edge.model.config import PRESETS

SIZES: dict[str, tuple[dict[str, int], ...]] = {
    "text": tuple({"batch": 1, "tokens": n} for n in (8, 32, 128)),
    "audio": tuple({"segments": n, "tokens": 32} for n in (1, 5)),
    "visual": tuple({"segments": n, "tokens": 32} for n in (1, 5)),
}


def trace(preset: str, form: str, graphs: tuple[str, ...]) -> dict[str, onnx.ModelProto]:
    """Graphs as they come from tracing, of a network with random weights and BatchNorms that do
    something."""
    config = replace(PRESETS[preset], sem_attention=form)  # type: ignore[arg-type]
    model, _ = build_model(config, seed=0)
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    plans = plan_graphs(model.eval())
    return {name: trace_graph(plans[name], {}) for name in graphs}


def measure(preset: str, form: str, graphs: tuple[str, ...], rounds: int) -> list[dict[str, Any]]:
    """A row per graph and size; times are processor times of one thread."""
    rows = []
    for graph, before in trace(preset, form, graphs).items():
        after, applied = apply_rewrites(graph, before)
        sessions = {
            name: open_session(proto.SerializeToString(), 1)
            for name, proto in (("before", before), ("after", after))
        }
        for sizes in SIZES[graph]:
            feed = random_feed(before, sizes)
            outputs = [session.run(None, feed) for session in sessions.values()]
            runs = {
                name: lambda session=session, feed=feed: session.run(None, feed)
                for name, session in sessions.items()
            }
            rows.append(
                {
                    "preset": preset,
                    "form": form,
                    "graph": graph,
                    "applied": applied,
                    "sizes": sizes,
                    "bytes": {"before": before.ByteSize(), "after": after.ByteSize()},
                    "times": in_turn(runs, rounds),
                    "max_abs_difference": largest_difference(*outputs),
                    "batch_normalizations": sum(
                        n.op_type == "BatchNormalization" for n in before.graph.node
                    ),
                }
            )
    return rows
