"""BatchNorm is part of the convolutions before any precision is chosen; the tracer sees to it.

Eight bits need it so: a convolution's weights have to be those that it multiplies with.
"""

from __future__ import annotations

import onnx
import torch
from torch import nn

from tests.export.rewrites.traced_parts import operators, trace


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, map: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.convolution(map)))


def test_the_tracer_folds_it_with_its_statistics():
    block = Block()
    block.norm.running_mean.copy_(torch.tensor([0.5, -0.5, 1.0, 2.0]))
    block.norm.running_var.copy_(torch.tensor([0.25, 1.0, 4.0, 9.0]))
    proto = trace(block, {"map": torch.zeros(2, 3, 5, 5)}, {"map": {0: "segments"}})
    assert operators(proto) == ["Conv", "Relu"]
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in proto.graph.initializer}
    folded = weights[proto.graph.node[0].input[1]]
    scale = block.norm.weight / torch.sqrt(block.norm.running_var + block.norm.eps)
    expected = block.convolution.weight * scale[:, None, None, None]
    torch.testing.assert_close(torch.from_numpy(folded.copy()), expected.detach())


def test_none_is_left_in_an_exported_bundle(exported):
    for file in exported.files.values():
        assert "BatchNormalization" not in operators(onnx.load(file))
