"""INT8 graphs on saturating and on exact kernels; writes results/int8-kernels.{json,md}.

Each encoder of a trained RUN is made INT8 for the CPU in three ways: with weights of eight full
bits, of seven, and with a scale by the largest pair of neighbours, which is what the export does.
Each is run by ONNX Runtime's usual kernels, by exact ones (``session.x64quantprecision``) and, as
the truth, without any optimisation, where everything but MatMulInteger is computed in floats.
Errors are the largest difference from the fp32 graph over its largest value, the median over clips
that the graphs were not calibrated with; times are medians of runs in turn.

    python -m benchmarks.int8_kernels --run RUN --data DATA
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from benchmarks.outcome import publish
from export.calibration_clips import load_real_clips
from export.chain import absent_text_of, encoder_sizes
from export.exporter import tokenizer_of
from export.graphs import trace_graph
from export.precision import integer
from export.precision.calibration import CalibrationSet, collect
from export.precision.saturation import largest_pair_sum
from export.rewrites import apply_cpu_int8_rewrites, apply_rewrites
from export.runners import OnnxRunner, Tensors
from export.wrappers import plan_graphs
from mer_edge.checkout import commit
from mer_edge.clip import Clip
from mer_edge.engines import set_threads
from mer_edge.model.checkpoint import Checkpoint, load_checkpoint
from mer_edge.processor import describe_int8, exact_int8
from runtime.bench.machine import processor_name, versions

RESULTS = Path(__file__).resolve().parent / "results"
ENCODERS = ("text", "audio", "visual_stem", "visual")
ROUNDS = 30
WAYS = ("8 bits", "7 bits", "pairs")
KERNELS = ("usual", "exact", "reference")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="a trained run")
    parser.add_argument("--data", type=Path, required=True, help="a manifest, or its folder")
    parser.add_argument("--clips", type=int, default=64, metavar="N")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    run = load_checkpoint(args.run)
    clips = load_real_clips(args.data, args.clips, 0, None)
    graphs = fp32_graphs(run)
    calibrate, compare = (
        feeds_of(run, graphs, part) for part in (clips.calibrate, clips.compare[: args.clips])
    )
    rows = [
        row
        for name in ENCODERS
        if name in graphs
        for row in measure(name, graphs[name], calibrate, compare, args.threads)
    ]
    outcome = {
        "run": str(args.run),
        "threads": args.threads,
        "calibrated_on": len(clips.calibrate),
        "compared_on": len(clips.compare[: args.clips]),
        "rows": rows,
        "commit": commit(),
        "processor": processor_name(),
        "int8": describe_int8(),
        "versions": versions(),
    }
    publish(outcome, as_markdown(outcome), args.out, "int8-kernels")


def fp32_graphs(run: Checkpoint) -> dict[str, onnx.ModelProto]:
    graphs = {}
    for name, plan in plan_graphs(run.model.eval()).items():
        proto, _ = apply_rewrites(name, trace_graph(plan, {}))
        graphs[name], _ = apply_cpu_int8_rewrites(name, proto)
    return graphs


def feeds_of(
    run: Checkpoint, graphs: Mapping[str, onnx.ModelProto], clips: Sequence[Clip]
) -> CalibrationSet:
    """What each graph takes in on the clips."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.onnx" for name in graphs}
        for name, proto in graphs.items():
            onnx.save(proto, files[name])
        absent, sizes = absent_text_of(run.model), encoder_sizes(run.model.config)
        return collect(clips, OnnxRunner(files), tokenizer_of(run), absent, sizes)


@contextmanager
def weights_in(way: str) -> Iterator[None]:
    """Let the export scale weights in another way than it does."""
    if way == "pairs":
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(integer, "weight_ranges", return_value={}))
        for name in ("ONNXQuantizer", "QDQQuantizer"):
            made = partial(_with_range, getattr(integer, name), way == "7 bits")
            stack.enter_context(mock.patch.object(integer, name, made))
        yield


def _with_range(quantizer: Any, reduced: bool, *args: Any, **options: Any) -> Any:
    return quantizer(*args, **options | {"reduce_range": reduced})


def measure(
    name: str,
    fp32: onnx.ModelProto,
    calibrate: CalibrationSet,
    compare: CalibrationSet,
    threads: int,
) -> list[dict[str, Any]]:
    """A row for each way to scale the weights: errors by kernel, and times."""
    feeds = compare.of(name)
    reference = open_session(fp32, "usual", threads)
    truth = [reference.run(None, feed)[0] for feed in feeds]
    made, sessions = {}, {("fp32", "usual"): reference}
    for way in WAYS:
        with weights_in(way):
            made[way] = integer.to_int8(fp32, calibrate.of(name), "cpu").proto
        for kernels in KERNELS:
            sessions[way, kernels] = open_session(made[way], kernels, threads)
    times = in_turn({key: s for key, s in sessions.items() if "reference" not in key}, feeds[0])
    return [
        {
            "graph": name,
            "way": way,
            "pair_sum": largest_pair_sum(made[way]),
            "errors": {k: error(sessions[way, k], feeds, truth) for k in KERNELS},
            "ms": {k: times[way, k] for k in ("usual", "exact")},
            "fp32_ms": times["fp32", "usual"],
        }
        for way in WAYS
    ]


def open_session(
    proto: onnx.ModelProto, kernels: str, threads: int
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    set_threads(options, threads)
    options.log_severity_level = 3
    if kernels == "reference":  # MatMulInteger has no other form than its exact kernel
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        proto = with_unsigned_weights(proto)
    if kernels == "exact":
        exact_int8(options)
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def with_unsigned_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Weights of MatMulInteger 128 higher, and so their zero point: kernels for two unsigned bytes
    are exact on every processor."""
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    tensors = {i.name: i for i in result.graph.initializer}
    names = {
        name
        for node in result.graph.node
        if node.op_type == "MatMulInteger"
        for name in (node.input[1], node.input[3])
    }
    for name in names:
        values = numpy_helper.to_array(tensors[name]).astype(np.int16) + 128
        tensors[name].CopyFrom(numpy_helper.from_array(values.astype(np.uint8), name))
    return result


def error(
    session: onnxruntime.InferenceSession, feeds: Sequence[Tensors], truth: Sequence[Any]
) -> float:
    found = [session.run(None, feed)[0] for feed in feeds]
    return statistics.median(
        float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, truth, strict=True)
    )


def in_turn(
    sessions: Mapping[Any, onnxruntime.InferenceSession], feed: Tensors
) -> dict[Any, float]:
    """Median milliseconds of each, run one after the other, round by round."""
    times: dict[Any, list[float]] = {key: [] for key in sessions}
    for _ in range(ROUNDS):
        for key, session in sessions.items():
            session.run(None, feed)
            began = time.perf_counter()
            session.run(None, feed)
            times[key].append((time.perf_counter() - began) * 1e3)
    return {key: round(statistics.median(values), 3) for key, values in times.items()}


def as_markdown(outcome: dict[str, Any]) -> str:
    lines = [
        "# INT8 for the CPU on saturating and exact kernels",
        "",
        f"`python -m benchmarks.int8_kernels --run RUN --data DATA`, commit "
        f"`{outcome['commit'][:12]}`. {outcome['processor']}, {outcome['int8']}; "
        f"{outcome['threads']} threads, onnxruntime {outcome['versions']['onnxruntime']}.",
        f"A trained run, calibrated on {outcome['calibrated_on']} clips, errors on "
        f"{outcome['compared_on']} others: largest difference from fp32 over the largest value, "
        "median over the clips. ONNX Runtime cannot switch instruction sets off: where this "
        "processor has VNNI the usual kernels are exact ones.",
        "",
        "| graph | weights | largest sum of two products | error, usual kernels | exact | "
        "reference | usual / reference | time / fp32, usual | exact |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in outcome["rows"]:
        errors, ms, fp32 = row["errors"], row["ms"], row["fp32_ms"]
        lines.append(
            f"| {row['graph']} | {row['way']} | {row['pair_sum']:,} | {errors['usual']:.4f} | "
            f"{errors['exact']:.4f} | {errors['reference']:.4f} | "
            f"{errors['usual'] / errors['reference']:.3f} | {ms['usual'] / fp32:.2f} | "
            f"{ms['exact'] / fp32:.2f} |"
        )
    lines += [
        "",
        "16 bits hold 32,767. *8 bits*: what exports did until now. *7 bits*: the usual way out "
        "(`reduce_range`). *pairs*: a channel's scale by its largest pair of neighbouring weights, "
        "which is what the export does (`export/precision/saturation.py`).",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
