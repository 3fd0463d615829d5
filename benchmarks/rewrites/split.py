"""Encoders cut in two where their first SEM stands: what comes before it needs no text.

Three ways to answer, wall time with two threads: the graphs one after the other, each with both
threads; the halves without text beside the text graph, with one thread each; and the halves with
text alone, which is what is left when only the text has changed. ``parts``: the processor time of
the graphs and of the halves without text, one thread each.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import onnx
import onnxruntime
from onnx.utils import Extractor

from benchmarks.rewrites.timing import Feed, in_turn, largest_difference, open_session, random_feed

Session = onnxruntime.InferenceSession


@dataclass(frozen=True, eq=False)
class Cut:
    """An encoder's two halves."""

    stem: onnx.ModelProto
    tail: onnx.ModelProto
    border: str
    """The tensor between them."""


def cut(proto: onnx.ModelProto) -> Cut:
    """At the map that goes into the first SEM: the last tensor that everything from the signal
    passes through before the text has a say."""
    signal, *guide = [value.name for value in proto.graph.input]
    border = _border(proto, set(guide))
    extractor = Extractor(onnx.shape_inference.infer_shapes(proto))
    outputs = [value.name for value in proto.graph.output]
    return Cut(
        extractor.extract_model([signal], [border]),
        extractor.extract_model([border, *guide], outputs),
        border,
    )


def _border(proto: onnx.ModelProto, guide: set[str]) -> str:
    guided = set(guide)
    constants = {tensor.name for tensor in proto.graph.initializer}
    free: dict[str, str] = {}  # tensors of the signal alone, and the operator they come from
    signal = next(v.name for v in proto.graph.input if v.name not in guide)
    free[signal] = ""
    for node in proto.graph.node:
        inputs = set(node.input) - constants
        if inputs & guided:
            guided.update(node.output)
        elif inputs & set(free):
            free.update(dict.fromkeys(node.output, node.op_type))
    return [name for name, kind in free.items() if kind in ("MaxPool", "Relu")][-1]


def measure(protos: dict[str, onnx.ModelProto], rounds: int) -> list[dict[str, Any]]:
    """``protos``: text, audio, visual with SEMs of the form ``spatial``."""
    halves = {name: cut(protos[name]) for name in ("audio", "visual")}
    return [_row(protos, halves, segments, 32, rounds) for segments in (1, 5)]


def _row(
    protos: dict[str, onnx.ModelProto],
    halves: dict[str, Cut],
    segments: int,
    tokens: int,
    rounds: int,
) -> dict[str, Any]:
    sizes = {"segments": segments, "tokens": tokens, "batch": 1}
    feeds = {name: random_feed(proto, sizes) for name, proto in protos.items()}
    whole = {n: open_session(p.SerializeToString(), 2) for n, p in protos.items()}
    stems = {n: open_session(h.stem.SerializeToString(), 1) for n, h in halves.items()}
    tails = {n: open_session(h.tail.SerializeToString(), 2) for n, h in halves.items()}
    single = {n: open_session(p.SerializeToString(), 1) for n, p in protos.items()}
    pool = ThreadPoolExecutor(2)

    def one_after_the_other() -> list[Any]:
        return [session.run(None, feeds[name])[0] for name, session in whole.items()]

    def run_stems() -> dict[str, Any]:
        return {n: s.run(None, _signal(feeds[n]))[0] for n, s in stems.items()}

    def run_tails(maps: dict[str, Any]) -> list[Any]:
        return [
            tails[n].run(None, {halves[n].border: maps[n], "text": feeds[n]["text"]})[0]
            for n in tails
        ]

    def beside() -> list[Any]:
        text = pool.submit(single["text"].run, None, feeds["text"])
        maps = run_stems()
        return [text.result()[0], *run_tails(maps)]

    maps = run_stems()
    difference = largest_difference(one_after_the_other(), beside())
    times = in_turn(
        {
            "one after the other": one_after_the_other,
            "stems beside text": beside,
            "text and tails": lambda: [whole["text"].run(None, feeds["text"]), run_tails(maps)],
        },
        rounds,
        time.perf_counter,
    )
    parts = in_turn(
        {
            **{f"{n} whole": _alone(single[n], feeds[n]) for n in single},
            **{f"{n} stem": _alone(stems[n], _signal(feeds[n])) for n in stems},
        },
        rounds,
    )
    pool.shutdown()
    return {
        "segments": segments,
        "tokens": tokens,
        "max_abs_difference": difference,
        "map_bytes": {n: int(m.nbytes) for n, m in maps.items()},
        "times": times,
        "parts": parts,
    }


def _signal(feed: Feed) -> Feed:
    return {name: array for name, array in feed.items() if name != "text"}


def _alone(session: Session, feed: Feed) -> Any:
    return lambda: session.run(None, feed)
