"""From a training run's checkpoint to a bundle that has proven itself against it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors.numpy import save

from export.cases import gate_cases
from export.chain import absent_text_of
from export.golden import check_golden, make_golden
from export.graphs import GraphPlan, write_graph
from export.manifest import make_manifest
from export.parity import ParityCheck
from export.runners import OnnxRunner
from export.wrappers import plan_graphs
from mer_edge import __version__
from mer_edge.bundle import (
    CONSTANTS,
    GOLDEN,
    MANIFEST,
    TOKENIZER,
    Bundle,
    GraphSpec,
    Manifest,
    Parity,
    write_manifest,
)
from mer_edge.errors import MerEdgeError
from mer_edge.files import check_out, new_directory
from mer_edge.model.checkpoint import Checkpoint, load_checkpoint
from mer_edge.model.config import variant_name

Progress = Callable[[str, int, int], None]
"""Told ``(step, done, total)``: what is being done, and how many steps of how many are behind."""


class Steps:
    """Counts the steps of one export for whoever watches."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._done = 0
        self._progress = progress

    def start(self, step: str) -> None:
        """Say what is being done now."""
        if self._progress:
            self._progress(step, self._done, self._total)

    def finish(self, step: str) -> None:
        self._done += 1
        self.start(step)


def export_bundle(
    checkpoint: Checkpoint | Path,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Bundle:
    """Export the variant's graphs in fp32, compare them with PyTorch, and write the bundle ``out``.

    Args:
        checkpoint: a loaded one, or the directory ``mer-edge train`` made.
        out: the bundle's directory. It appears as a whole at the end or not at all.
        overwrite: replace the bundle that is there.
        progress: told of each step.

    Raises:
        MerEdgeError: ``out`` exists or is not to be replaced, the checkpoint is none or broken,
            the graphs do not reproduce the model to 1e-4, or the disk is full.
    """
    _check_target(out, overwrite)
    run = load_checkpoint(checkpoint) if isinstance(checkpoint, Path) else checkpoint
    with new_directory(out, "exporting", overwrite=overwrite) as directory:
        manifest = _write_bundle(run, directory, progress)
        # What cannot be loaded must not get out.
        Bundle.load(directory)
    return Bundle(out, manifest)


def _check_target(out: Path, overwrite: bool) -> None:
    """Refuse before the work starts; and ``--overwrite`` may only ever remove a bundle."""
    check_out(out, overwrite, "a bundle", MANIFEST)
    # Other things have a manifest.json too, but a bundle has no folders.
    if out.is_dir() and any(path.is_dir() for path in out.iterdir()):
        raise MerEdgeError(
            f"{out} is not a bundle (there are folders in it); --overwrite replaces only what the "
            "same command has made; name another --out"
        )


def _write_bundle(run: Checkpoint, directory: Path, progress: Progress | None) -> Manifest:
    run.model.eval()
    plans = plan_graphs(run.model)
    cases = gate_cases(run.model.config)
    steps = Steps(len(plans) + 1 + len(cases), progress)
    graphs = _write_graphs(run, plans, directory, steps)
    files = {name: directory / spec.file for name, spec in graphs.items()}
    others = _write_tensors(run, plans, files, directory, steps)

    steps.start("comparing with PyTorch")
    check = ParityCheck(run.model, plans, files)
    report = check.run(cases, progress=lambda case: steps.finish("comparing with PyTorch"))
    check.require(report)
    parity = Parity(report.max_abs_logit_difference, report.tolerance, len(report.results))

    manifest = make_manifest(run, graphs, others, parity)
    write_manifest(directory, manifest)
    return manifest


def _write_graphs(
    run: Checkpoint, plans: dict[str, GraphPlan], directory: Path, steps: Steps
) -> dict[str, GraphSpec]:
    config = run.model.config
    graphs = {}
    for name, plan in plans.items():
        steps.start(f"tracing {name}")
        metadata = {
            "mer_edge.version": __version__,
            "mer_edge.variant": variant_name(config),
            "mer_edge.graph": name,
            "mer_edge.labels": json.dumps(config.labels),
        }
        graphs[name] = write_graph(plan, directory / f"{name}.onnx", metadata)
        steps.finish(f"tracing {name}")
    return graphs


def _write_tensors(
    run: Checkpoint,
    plans: dict[str, GraphPlan],
    files: dict[str, Path],
    directory: Path,
    steps: Steps,
) -> list[Path]:
    """Golden tensors, checked against the written graphs; with text, tokenizer and constants."""
    steps.start("golden tensors")
    golden = make_golden(run.model, plans)
    check_golden(golden, OnnxRunner(files))
    (directory / GOLDEN).write_bytes(save(golden))
    written = [directory / GOLDEN]
    absent_text = absent_text_of(run.model)
    if absent_text is not None:
        (directory / CONSTANTS).write_bytes(save({"absent_text": absent_text}))
        shutil.copyfile(run.tokenizer_path, directory / TOKENIZER)
        written = [directory / TOKENIZER, directory / CONSTANTS, *written]
    steps.finish("golden tensors")
    return written
