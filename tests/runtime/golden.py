"""Golden tensors for the miniature bundle: what its own graphs give while they are whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from mer_edge.bundle import GOLDEN, MANIFEST, MAPS, STEMS, Bundle, sha256_of
from mer_edge.parity import signals
from runtime.backend import open_backend
from runtime.shapes import load_graphs
from tests.runtime.bundles import ABSENT_TEXT

Tensors = dict[str, NDArray[Any]]


def add_golden(path: Path) -> Path:
    """Give the bundle two cases: ``all`` with everything, and ``some``, a batch of three clips of
    which one has sound, one a face and one a text. Of a stem's maps only that of ``all`` is there.
    """
    bundle = Bundle.load(path)
    graphs = load_graphs(bundle, open_backend("cpu", bundle, 1))
    golden: Tensors = {}
    masks = {
        "all": ([[True, True]], [[True, False]], [True]),
        "some": (
            [[True, False], [False, False], [False, False]],
            [[False, False], [True, True], [False, False]],
            [False, False, True],
        ),
    }
    for seed, (name, (audio, visual, text)) in enumerate(masks.items()):
        present = {"audio": np.array(audio), "visual": np.array(visual), "text": np.array(text)}
        golden |= {f"{name}.clip.{key}": mask for key, mask in present.items()}
        golden |= _case(name, seed, present, graphs)
    save_file(golden, path / GOLDEN)
    restate(path)
    return path


def restate(path: Path) -> None:
    """Let the manifest state the files as they are now."""
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["files"][GOLDEN] = sha256_of(path / GOLDEN)
    for spec in manifest["graphs"].values():
        spec["sha256"] = sha256_of(path / spec["file"])
    (path / MANIFEST).write_text(json.dumps(manifest))


def _case(name: str, seed: int, present: Tensors, graphs: Any) -> Tensors:
    golden: Tensors = {}

    def run(graph: str, feeds: Tensors) -> Tensors:
        outputs: Tensors = graphs[graph].run(feeds)
        golden.update({f"{name}.{graph}.{key}": x for key, x in (feeds | outputs).items()})
        return outputs

    rows = int(present["text"].sum())
    text = np.tile(ABSENT_TEXT, (len(present["text"]), 1))
    ids = np.tile(np.array([2, 4, 6, 3]), (rows, 1))
    tokens = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    text[present["text"]] = run("text", tokens)["text"]
    feeds: Tensors = {"text": text, "text_mask": present["text"]}
    for graph, signal, make in (
        ("audio", "waveform", signals.waveforms),
        ("visual", "faces", signals.faces),
    ):
        mask = present[graph]
        features = np.zeros((*mask.shape, 2), np.float32)
        count = int(mask.sum())
        guide = text[np.nonzero(mask)[0]]
        given, first = {signal: make(seed, count)}, graph
        if STEMS.get(graph) in graphs:
            first = STEMS[graph]
            given = run(first, given)
        features[mask] = run(graph, {**given, "text": guide})[graph]
        del golden[f"{name}.{first}.{signal}"]
        golden[f"{name}.{first}.{signal}_seed"] = np.array([seed, count])
        feeds |= {graph: features, f"{graph}_mask": mask}
    run("fusion", feeds)
    left_out = MAPS.values() if name != "all" else ()
    return {key: x for key, x in golden.items() if key.rsplit(".", 1)[1] not in left_out}
