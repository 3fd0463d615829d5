"""A few input channels of a matrix product that are far larger than the rest, taken out of it.

Eight bits for a whole tensor leave little for the small values where a few channels are large, as
in the feed-forward layers of BERT (Dettmers et al. 2022, "LLM.int8()", section 3.2, who find such
channels in every transformer). The product is a sum over channels, so that it may be done in two
parts, x W = x[outliers] W[outliers] + x[others] W[others], the first in fp32 and small, the second
in eight bits. The channels are known from calibration; every operator is a standard one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

KEPT_SUFFIX = "/outliers"
"""Of the name of the product that stays in fp32."""
WORTH_SPLITTING = 3.0
"""The largest channel against the median one: from here on the median has 6 bits of 8 or fewer."""
LARGE = 2.0
"""Channels of an input that is split go into fp32 from this many times the median on, ..."""
MOST_SHARE = 0.03
"""... the largest of them first, up to this share: they cost a product of their own."""


def constant_products(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The matrix products with a weight (K, N) of their own, in the graph's order."""
    weights = {i.name for i in proto.graph.initializer if len(i.dims) == 2}
    uses = Counter(name for node in proto.graph.node for name in node.input)
    return [
        node
        for node in proto.graph.node
        if node.op_type == "MatMul" and node.input[1] in weights and uses[node.input[1]] == 1
    ]


def split_outliers(
    proto: onnx.ModelProto, largest: Mapping[str, NDArray[np.float32]]
) -> onnx.ModelProto:
    """A graph that computes the same, in two parts where an input has outliers.

    Args:
        largest: per input of a product its largest magnitude by channel, shape = (K,); inputs
            that are not named stay as they are.
    """
    split = {name: found for name in largest if len(found := outliers(largest[name]))}
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    weights = {i.name: i for i in result.graph.initializer}
    products = {node.name for node in constant_products(result)}
    nodes: list[onnx.NodeProto] = []
    done: set[str] = set()
    for node in result.graph.node:
        source = node.input[0] if node.name in products else ""
        if source not in split:
            nodes.append(node)
            continue
        if source not in done:
            done.add(source)
            nodes += _parts(source, split[source], len(largest[source]), result.graph)
        nodes += _product(node, weights[node.input[1]], split[source], result.graph)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def outliers(largest: NDArray[np.float32]) -> NDArray[np.int64]:
    """The channels to take out, in their order; none where the input is even enough."""
    median = float(np.median(largest))
    if not largest.max() >= WORTH_SPLITTING * median > 0:
        return np.zeros(0, np.int64)
    most = max(1, int(MOST_SHARE * len(largest)))
    order = np.argsort(-largest, kind="stable")[:most]
    return np.sort(order[largest[order] >= LARGE * median]).astype(np.int64)


def _parts(
    source: str, outliers: NDArray[np.int64], size: int, graph: onnx.GraphProto
) -> list[onnx.NodeProto]:
    """x[outliers], and x with zeros in their place."""
    others = np.ones(size, np.float32)
    others[outliers] = 0
    graph.initializer.append(numpy_helper.from_array(outliers, f"{source}/which"))
    graph.initializer.append(numpy_helper.from_array(others, f"{source}/others"))
    gather = helper.make_node(
        "Gather",
        [source, f"{source}/which"],
        [f"{source}/large"],
        name=f"{source}/take",
        axis=-1,
    )
    mask = helper.make_node(
        "Mul", [source, f"{source}/others"], [f"{source}/small"], name=f"{source}/mask"
    )
    return [gather, mask]


def _product(
    node: onnx.NodeProto,
    weight: onnx.TensorProto,
    outliers: NDArray[np.int64],
    graph: onnx.GraphProto,
) -> list[onnx.NodeProto]:
    source, name, output = node.input[0], node.name, node.output[0]
    values = numpy_helper.to_array(weight).copy()
    graph.initializer.append(
        numpy_helper.from_array(values[outliers], f"{weight.name}{KEPT_SUFFIX}")
    )
    values[outliers] = 0
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    kept = helper.make_node(
        "MatMul",
        [f"{source}/large", f"{weight.name}{KEPT_SUFFIX}"],
        [f"{output}{KEPT_SUFFIX}"],
        name=f"{name}{KEPT_SUFFIX}",
    )
    product = helper.make_node(
        "MatMul", [f"{source}/small", weight.name], [f"{output}/others"], name=name
    )
    total = helper.make_node(
        "Add", [f"{output}{KEPT_SUFFIX}", f"{output}/others"], [output], name=f"{name}/sum"
    )
    return [kept, product, total]
