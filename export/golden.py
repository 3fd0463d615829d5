"""Golden tensors: what goes into and comes out of every graph, for any backend to reproduce.

The outputs are PyTorch's, so that no engine is its own judge. The file is described in
``mer_edge.golden``; a graph that a case does not run has no tensors in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from export.cases import SUBSETS, BatchShape, Case, make_batch, subsets_of
from export.chain import absent_text_of, encoder_sizes, run_chain
from export.graphs import GraphPlan
from export.runners import GraphRunner, Recorder, Tensors, TorchRunner
from mer_edge.bundle import GOLDEN, GRAPHS, MAPS
from mer_edge.errors import MerEdgeError
from mer_edge.golden import MAKERS, golden_cases, maps_from
from mer_edge.model.mer import MerModel, ModelBatch
from mer_edge.parity.comparison import compare
from mer_edge.segments import MODALITIES

STORED = "full"
"""The case whose signals are in the file."""
TOLERANCE = 1e-4
"""Times the largest magnitude of the tensor where that is above 1."""


def make_golden(model: MerModel, plans: Mapping[str, GraphPlan]) -> Tensors:
    """Run the golden clips through the modules behind the graphs.

    Returns:
        What ``golden.safetensors`` holds: see ``mer_edge.golden``. The signals of ``full`` are in
        it, for whoever opens the file with other tools; those of the other cases are made anew
        from their seeds, and take no space. Its map between stem and tail of the visual encoder is
        there too, half a megabyte a segment; in the other cases the stem under test gives it.
    """
    absent, sizes = absent_text_of(model), encoder_sizes(model.config)
    golden: Tensors = {}
    for seed, (case, batch) in enumerate(golden_batches(model).items()):
        recorder = Recorder(TorchRunner(plans))
        seeds = {} if case == STORED else _seeds(batch, seed)
        run_chain(recorder, batch, absent, sizes)
        for graph, tensors in recorder.records.items():
            for name, array in tensors.items():
                if name in seeds:
                    golden[f"{case}.{graph}.{name}_seed"] = seeds[name]
                elif case == STORED or name not in MAPS.values():
                    golden[f"{case}.{graph}.{name}"] = array
        for modality in MODALITIES:
            golden[f"{case}.clip.{modality}"] = getattr(batch, f"{modality}_mask").numpy()
    return {key: np.ascontiguousarray(array) for key, array in golden.items()}


def golden_batches(model: MerModel) -> dict[str, ModelBatch]:
    """The clips by case; few, because they travel with every bundle.

    ``full`` has two segments with sound, the first with a face, and text. ``audio_only`` has one
    segment with sound and nothing else, where that is not the same. ``shortest`` has everything in
    the least size, ``long`` more segments and tokens, and in ``batch`` every clip has another
    subset of what the network takes in.
    """
    config = model.config
    all_of = subsets_of(config)[:1]
    most = config.text.max_position_embeddings
    full = make_batch(config, Case(BatchShape(1, 2, 7), all_of))
    batches = {"full": full}
    if config.has_visual:
        face_first = torch.tensor([[True, False]])
        batches["full"] = replace(full, visual_mask=face_first)
    if config.has_audio:
        batches["full"] = replace(batches["full"], audio_mask=torch.tensor([[True, True]]))
    if config.has_audio and (config.has_visual or config.uses_text):
        batches["audio_only"] = make_batch(config, Case(BatchShape(1, 1, 3), (("audio",),)))
    shapes = {
        "shortest": Case(BatchShape(1, 1, 3), all_of),
        "long": Case(BatchShape(1, 12, min(64, most)), all_of),
        "batch": Case(BatchShape(len(SUBSETS), 3, min(9, most)), subsets_of(config)),
    }
    batches |= {name: make_batch(config, case) for name, case in shapes.items()}
    for seed, (name, batch) in enumerate(batches.items()):
        if name != STORED:
            _fill(batch, seed)
    return batches


def _seeds(batch: ModelBatch, seed: int) -> Tensors:
    """Per signal that the batch has: from which seed, and how many segments."""
    counts = {"waveform": int(batch.audio_mask.sum()), "faces": int(batch.visual_mask.sum())}
    return {name: np.array([seed, count]) for name, count in counts.items() if count}


def _fill(batch: ModelBatch, seed: int) -> None:
    """Give the present segments the signals that ``mer_edge.golden`` makes of ``seed``."""
    for name, (_, count) in _seeds(batch, seed).items():
        mask = batch.audio_mask if name == "waveform" else batch.visual_mask
        getattr(batch, name)[mask] = torch.from_numpy(MAKERS[name](seed, int(count)))


def check_golden(golden: Mapping[str, np.ndarray], runner: GraphRunner) -> None:
    """Feed every graph with its golden inputs and compare its outputs.

    Raises:
        MerEdgeError: names the first tensor that is not reproduced.
    """
    cases = golden_cases(golden, Path(GOLDEN))
    # The one with a map first: in the others a wrong stem shows in the graph behind it.
    for case, found_case in sorted(cases.items(), key=lambda item: item[0] != STORED):
        given: dict[str, Tensors] = {}
        for graph in (graph for graph in GRAPHS if graph in found_case.graphs):
            tensors = maps_from(given) | found_case.graphs[graph]
            outputs = runner.run(graph, {name: tensors[name] for name in runner.inputs(graph)})
            given[graph] = outputs
            for name, actual in outputs.items():
                if name in MAPS.values() and name not in tensors:
                    continue  # of most cases the file has no map
                found = compare(f"{case}.{graph}.{name}", tensors[name], actual)
                if not found.within(TOLERANCE * max(1.0, found.reference_max_abs)):
                    raise MerEdgeError(
                        f"the exported {graph} graph does not reproduce PyTorch: {found}; no "
                        "bundle was written; check the training run's weights"
                    )
