"""Another bundle as the partner of a comparison, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mer_edge.clip_file import load_clip
from mer_edge.turns import Runner, serve
from runtime.bench.machine import versions
from runtime.bench.own_runs import logits_of
from runtime.recognizer import Recognizer


def serve_peer(parent: int) -> None:
    """The child's whole life."""
    serve(make_runner, parent)


def make_runner(request: dict[str, Any]) -> Runner:
    """``bundle``, ``clip`` (.npz), ``device`` and ``threads``."""
    recognizer = Recognizer(request["bundle"], request["device"], request["threads"])
    clip = load_clip(Path(request["clip"]))
    engine = recognizer.recognize(clip).engine

    def run() -> Any:
        return np.array(logits_of(recognizer.recognize(clip)))

    return Runner(run, engine, versions=versions())
