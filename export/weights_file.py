"""A graph's weights in a file beside it, which engines map into memory instead of copying it.

ONNX calls them external data. ONNX Runtime reads a file with the weights inside three times over:
into the message, out of it, and into the order its kernels want (docs/export.md has the figures).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from mer_edge.bundle import GraphSpec, sha256_of

SUFFIX = ".weights"
MIN_GRAPH_BYTES = 16_000_000
"""Smaller graphs open at once anyway, and are easier to handle in one piece."""
MIN_TENSOR_BYTES = 65_536
"""Smaller ones stay in the graph: engines look at scales, shapes and other constants there."""
PAGE_BYTES = 4096
HASH_KEY = "mer_edge.weights_sha256"
"""In the graph's metadata, so that other weights are another graph also where only the graph's own
hash is asked for."""


def move_weights_out(file: Path, spec: GraphSpec) -> tuple[GraphSpec, Path | None]:
    """Put the large weights of ``file`` beside it; nothing is done to a small graph.

    Returns:
        What describes the graph now, and the file of its weights.

    Raises:
        OSError: a file cannot be written.
    """
    if file.stat().st_size < MIN_GRAPH_BYTES:
        return spec, None
    weights = file.with_suffix(SUFFIX)
    model = ir.external_data.unload_from_model(
        ir.load(file),
        file.parent,
        weights.name,
        size_threshold_bytes=MIN_TENSOR_BYTES,
        alignment=PAGE_BYTES,
        align_threshold=0,
    )
    model.metadata_props[HASH_KEY] = sha256_of(weights)
    content = ir.to_proto(model).SerializeToString(deterministic=True)
    file.write_bytes(content)
    return replace(spec, sha256=hashlib.sha256(content).hexdigest()), weights
