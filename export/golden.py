"""Golden tensors: what goes into and comes out of every graph, for any backend to reproduce.

The outputs are PyTorch's, so that no engine is its own judge. Keys are
``<case>.<graph>.<tensor>``; a graph that a case does not run has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from export.cases import BatchShape, Case, make_batch
from export.chain import absent_text_of, encoder_sizes, run_chain
from export.graphs import GraphPlan
from export.runners import GraphRunner, Recorder, Tensors, TorchRunner
from mer_edge.bundle import GRAPHS
from mer_edge.errors import MerEdgeError
from mer_edge.model.mer import MerModel, ModelBatch
from mer_edge.parity.comparison import compare

TOLERANCE = 1e-4
"""Times the largest magnitude of the tensor where that is above 1."""


def make_golden(model: MerModel, plans: dict[str, GraphPlan]) -> Tensors:
    """Run the golden clips through the modules behind the graphs.

    ``full`` has two segments with sound, the first with a face, and text, as far as the network
    uses them. ``audio_only`` has one segment with sound and nothing else, so that the stand-ins
    for what is absent are covered; there is none where it would be the same or have nothing.
    """
    absent, sizes = absent_text_of(model), encoder_sizes(model.config)
    golden: Tensors = {}
    for case, batch in golden_batches(model).items():
        recorder = Recorder(TorchRunner(plans))
        run_chain(recorder, batch, absent, sizes)
        for graph, tensors in recorder.records.items():
            golden |= {f"{case}.{graph}.{name}": array for name, array in tensors.items()}
    return {key: np.ascontiguousarray(array) for key, array in golden.items()}


def golden_batches(model: MerModel) -> dict[str, ModelBatch]:
    """The clips by case; small, because they travel with every bundle."""
    full = make_batch(model.config, Case(BatchShape(1, 2, 7), (("audio", "visual", "text"),)))
    audio_only = make_batch(model.config, Case(BatchShape(1, 1, 3), (("audio",),)))
    face_first = torch.tensor([[True, False]])
    batches = {
        "full": replace(full, audio_mask=torch.tensor([[True, True]]), visual_mask=face_first)
    }
    others = model.config.has_visual or model.config.uses_text
    if model.config.has_audio and others:
        batches["audio_only"] = audio_only
    return batches


def check_golden(golden: Mapping[str, np.ndarray], runner: GraphRunner) -> None:
    """Feed every graph with its golden inputs and compare its outputs.

    Raises:
        MerEdgeError: names the first tensor that is not reproduced.
    """
    for case in sorted({key.split(".")[0] for key in golden}):
        for graph in GRAPHS:
            prefix = f"{case}.{graph}."
            tensors = {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}
            if not tensors:
                continue
            outputs = runner.run(graph, {name: tensors[name] for name in runner.inputs(graph)})
            for name, actual in outputs.items():
                found = compare(prefix + name, tensors[name], actual)
                if not found.within(TOLERANCE * max(1.0, found.reference_max_abs)):
                    raise MerEdgeError(
                        f"the exported {graph} graph does not reproduce PyTorch: {found}; no "
                        "bundle was written; check the training run's weights"
                    )
