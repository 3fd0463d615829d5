"""What real clips say of the values inside the graphs: the ranges that eight bits must hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper
from onnxruntime.quantization import CalibrationMethod
from onnxruntime.quantization.calibrate import TensorsData

from export.chain import run_chain
from export.clip_batch import batch_of
from export.runners import GraphRunner, Tensors
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.text.tokenizer import TextTokenizer

RECOMMENDED_CLIPS = 64
LEAST_CLIPS = 16
PERCENTILE = 99.999
"""Of a tensor's values that its range holds. The starter's audio graph on 24 clips it was not
calibrated on: cosine 0.9855, 0.9986, 0.9995, 0.9995 with 99.9, 99.99, 99.999 and 100."""
VALUES_PER_CLIP = 8192


@dataclass(frozen=True)
class CalibrationSet:
    """Clips and what each graph of the fp32 network takes in on them."""

    clips: int
    feeds: Mapping[str, Sequence[Tensors]]
    """Per graph its inputs, clip by clip; clips that do not run it are left out."""

    def of(self, graph: str) -> Sequence[Tensors]:
        """The inputs of one graph.

        Raises:
            MerEdgeError: no clip has what the graph looks at.
        """
        feeds = self.feeds.get(graph, ())
        if not feeds:
            raise MerEdgeError(
                f"none of the {self.clips} calibration clips runs the {graph} graph; expected "
                "clips with sound, faces and text; name others with --calibrate"
            )
        return feeds


class _FeedRecorder:
    """Passes on to another runner and keeps all inputs of each graph."""

    def __init__(self, runner: GraphRunner) -> None:
        self._runner = runner
        self.feeds: dict[str, list[Tensors]] = {}

    def inputs(self, graph: str) -> tuple[str, ...]:
        return self._runner.inputs(graph)

    def run(self, graph: str, feed: Tensors) -> Tensors:
        self.feeds.setdefault(graph, []).append(feed)
        return self._runner.run(graph, feed)


def collect(
    clips: Iterable[Clip],
    runner: GraphRunner,
    tokenizer: TextTokenizer | None,
    absent_text: NDArray[np.float32] | None,
    sizes: dict[str, int],
) -> CalibrationSet:
    """Run the fp32 graphs on the clips, one at a time as a device does, and keep what went in."""
    recorder, count = _FeedRecorder(runner), 0
    for clip in clips:
        run_chain(recorder, batch_of([clip], tokenizer), absent_text, sizes)
        count += 1
    return CalibrationSet(count, recorder.feeds)


def activation_ranges(
    proto: onnx.ModelProto, feeds: Sequence[Tensors], operators: Sequence[str]
) -> TensorsData:
    """The ranges of what goes into and comes out of ``operators``, as the quantisers take them.

    Of a tensor at most 8192 values a clip count, evenly spread over it: a range is then of half a
    million values of 64 clips, and the large maps of the first convolutions cost no more than the
    others.
    """
    constants = {i.name for i in proto.graph.initializer}
    names = sorted(
        {
            name
            for node in proto.graph.node
            if node.op_type in operators
            for name in (*node.input, *node.output)
            if name not in constants
        }
    )
    samples: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for values in _watch(proto, feeds, names):
        for name, found in zip(names, values, strict=True):
            flat = found.ravel()
            samples[name].append(flat[:: -(-len(flat) // VALUES_PER_CLIP)].copy())
    return TensorsData(
        CalibrationMethod.MinMax,
        {name: _range(np.concatenate(parts)) for name, parts in samples.items()},
    )


def _range(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The middle 99.998 % of the values."""
    low, high = np.percentile(values, [100 - PERCENTILE, PERCENTILE]).astype(np.float32)
    return np.asarray(low), np.asarray(high)


def _watch(
    proto: onnx.ModelProto, feeds: Sequence[Tensors], names: Sequence[str]
) -> Iterator[list[NDArray[np.float32]]]:
    """The values of the tensors inside the graph on each feed."""
    watched = onnx.ModelProto()
    watched.CopyFrom(proto)
    given = {value.name for value in proto.graph.input}
    already = given | {value.name for value in proto.graph.output}
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names
        if name not in already
    )
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inside = [name for name in names if name not in given]
    for feed in feeds:
        values = dict(zip(inside, session.run(inside, feed), strict=True)) | feed
        yield [values[name] for name in names]


def channel_maxima(
    proto: onnx.ModelProto, feeds: Sequence[Tensors], names: Iterable[str]
) -> dict[str, NDArray[np.float32]]:
    """Per tensor its largest magnitude in each channel, the last dimension."""
    wanted = sorted(set(names))
    largest: dict[str, NDArray[np.float32]] = {}
    for values in _watch(proto, feeds, wanted):
        for name, found in zip(wanted, values, strict=True):
            here = np.abs(found).reshape(-1, found.shape[-1]).max(0)
            largest[name] = np.maximum(largest.get(name, here), here)
    return largest
