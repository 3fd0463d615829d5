"""3 x 3 convolutions by Winograd's minimal filtering: a quarter of the multiplications.

Instead of 9 products an output, F(4 x 4, 3 x 3) takes 36 for 16 outputs (Lavin and Gray 2016, "Fast
Algorithms for Convolutional Neural Networks", section 4.1):

    Y = A^T [(G g G^T) * (B^T d B)] A

with tiles d of 6 x 6 inputs, the filter g and 4 x 4 outputs Y. Over tiles, segments and channels
the product * is 36 ordinary matrix products, and B^T . B and A^T . A are one each with a small
constant matrix. That is how the graph says it, in plain ONNX, for a CPU whose engine has no such
convolution of its own. The filters stay 3 x 3 in the file: G g G^T depends on constants alone, so
that an engine computes it once, when it loads the graph.

Tiles of 4 x 4 interpolate at 0, +-3/4, +-3/2 and infinity. These are exact in binary, and the error
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

TAPS = 3
POINTS = {
    2: (Fraction(0), Fraction(1), Fraction(-1)),
    4: (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2)),
}
"""All but infinity, by the side of a tile of outputs."""
MIN_CHANNELS = 128
"""Of what comes in and of what goes out. With 64 the transforms move as many bytes as the products
save operations, and who wins depends on who else uses the memory."""
SMALL_PX = 7
"""Of so small a map tiles of 4 x 4 would mostly lie beyond the edge; and four times as many weights
as before would be read for few products each."""
MANY_TILES = 24
"""From so many tiles a segment on they are the left side of the products. Of fewer the filters are,
which then need not be copied into the order in which a product reads its right side."""

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
    _, inputs, height, width = map_sizes(data)
    rows = graph.rows_of(node, data)
    side = 2 if max(height, width) <= SMALL_PX else 4
    tile = side + TAPS - 1
    put_in, filters, put_out = transforms(side)

    # (tile^2, tiles, S, C) -> (tile^2, tiles * S, C)
    tiles = graph.op("Gather", rows.value, graph.constant(rows.layout.windows(side, tile)), axis=0)
    tiles = graph.reshape(tiles, [tile**2, -1])
    tiles = graph.op("MatMul", graph.constant(np.kron(put_in, put_in)), tiles)
    tiles = graph.reshape(tiles, [tile**2, -1, inputs])

    # (9, C, C') -> (tile^2, C, C'), or the last two the other way round
    tiles_left = -(-height // side) * -(-width // side) >= MANY_TILES
    taps = weight.const_value.numpy().transpose((2, 3, 1, 0) if tiles_left else (2, 3, 0, 1))
    kernel = graph.constant(taps.reshape(TAPS**2, -1))
    kernel = graph.op("MatMul", graph.constant(np.kron(filters, filters)), kernel)
    kernel = graph.reshape(kernel, [tile**2, *taps.shape[2:]])

    # -> (side^2 + 1, tiles * S, C'); the last of the side^2 + 1 is zeros
    back = np.concatenate([np.kron(put_out, put_out), np.zeros((1, tile**2))])
    sums = _products(graph, tiles, kernel, tiles_left)
    sums = graph.op("MatMul", graph.constant(back), graph.reshape(sums, [tile**2, -1]))
    outputs = weight.const_value.shape.numpy()[0]
    if tiles_left:
        sums = graph.reshape(sums, [side**2 + 1, -1, outputs])
    else:
        sums = graph.reshape(sums, [side**2 + 1, outputs, -1])
        sums = graph.op("Transpose", sums, perm=[0, 2, 1])
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        sums = graph.op("Add", sums, graph.constant(_bias(node.inputs[2], side)))
    layout = Layout.of_tiles(height, width, side)
    sums = graph.reshape(sums, [layout.count, -1, outputs])
    graph.give(node, Rows(sums, layout))


def _products(graph: RowsGraph, tiles: ir.Value, kernel: ir.Value, tiles_left: bool) -> ir.Value:
    """(tile^2, tiles * S, C'), or the last two the other way round."""
    if tiles_left:
        return graph.op("MatMul", tiles, kernel)
    return graph.op("MatMul", kernel, graph.op("Transpose", tiles, perm=[0, 2, 1]))


def _bias(value: ir.Value, side: int) -> Matrix:
    """(side^2 + 1, 1, C'): the bias for every output of a tile, nothing for the row of zeros."""
    assert value.const_value is not None
    bias = np.asarray(value.const_value.numpy(), np.float64)
    whole = np.tile(bias, (side**2 + 1, 1, 1))
    whole[-1] = 0
    return whole


def transforms(side: int) -> tuple[Matrix, Matrix, Matrix]:
    """B^T (tile, tile), G (tile, 3) and A^T (side, tile), tile = side + 2: what Toom and Cook's
    multiplication of polynomials becomes transposed.

    A filter's polynomial times one of ``side`` values is known from its values at ``tile`` points.
    """
    points = POINTS[side]
    outputs, taps, inputs = (_powers(points, n) for n in (side, TAPS, side + TAPS - 1))
    into = _inverse(inputs).T.astype(np.float64)
    return into, taps.astype(np.float64), outputs.astype(np.float64).T


def _powers(points: tuple[Fraction, ...], count: int) -> NDArray[np.object_]:
    """(points and infinity, count): each point's powers; of infinity the highest coefficient."""
    rows = [[point**power for power in range(count)] for point in points]
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
