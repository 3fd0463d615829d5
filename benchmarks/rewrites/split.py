"""The face encoder in two graphs, stem and tail, against the two as one.

Ways to answer, wall time with two threads: everything one after the other, the face encoder as one
graph or as two; the stem beside the text graph, with one thread each; and what is left when only
the text has changed and the stem's map was kept. ``parts``: processor time with one thread.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.compose import merge_models
from onnx.utils import Extractor

from benchmarks.rewrites.timing import Feed, in_turn, largest_difference, open_session, random_feed
from mer_edge.bundle import MAPS, STEMS

STEM, MAP = STEMS["visual"], MAPS["visual"]
ORDER = ("text", STEM, "visual", "audio")
TOKENS = 32


def measure(protos: Mapping[str, onnx.ModelProto], rounds: int) -> list[dict[str, Any]]:
    """``protos``: text, audio, visual_stem and visual, with SEMs of the form ``spatial``."""
    graphs = dict(protos)
    halves = onnx.compose.add_prefix(_unnamed(protos[STEM]), "s_"), _unnamed(protos["visual"])
    graphs["whole"] = merge_models(*halves, [("s_" + MAP, MAP)])
    return [_row(graphs, segments, rounds) for segments in (1, 5)]


def audio_stem(proto: onnx.ModelProto) -> onnx.ModelProto:
    """What of the audio graph comes before its first SEM: cut off to see what it costs."""
    model = onnx.shape_inference.infer_shapes(proto)
    guided, free = {"text"}, {"waveform": ""}
    constants = {tensor.name for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        inputs = set(node.input) - constants
        if inputs & guided:
            guided.update(node.output)
        elif inputs & set(free):
            free.update(dict.fromkeys(node.output, node.op_type))
    border = [name for name, kind in free.items() if kind in ("MaxPool", "Relu")][-1]
    return Extractor(model).extract_model(["waveform"], [border])


def _unnamed(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Without the metadata that says which graph it is: one model cannot be two."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    del copy.metadata_props[:]
    return copy


def _row(graphs: Mapping[str, onnx.ModelProto], segments: int, rounds: int) -> dict[str, Any]:
    sizes = {"segments": segments, "tokens": TOKENS, "batch": 1}
    feeds = {name: random_feed(graphs[name], sizes) for name in ("text", STEM, "audio", "visual")}
    two = {name: open_session(proto.SerializeToString(), 2) for name, proto in graphs.items()}
    one = {name: open_session(proto.SerializeToString(), 1) for name, proto in graphs.items()}
    faces = feeds[STEM]["faces"]
    (feeds["visual"][MAP],) = two[STEM].run(None, feeds[STEM])
    guide = {"text": feeds["visual"]["text"]}
    feeds["whole"] = {"s_faces": faces, **guide}

    def as_one() -> list[Any]:
        return [two[name].run(None, feeds[name])[0] for name in ("text", "whole", "audio")]

    def as_two() -> list[Any]:
        text = two["text"].run(None, feeds["text"])[0]
        return [text, *tails(two[STEM].run(None, feeds[STEM])[0])]

    def tails(stem_map: Any) -> list[Any]:
        visual = two["visual"].run(None, {MAP: stem_map, **guide})[0]
        return [visual, two["audio"].run(None, feeds["audio"])[0]]

    with ThreadPoolExecutor(1) as pool:

        def beside() -> list[Any]:
            text = pool.submit(one["text"].run, None, feeds["text"])
            stem_map = one[STEM].run(None, feeds[STEM])[0]
            return [text.result()[0], *tails(stem_map)]

        def text_changed() -> list[Any]:
            return [two["text"].run(None, feeds["text"])[0], *tails(feeds["visual"][MAP])]

        difference = largest_difference(as_one(), as_two())
        ways = {
            "face encoder as one graph": as_one,
            "as two graphs": as_two,
            "as two, the stem beside text": beside,
            "only the text has changed": text_changed,
        }
        times = in_turn(ways, rounds, time.perf_counter)
    one["audio stem"] = open_session(audio_stem(graphs["audio"]).SerializeToString(), 1)
    feeds["audio stem"] = {"waveform": feeds["audio"]["waveform"]}
    parts = in_turn({name: _alone(session, feeds[name]) for name, session in one.items()}, rounds)
    return {
        "segments": segments,
        "tokens": TOKENS,
        "max_abs_difference": difference,
        "map_bytes": int(np.asarray(feeds["visual"][MAP]).nbytes),
        "times": times,
        "parts": parts,
    }


def _alone(session: onnxruntime.InferenceSession, feed: Feed) -> Any:
    return lambda: session.run(None, feed)
