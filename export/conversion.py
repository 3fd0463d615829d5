"""The graphs of a bundle in the precision that was asked for, made of the fp32 ones."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from export.auto.plan import choose
from export.auto.search import measure_plans
from export.auto.speed import Candidate
from export.calibration_clips import RealClips
from export.chain import absent_text_of, encoder_sizes
from export.graphs import save_graph
from export.manifest import shape_ranges
from export.options import ExportOptions
from export.precision.calibration import CalibrationSet, collect
from export.precision.convert import convert
from export.precision.saturation import largest_pair_sum
from export.rewrites import apply_cpu_fp32_rewrites
from export.runners import OnnxRunner
from export.steps import Steps
from mer_edge.bundle import GraphSpec, PrecisionChoice
from mer_edge.model.checkpoint import Checkpoint
from mer_edge.text.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Conversion:
    """The fp32 graphs and what is known of them."""

    run: Checkpoint
    tokenizer: TextTokenizer | None
    traced: Mapping[str, GraphSpec]
    files: Mapping[str, Path]
    options: ExportOptions
    clips: RealClips | None

    def calibration(self, steps: Steps) -> CalibrationSet | None:
        """What the fp32 graphs take in on the clips; None where nothing is to be calibrated."""
        if self.clips is None or self.options.precision == "fp16":
            return None
        steps.start("calibrating")
        model = self.run.model
        absent, sizes = absent_text_of(model), encoder_sizes(model.config)
        runner = OnnxRunner(self.files)
        return collect(self.clips.calibrate, runner, self.tokenizer, absent, sizes)


def write_converted(
    work: Conversion, directory: Path, steps: Steps
) -> tuple[dict[str, GraphSpec], PrecisionChoice | None]:
    """Write the graphs into ``directory``; of ``auto`` also how they were chosen.

    Raises:
        MerEdgeError: no calibration clip runs a graph.
    """
    calibration = work.calibration(steps)
    if work.options.precision == "auto":
        return _write_chosen(work, calibration, directory, steps)
    precision = work.options.precision
    graphs = {
        name: _convert(work, name, precision, calibration, directory / spec.file, steps)
        for name, spec in work.traced.items()
    }
    return graphs, None


def _convert(
    work: Conversion,
    name: str,
    precision: str,
    calibration: CalibrationSet | None,
    file: Path,
    steps: Steps,
) -> GraphSpec:
    steps.start(f"{name} in {precision}")
    made = convert(name, onnx.load(work.files[name]), precision, work.options.recipe, calibration)
    rewrites = work.traced[name].rewrites
    pair_sum = largest_pair_sum(made.proto) if made.precision == "int8" else None
    spec = save_graph(made.proto, file, made.precision, rewrites, made.kept, pair_sum)
    steps.finish()
    return spec


def _for_the_cpu(work: Conversion, name: str, file: Path) -> GraphSpec:
    """The fp32 graph as a bundle for the CPU has it."""
    proto, rewrites = apply_cpu_fp32_rewrites(name, onnx.load(work.files[name]))
    return save_graph(proto, file, rewrites=[*work.traced[name].rewrites, *rewrites])


def _write_chosen(
    work: Conversion, calibration: CalibrationSet | None, directory: Path, steps: Steps
) -> tuple[dict[str, GraphSpec], PrecisionChoice]:
    assert work.clips is not None  # the options ask for them
    files: dict[Candidate, Path] = {}
    specs: dict[Candidate, GraphSpec] = {}
    for name in work.traced:
        file = work.files[name].with_suffix(".cpu.onnx")
        files[name, "fp32"], specs[name, "fp32"] = file, _for_the_cpu(work, name, file)
        file = work.files[name].with_suffix(".int8.onnx")
        made = _convert(work, name, "int8", calibration, file, steps)
        if made.precision == "int8":
            files[name, "int8"], specs[name, "int8"] = file, made
    plans = measure_plans(
        work.run.model,
        files,
        work.traced,
        shape_ranges(work.run.model.config),
        work.run.rule,
        work.clips.compare,
        work.tokenizer,
        steps.within,
    )
    chosen = choose(plans, work.options.budget)
    graphs = {}
    for name, precision in chosen.precisions.items():
        target = directory / work.traced[name].file
        shutil.copyfile(files[name, precision], target)
        graphs[name] = replace(specs[name, precision], file=target.name)
    return graphs, PrecisionChoice(work.options.budget, chosen, plans)
