"""Writes the one graph that a partner then runs: apart from it, whose memory is to be its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mer_edge.bundle import Bundle
from mer_edge.turns import Runner, serve


def serve_peer(parent: int) -> None:
    """The child's whole life: it is ready when the file is written, and has no turns."""
    serve(make_graph, parent)


def make_graph(request: dict[str, Any]) -> Runner:
    """``bundle``, ``run`` (or None), ``joined`` and ``graph``, the file to write."""
    bundle, file = Bundle.load(request["bundle"]), Path(request["graph"])
    notes: list[str] = []
    if request["joined"]:
        from export.peers.joined_graph import write_joined_graph

        write_joined_graph(bundle, file)
    else:
        from export.peers.network import network_of
        from export.peers.whole_graph import write_whole_graph

        run = request["run"]
        model, notes = network_of(bundle.manifest, bundle.path, None if run is None else Path(run))
        write_whole_graph(model, file)
    return Runner(lambda: np.zeros(0), "", tuple(notes))
