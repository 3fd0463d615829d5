"""Which nodes of a graph turn raw signals into what the network was trained on."""

from __future__ import annotations

import onnx


def front_end(proto: onnx.ModelProto) -> frozenset[str]:
    """The names of the nodes between a raw signal and the first convolution of the network.

    Log-mel of ``waveform`` and the normalisation of ``faces``; nothing in the other graphs. The
    log-mel's own convolution has one dimension less than the network's.
    """
    inputs = {value.name for value in proto.graph.input} & {"waveform", "faces"}
    known = set(inputs)
    ranks = {i.name: len(i.dims) for i in proto.graph.initializer}
    names = []
    for node in proto.graph.node:  # in the order of their computation
        if not known & set(node.input) or node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        if node.op_type == "Conv" and ranks.get(node.input[1]) == 4:
            continue
        names.append(node.name)
        known |= set(node.output)
    return frozenset(names)
