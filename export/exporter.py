"""From a training run's checkpoint to a bundle that has proven itself against it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from safetensors.numpy import save

from export.calibration_clips import load_real_clips
from export.chain import absent_text_of
from export.conversion import Conversion, write_converted
from export.gate import GateReport, require_exact_sums, run_gate
from export.golden import check_golden, make_golden
from export.graphs import GraphPlan, save_graph, trace_graph
from export.manifest import make_manifest
from export.options import ExportOptions
from export.rewrites import (
    apply_cpu_fp32_rewrites,
    apply_cpu_int8_rewrites,
    apply_rewrites,
)
from export.rewrites.vocabulary import read_texts, with_pruned_vocabulary
from export.runners import OnnxRunner
from export.steps import Progress, Steps
from export.weights_file import move_weights_out
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
    write_manifest,
)
from mer_edge.errors import MerEdgeError
from mer_edge.files import check_out, new_directory
from mer_edge.model.checkpoint import Checkpoint, load_checkpoint
from mer_edge.model.config import variant_name
from mer_edge.text.tokenizer import TextTokenizer

AS_TRAINED = ExportOptions()
"""fp32 for the CPU."""
_FOR_THE_CPU = {
    "fp32": apply_cpu_fp32_rewrites,
    "int8": apply_cpu_int8_rewrites,
    "auto": apply_cpu_int8_rewrites,
}
"""What is done to traced graphs for the CPU, by what they are to become."""
ORIGINALS = "originals"
"""The folder of the fp32 graphs while others are made of them; no bundle keeps it."""


def export_bundle(
    checkpoint: Checkpoint | Path,
    out: Path,
    options: ExportOptions = AS_TRAINED,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    report: Callable[[GateReport], object] | None = None,
) -> Bundle:
    """Export the variant's graphs, compare them with PyTorch, and write the bundle ``out``.

    Args:
        checkpoint: a loaded one, or the directory ``mer-edge train`` made.
        out: the bundle's directory. It appears as a whole at the end or not at all.
        options: target and precision.
        overwrite: replace the bundle that is there.
        progress: told of each step.
        report: given what the gate measured, also where that refuses the bundle.

    Raises:
        MerEdgeError: ``out`` exists or is not to be replaced, the checkpoint is none or broken,
            the clips to calibrate with cannot be had, the graphs do not decide like the model, or
            the disk is full.
    """
    _check_target(out, overwrite)
    run = load_checkpoint(checkpoint) if isinstance(checkpoint, Path) else checkpoint
    with (
        tempfile.TemporaryDirectory(prefix="mer-edge-export-") as scratch,
        new_directory(out, "exporting", overwrite=overwrite) as directory,
    ):
        if options.vocabulary is not None:
            texts = read_texts(options.vocabulary)
            run = with_pruned_vocabulary(run, texts, Path(scratch) / TOKENIZER)
        manifest = _write_bundle(run, directory, options, Steps(progress), report)
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


def _write_bundle(
    run: Checkpoint,
    directory: Path,
    options: ExportOptions,
    steps: Steps,
    report: Callable[[GateReport], object] | None,
) -> Manifest:
    run.model.eval()
    plans = plan_graphs(run.model)
    tokenizer = tokenizer_of(run)
    steps.expect(len(plans) * (1 if options.precision == "fp32" else 2) + 1)
    clips = None
    if options.calibrate is not None:
        count, seed = options.calibration_clips, options.seed
        clips = load_real_clips(options.calibrate, count, seed, steps.within, run.evidence)
    # Aside, for the precisions that are made of them and to find where a difference begins.
    originals = directory if options.precision == "fp32" else directory / ORIGINALS
    originals.mkdir(exist_ok=True)
    traced = _trace_graphs(run, plans, originals, options, steps)
    files = {name: originals / spec.file for name, spec in traced.items()}
    others = _write_tensors(run, plans, files, directory, steps)
    graphs, choice = traced, None
    if options.precision != "fp32":
        work = Conversion(run, tokenizer, traced, files, options, clips)
        graphs, choice = write_converted(work, directory, steps)
    if options.recipe == "cpu":
        require_exact_sums(graphs)
        graphs = _map_weights(graphs, directory, others)
    found = run_gate(
        run.model,
        plans,
        {name: directory / spec.file for name, spec in graphs.items()},
        {name: spec.precision for name, spec in graphs.items()},
        run.rule,
        clips.compare if clips else (),
        progress=steps.within,
        tokenizer=tokenizer,
        originals=files,
    )
    if report:
        report(found)
    found.require()
    if originals != directory:
        shutil.rmtree(originals)
    record = clips.record if clips else None
    manifest = make_manifest(run, graphs, others, found.to_manifest(), options, record, choice)
    write_manifest(directory, manifest)
    return manifest


def _map_weights(
    graphs: dict[str, GraphSpec], directory: Path, others: list[Path]
) -> dict[str, GraphSpec]:
    """The graphs with their weights in files of their own, which are added to ``others``."""
    moved = {}
    for name, spec in graphs.items():
        moved[name], weights = move_weights_out(directory / spec.file, spec)
        if weights is not None:
            others.append(weights)
    return moved


def tokenizer_of(run: Checkpoint) -> TextTokenizer | None:
    """The text encoder's; None of a network without one."""
    config = run.model.config
    if not config.uses_text:
        return None
    return TextTokenizer(run.tokenizer_path, config.text.max_position_embeddings)


def _trace_graphs(
    run: Checkpoint,
    plans: dict[str, GraphPlan],
    directory: Path,
    options: ExportOptions,
    steps: Steps,
) -> dict[str, GraphSpec]:
    """The graphs in fp32, rewritten."""
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
        proto, rewrites = apply_rewrites(name, trace_graph(plan, metadata))
        if options.recipe == "cpu" and options.precision in _FOR_THE_CPU:
            proto, more = _FOR_THE_CPU[options.precision](name, proto)
            rewrites += more
        rewrites += ["vocabulary"] if options.vocabulary is not None and name == "text" else []
        graphs[name] = save_graph(proto, directory / f"{name}.onnx", rewrites=rewrites)
        steps.finish()
    return graphs


def _write_tensors(
    run: Checkpoint,
    plans: dict[str, GraphPlan],
    files: dict[str, Path],
    directory: Path,
    steps: Steps,
) -> list[Path]:
    """Golden tensors, checked against the fp32 graphs; with text, tokenizer and constants."""
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
    steps.finish()
    return written
