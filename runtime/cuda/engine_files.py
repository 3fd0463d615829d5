"""The engines of a bundle for this GPU, from the cache that ``mer-edge build`` fills."""

from __future__ import annotations

from pathlib import Path

from mer_edge.bundle import Bundle
from mer_edge.cuda_device import Gpu
from mer_edge.engine_cache import Engine, EngineError, find_engine
from mer_edge.engine_keys import devices_for, engine_key
from mer_edge.tensorrt_api import TensorRT


def build_advice(bundle: Bundle, flavour: str) -> str:
    """What mends any fault of an engine. Nothing is ever built while recognising."""
    return f"run: mer-edge build {bundle.path} --device {flavour}"


def find_built(bundle: Bundle, graph: str, api: TensorRT, gpu: Gpu, cache: Path) -> Engine:
    """The engine of a graph; its bytes are to be had, checked, from ``Engine.read``.

    Raises:
        EngineError: it is missing, stale, foreign or damaged; the message says which and what to
            run.
    """
    advice = build_advice(bundle, api.flavour)
    errors = []
    for device in devices_for(api.flavour, api.version, gpu):
        try:
            key = engine_key(bundle, graph, device)
            return find_engine(cache, key, bundle=bundle.path, advice=advice)
        except EngineError as error:
            errors.append(error)
    damaged = [error for error in errors if error.state == "damaged"]
    raise (damaged or errors)[-1]
