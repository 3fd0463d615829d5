"""Maps as rows: the arrangement in which Winograd's convolutions hand each other what they compute.

A map (S, C, H, W) becomes rows (R, S, C), one for each place of the picture and at least one of
zeros, in the order that suits whoever made them; a ``Layout`` tells which row is which place. To
gather places in another order is to copy whole rows, so that tiles, padding, pools and the way back
are a Gather each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layout:
    """Which row is which place.

    Args:
        places: (H, W): the row of each place.
        zero: a row of zeros.
        count: of all rows; those that are neither hold nothing of use.
    """

    places: Places
    zero: int
    count: int

    @classmethod
    def in_order(cls, height: int, width: int) -> Layout:
        """Line by line, one row of zeros at the end."""
        size = height * width
        return cls(np.arange(size).reshape(height, width), size, size + 1)

    @classmethod
    def of_tiles(cls, height: int, width: int, side: int) -> Layout:
        """Of tiles ``side`` x ``side``: by the place within its tile, then by tile, then zeros.

        Tiles may reach over the map's lower and right edge.
        """
        down, across = -(-height // side), -(-width // side)
        y, x = np.mgrid[:height, :width]
        tiles = down * across
        places = (y % side * side + x % side) * tiles + y // side * across + x // side
        return cls(places.astype(np.int64), side**2 * tiles, (side**2 + 1) * tiles)

    def same_as(self, other: Layout) -> bool:
        """Whether the same row is the same place in both."""
        alike = (self.zero, self.count) == (other.zero, other.count)
        return alike and np.array_equal(self.places, other.places)

    def windows(self, stride: int, size: int) -> Places:
        """(size * size, tiles): the rows under each tile of a map that zeros are around."""
        height, width = self.places.shape
        down, across = -(-height // stride), -(-width // stride)
        padded = np.full((down * stride + size, across * stride + size), self.zero, np.int64)
        padded[1 : height + 1, 1 : width + 1] = self.places
        views = [
            padded[i : i + down * stride : stride, j : j + across * stride : stride]
            for i in range(size)
            for j in range(size)
        ]
        return np.stack(views).reshape(size**2, -1)


@dataclass(frozen=True, eq=False)
class Rows:
    """(R, S, C) and how it is laid out."""

    value: ir.Value
    layout: Layout


class RowsGraph:
    """A graph in which some maps are rows; who needs one as a map gets it as a map.

    Nodes are looked at in order: ``give`` says that a node's output is now rows, ``carry`` takes a
    node along that can do on rows what it did on maps, and hands every other node its maps.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._made: dict[ir.Value, Rows] = {}
        """Values that are rows now: what gave them is dead."""
        self._converted: dict[ir.Value, Rows] = {}
        """Maps that were wanted as rows, too."""
        self._maps: dict[ir.Value, ir.Value] = {}
        """Of those that are rows now, the maps that somebody wanted after all."""
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
        self._at: ir.Node | None = None

    def rows_of(self, node: ir.Node, value: ir.Value, layout: Layout | None = None) -> Rows:
        """``value``, a map that ``node`` reads, as rows; ``layout``: exactly so."""
        self._at = node
        rows = self._made.get(value) or self._converted.get(value)
        if rows is None:
            rows = self._converted[value] = self._from_map(value)
        if layout is None or rows.layout.same_as(layout):
            return rows
        order = np.full(layout.count, rows.layout.zero, np.int64)
        order[layout.places] = rows.layout.places
        return Rows(self.op("Gather", rows.value, self.constant(order), axis=0), layout)

    def give(self, node: ir.Node, rows: Rows) -> None:
        """The output of ``node`` is ``rows`` from now on."""
        self._made[node.outputs[0]] = rows

    def carry(self, node: ir.Node) -> None:
        """Do ``node`` on rows if it can be done on them, or let it find its maps."""
        self._at = node
        given = next((v for v in node.inputs if v in self._made), None)
        if given is None:
            return
        rows = self._made[given]
        layout = _pool_layout(node, rows.layout)
        if node.op_type == "Relu":
            self.give(node, Rows(self.op("Relu", rows.value), rows.layout))
        elif node.op_type == "Add" and _alike(node):
            terms = [self.rows_of(node, v, rows.layout).value for v in node.inputs if v is not None]
            self.give(node, Rows(self.op("Add", *terms), rows.layout))
        elif layout is not None:
            self.give(node, self._pooled(rows, layout))
        else:
            for index, value in enumerate(node.inputs):
                if value in self._made:
                    node.replace_input_with(index, self._as_map(value))

    def finish(self) -> None:
        """The graph's outputs as maps, under their names; dead nodes are left to the caller."""
        self._at = None
        for index, value in enumerate(self._graph.outputs):
            if value in self._made:
                result = self._as_map(value)
                name, value.name = value.name, f"{value.name}.before"
                result.name, result.type, result.shape = name, value.type, value.shape
                self._graph.outputs[index] = result

    def op(self, kind: str, *inputs: ir.Value, **attributes: Any) -> ir.Value:
        """A new node, in front of the one at hand."""
        node = ir.node(kind, list(inputs), attributes)
        if self._at is None:
            self._graph.append(node)
        else:
            self._graph.insert_before(self._at, node)
        return node.outputs[0]

    def reshape(self, value: ir.Value, shape: list[int]) -> ir.Value:
        return self.op("Reshape", value, self.constant(np.array(shape)))

    def constant(self, array: NDArray[Any]) -> ir.Value:
        """Whole numbers as int64, others as float32; the same array is there once."""
        whole = np.issubdtype(array.dtype, np.integer)
        array = np.ascontiguousarray(array, np.int64 if whole else np.float32)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            name = f"rows.{len(self._constants)}"
            value = ir.val(name, const_value=ir.tensor(array, name=name))
            self._graph.register_initializer(value)
            self._constants[key] = value
        return self._constants[key]

    def _from_map(self, value: ir.Value) -> Rows:
        _, channels, height, width = map_sizes(value)
        rows = self.op("Transpose", value, perm=[2, 3, 0, 1])
        rows = self.reshape(rows, [height * width, -1, channels])
        rows = self.op("Pad", rows, self.constant(np.array([0, 0, 0, 1, 0, 0])))
        return Rows(rows, Layout.in_order(height, width))

    def _as_map(self, value: ir.Value) -> ir.Value:
        if value not in self._maps:
            rows = self._made[value]
            places = self.op("Gather", rows.value, self.constant(rows.layout.places), axis=0)
            self._maps[value] = self.op("Transpose", places, perm=[2, 3, 0, 1])
        return self._maps[value]

    def _pooled(self, rows: Rows, layout: Layout) -> Rows:
        """The largest of each square of places."""
        side = rows.layout.places.shape[0] // layout.places.shape[0]
        order = np.full((side**2, layout.count), rows.layout.zero, np.int64)
        for place in range(side**2):
            places = rows.layout.places[place // side :: side, place % side :: side]
            order[place, layout.places] = places
        squares = self.op("Gather", rows.value, self.constant(order), axis=0)
        return Rows(self.op("ReduceMax", squares, self.constant(np.array([0])), keepdims=0), layout)


def map_sizes(value: ir.Value) -> tuple[Any, int, int, int]:
    """(S, C, H, W), the last three known."""
    assert value.shape is not None
    segments, *others = value.shape
    return segments, *(int(size) for size in others)  # type: ignore[return-value,arg-type]


def _alike(node: ir.Node) -> bool:
    """Whether two maps of one size, known but for their number, are added."""
    shapes = [None if value is None else value.shape for value in node.inputs]
    if any(shape is None or len(shape) != 4 for shape in shapes):
        return False
    one, other = ([*shape][1:] for shape in shapes if shape is not None)
    return one == other and all(isinstance(size, int) for size in one)


def _pool_layout(node: ir.Node, layout: Layout) -> Layout | None:
    """What comes of a pool that takes squares that meet; None if ``node`` is none."""
    if node.op_type != "MaxPool" or len(node.outputs) != 1:
        return None
    kernel = list(node.attributes.get_ints("kernel_shape"))
    side, (height, width) = kernel[0], layout.places.shape
    plain = (
        kernel == [side, side]
        and list(node.attributes.get_ints("strides", [1, 1])) == kernel
        and not any(node.attributes.get_ints("pads", [0]))
        and list(node.attributes.get_ints("dilations", [1, 1])) == [1, 1]
        and node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
        and height % side == 0
        and width % side == 0
    )
    return Layout.in_order(height // side, width // side) if plain else None
