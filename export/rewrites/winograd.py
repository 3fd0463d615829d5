"""3 x 3 convolutions by Winograd's minimal filtering: a quarter of the multiplications.

Instead of 9 products an output, F(4 x 4, 3 x 3) takes 36 for 16 outputs (Lavin and Gray 2016, "Fast
Algorithms for Convolutional Neural Networks", section 4.1):

    Y = A^T [(G g G^T) * (B^T d B)] A

with tiles d of 6 x 6 inputs, the filter g and 4 x 4 outputs Y. Over tiles, segments and channels
the product * is 36 ordinary matrix products, and B^T . B and A^T . A are one each with a small
constant matrix. That is how the graph says it, in plain ONNX, for a CPU whose engine has no such
convolution of its own. The filters stay 3 x 3 in the file: G g G^T depends on constants alone, so
that an engine computes it once, when it loads the graph.

The interpolation points are 0, +-3/4, +-3/2 and infinity. They are exact in binary, and the error
is a fifth of that of the usual 0, +-1, +-2: 2.2e-6 against 1.2e-5 of the largest output (256
channels, fp32; on the choice of points see Barabasz and others 2020, "Error Analysis and Improving
the Accuracy of Winograd Convolution for Deep Neural Networks").
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from export.rewrites.tiles import Layout, Rows, RowsGraph, map_sizes

OUTPUTS, TAPS = 4, 3
TILE = OUTPUTS + TAPS - 1
POINTS = tuple(Fraction(n, 4) for n in (0, 3, -3, 6, -6))
"""All but infinity."""
MIN_CHANNELS = 64
"""Of what comes in and of what goes out. Below it the transforms cost what the products save."""

Matrix = NDArray[np.float64]


def convolve_by_winograd(model: ir.Model) -> int:
    """Rewrite in place every convolution that gains; their number.

    Those are the ones with 3 x 3 filters, stride 1, padding 1 and ``MIN_CHANNELS``, over maps whose
    height and width are fixed. Rectifiers, sums and pools between them are done in the arrangement
    that they work in (``export.rewrites.tiles``).
    """
    graph = RowsGraph(model.graph)
    changed = 0
    for node in list(model.graph):
        if _gains(node):
            _replace(graph, node)
            changed += 1
        else:
            graph.carry(node)
    graph.finish()
    return changed


def _gains(node: ir.Node) -> bool:
    if node.op_type != "Conv":
        return False
    data, weight = node.inputs[:2]
    if data is None or data.shape is None or weight is None or weight.const_value is None:
        return False
    outputs, inputs, *taps = weight.const_value.shape.numpy()
    known = all(isinstance(size, int) for size in data.shape[2:])
    return (
        known
        and taps == [TAPS, TAPS]
        and weight.dtype is ir.DataType.FLOAT
        and min(outputs, inputs) >= MIN_CHANNELS
        and node.attributes.get_int("group", 1) == 1
        and node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
        and list(node.attributes.get_ints("strides", [1, 1])) == [1, 1]
        and list(node.attributes.get_ints("dilations", [1, 1])) == [1, 1]
        and list(node.attributes.get_ints("pads", [0, 0, 0, 0])) == [1, 1, 1, 1]
    )


def _replace(graph: RowsGraph, node: ir.Node) -> None:
    data, weight = node.inputs[:2]
    assert data is not None
    assert weight is not None
    assert weight.const_value is not None
    _, _, height, width = map_sizes(data)
    outputs, inputs = weight.const_value.shape.numpy()[:2]
    rows = graph.rows_of(node, data)
    put_in, filters, put_out = transforms()
    layout = Layout.of_tiles(height, width, OUTPUTS)

    # (36, tiles, S, C) -> (36, C, tiles * S)
    tiles = graph.op(
        "Gather", rows.value, graph.constant(rows.layout.windows(OUTPUTS, TILE)), axis=0
    )
    tiles = graph.reshape(tiles, [TILE**2, -1])
    tiles = graph.op("MatMul", graph.constant(np.kron(put_in, put_in)), tiles)
    tiles = graph.reshape(tiles, [TILE**2, -1, inputs])
    tiles = graph.op("Transpose", tiles, perm=[0, 2, 1])

    # (9, C' * C) -> (36, C', C)
    taps = weight.const_value.numpy().transpose(2, 3, 0, 1).reshape(TAPS**2, -1)
    kernel = graph.constant(taps)
    kernel = graph.op("MatMul", graph.constant(np.kron(filters, filters)), kernel)
    kernel = graph.reshape(kernel, [TILE**2, outputs, inputs])

    # (36, C', tiles * S) -> (17, tiles * S, C'); the last of the 17 is the row of zeros
    sums = graph.reshape(graph.op("MatMul", kernel, tiles), [TILE**2, -1])
    back = np.concatenate([np.kron(put_out, put_out), np.zeros((1, TILE**2))])
    sums = graph.op("MatMul", graph.constant(back), sums)
    sums = graph.reshape(sums, [OUTPUTS**2 + 1, outputs, -1])
    sums = graph.op("Transpose", sums, perm=[0, 2, 1])
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        sums = graph.op("Add", sums, graph.constant(_bias(node.inputs[2])))
    sums = graph.reshape(sums, [layout.count, -1, outputs])
    graph.give(node, Rows(sums, layout))


def _bias(value: ir.Value) -> Matrix:
    """(17, 1, C'): the bias for every output of a tile, nothing for the row of zeros."""
    assert value.const_value is not None
    bias = np.asarray(value.const_value.numpy(), np.float64)
    whole = np.tile(bias, (OUTPUTS**2 + 1, 1, 1))
    whole[-1] = 0
    return whole


def transforms() -> tuple[Matrix, Matrix, Matrix]:
    """B^T (6, 6), G (6, 3) and A^T (4, 6), by transposing Toom and Cook's multiplication.

    A polynomial of the filter times one of four values is known from its values at six points.
    """
    values = _powers(OUTPUTS).astype(np.float64)
    taps = _powers(TAPS).astype(np.float64)
    return _inverse(_powers(TILE)).T.astype(np.float64), taps, values.T


def _powers(count: int) -> NDArray[np.object_]:
    """(6, count): each point's powers; of infinity the highest coefficient."""
    rows = [[point**power for power in range(count)] for point in POINTS]
    return np.array([*rows, [Fraction(0)] * (count - 1) + [Fraction(1)]], dtype=object)


def _inverse(matrix: NDArray[np.object_]) -> NDArray[np.object_]:
    """Of fractions, so that it is exact (Gauss and Jordan)."""
    size = len(matrix)
    unit = [[Fraction(int(i == j)) for j in range(size)] for i in range(size)]
    work = np.concatenate([matrix, np.array(unit, dtype=object)], axis=1)
    for column in range(size):
        pivot = next(row for row in range(column, size) if work[row, column] != 0)
        work[[column, pivot]] = work[[pivot, column]]
        work[column] = work[column] / work[column, column]
        for row in range(size):
            if row != column:
                work[row] = work[row] - work[row, column] * work[column]
    return work[:, size:]
