"""One graph of the whole network on ONNX Runtime or OpenVINO, as the partner of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import Bundle
from mer_edge.clip import Clip
from mer_edge.clip_file import load_clip
from mer_edge.engines import set_threads
from mer_edge.errors import MerEdgeError
from mer_edge.text.tokenizer import TextTokenizer
from mer_edge.turns import Runner, serve

Feed = dict[str, NDArray[Any]]
Run = Callable[[Feed], NDArray[Any]]
"""Inputs by name -> logits."""


def serve_peer(parent: int) -> None:
    """The child's whole life."""
    serve(make_runner, parent)


def make_runner(request: dict[str, Any]) -> Runner:
    """``peer``, ``graph`` (the file), ``bundle``, ``clip`` (.npz), ``threads`` and ``notes``."""
    bundle, clip = Bundle.load(request["bundle"]), load_clip(Path(request["clip"]))
    tokenizer = None
    if "text" in bundle.manifest.graphs:
        tokenizer = TextTokenizer(bundle.tokenizer_path, bundle.manifest.max_tokens)
    openers = {"onnxruntime": open_onnxruntime, "openvino": open_openvino}
    engine, _, kind = request["peer"].partition("-")
    inputs, run, name = openers[engine](Path(request["graph"]), request["threads"], kind)
    if "text_mask" not in inputs and clip.text is None and tokenizer is not None:
        raise MerEdgeError(
            "--against onnxruntime-merged needs a clip with text: the joined graphs have no "
            "stand-in for it; name another --clip or another peer"
        )
    return Runner(
        lambda: run(feed_of(clip, tokenizer, inputs)),
        name,
        tuple(request["notes"]),
        {
            package: metadata.version(package)
            for package in ("onnxruntime", "openvino", "numpy")
            if package in (engine, "numpy")
        },
    )


def feed_of(clip: Clip, tokenizer: TextTokenizer | None, inputs: Collection[str]) -> Feed:
    """What the graph takes of the clip; without text one token that is masked at the fusion."""
    feed: Feed = {
        "waveform": clip.waveform,
        "faces": clip.faces,
        "audio_mask": clip.audio_present[None],
        "visual_mask": clip.face_present[None],
        "text_mask": np.array([clip.text is not None]),
    }
    if tokenizer is not None:
        encoded = tokenizer.encode(clip.text or "")
        feed["input_ids"] = encoded.input_ids
        feed["attention_mask"] = encoded.attention_mask
    return {name: feed[name] for name in inputs}


def open_onnxruntime(file: Path, threads: int | None, kind: str) -> tuple[list[str], Run, str]:
    """The graph's inputs, how to run it, and what runs it; ``kind`` only names the graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    set_threads(options, threads or 0)  # as our own sessions have it
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(feed: Feed) -> NDArray[Any]:
        return np.asarray(session.run(["logits"], feed)[0])

    graph = "the bundle's graphs joined into one" if kind == "merged" else "one graph"
    inputs = [value.name for value in session.get_inputs()]
    return inputs, run, f"onnxruntime {session.get_providers()[0]}, {graph}"


def open_openvino(file: Path, threads: int | None, kind: str) -> tuple[list[str], Run, str]:
    """As ``open_onnxruntime``; ``kind`` is ``fp32``, or nothing for bf16."""
    import openvino

    precision = "f32" if kind == "fp32" else "bf16"
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    compiled = openvino.Core().compile_model(str(file), "CPU", config)
    ran = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
    if ("bf16" in ran or "bfloat16" in ran) != (precision == "bf16"):
        raise MerEdgeError(
            f"OpenVINO computes in {ran} on this processor where {precision} was asked for; "
            "compare with openvino-fp32"
        )
    request = compiled.create_infer_request()
    logits = next(port for port in compiled.outputs if "logits" in port.get_names())

    def run(feed: Feed) -> NDArray[Any]:
        return np.array(request.infer(feed, share_inputs=True)[logits])

    inputs = [port.get_any_name() for port in compiled.inputs]
    return inputs, run, f"openvino CPU, {precision}, one graph"
