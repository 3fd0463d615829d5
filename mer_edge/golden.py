"""Golden tensors: clips, what goes into each graph on them, and what PyTorch says comes out.

Keys of ``golden.safetensors`` are ``<case>.<graph>.<tensor>``, and ``<case>.clip.<modality>`` for
which segments (of text: which clips) there are. A signal may stand as ``waveform_seed`` or
``faces_seed``, [seed, count], from which ``mer_edge.parity.signals`` makes it. A map between the
two halves of an encoder is left out where it would take more space than all the rest: what the
first half gives takes its place, see :func:`maps_from`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import GRAPHS, MAPS, STEMS
from mer_edge.errors import MerEdgeError
from mer_edge.parity import signals

Tensors = dict[str, NDArray[Any]]
CLIP = "clip"
SEED = "_seed"
MAKERS: dict[str, Callable[[int, int], NDArray[Any]]] = {
    "waveform": signals.waveforms,
    "faces": signals.faces,
}
MAX_SEGMENTS = 1024
"""Of one seed: what a damaged file asks for must not fill the memory."""


@dataclass(frozen=True)
class GoldenCase:
    """One batch."""

    graphs: dict[str, Tensors] = field(default_factory=dict)
    """Per graph that it runs: inputs and outputs by name."""
    present: Tensors = field(default_factory=dict)
    """``audio`` and ``visual`` (B, N) bool, ``text`` (B,) bool."""


def golden_cases(tensors: Mapping[str, NDArray[Any]], path: Path) -> dict[str, GoldenCase]:
    """The cases of a file's tensors, signals made where they stand as seeds.

    Raises:
        MerEdgeError: a key or a seed is not as stated; ``path`` is named.
    """
    cases: dict[str, GoldenCase] = {}
    for key, array in tensors.items():
        parts = key.split(".")
        if len(parts) != 3 or parts[1] not in (*GRAPHS, CLIP):
            raise MerEdgeError(
                f"{path}: the key {key!r} is not <case>.<graph>.<tensor> with a graph of "
                f"{', '.join(GRAPHS)}; export the bundle again"
            )
        name, graph, tensor = parts
        case = cases.setdefault(name, GoldenCase())
        if graph == CLIP:
            case.present[tensor] = array
            continue
        if tensor.endswith(SEED):
            tensor, array = tensor.removesuffix(SEED), _made(key, array, path)
        case.graphs.setdefault(graph, {})[tensor] = array
    return cases


def maps_from(given: Mapping[str, Mapping[str, NDArray[Any]]]) -> Tensors:
    """The maps that stems have given in a case; what the file has of them comes before these.

    Args:
        given: per graph that has run its outputs.
    """
    maps = {MAPS[encoder]: stem for encoder, stem in STEMS.items()}
    return {name: given[stem][name] for name, stem in maps.items() if stem in given}


def _made(key: str, array: NDArray[Any], path: Path) -> NDArray[Any]:
    make = MAKERS.get(key.rsplit(".", 1)[1].removesuffix(SEED))
    if make is None or array.shape != (2,) or array.dtype != np.int64:
        raise MerEdgeError(
            f"{path}: {key} is {array.dtype} {array.shape}; expected the seed and the count of "
            f"{' or '.join(MAKERS)}, int64 (2,); export the bundle again"
        )
    seed, count = (int(value) for value in array)
    if not 1 <= count <= MAX_SEGMENTS:
        raise MerEdgeError(
            f"{path}: {key} asks for {count} segments; expected 1 to {MAX_SEGMENTS}; export the "
            "bundle again"
        )
    return make(seed, count)
