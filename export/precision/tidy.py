"""What the converters leave behind: nodes out of order or of no use, types of before."""

from __future__ import annotations

import onnx
import onnx_ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, TopologicalSortPass


def tidied(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its nodes in the order of their computation, checked with inferred types."""
    model = TopologicalSortPass()(onnx_ir.from_proto(proto)).model
    RemoveUnusedNodesPass()(model)
    result = onnx_ir.to_proto(model)
    del result.graph.value_info[:]
    onnx.checker.check_model(result, full_check=True)
    return result
