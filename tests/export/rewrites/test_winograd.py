from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper, parser
from onnx_ir.passes.common import RemoveUnusedNodesPass

from export.rewrites.tiles import Layout
from export.rewrites.winograd import MIN_CHANNELS, convolve_by_winograd, transforms
from tests.export.rewrites.traced_parts import operators, run

CHANNELS = MIN_CHANNELS


def rewritten(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    model = ir.from_proto(proto)
    count = convolve_by_winograd(model)
    RemoveUnusedNodesPass()(model)
    return ir.to_proto(model), count


def network(
    body: str, height: int, width: int, out: str = "y", channels: int = CHANNELS, seed: int = 0
) -> onnx.ModelProto:
    """``body`` reads x (n, channels, height, width), filters w0, w1 and biases b0, b1."""
    text = f"""
    <ir_version: 10, opset_import: ["" : 20]>
    net (float[n, {channels}, {height}, {width}] x) => (float[n, c, h, w] {out}) {{ {body} }}
    """
    proto = parser.parse_model(text)
    rng = np.random.default_rng(seed)
    for index in range(2):
        weight = rng.normal(size=(channels, channels, 3, 3)) * np.sqrt(2 / (9 * channels))
        for name, array in (("w", weight), ("b", rng.normal(size=channels))):
            tensor = numpy_helper.from_array(array.astype(np.float32), f"{name}{index}")
            proto.graph.initializer.append(tensor)
    return onnx.shape_inference.infer_shapes(proto)


CONV = "Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>"
BODIES = {
    "one": f"y = {CONV} (x, w0, b0)",
    "no bias": f"y = {CONV} (x, w0)",
    "rectified": f"a = {CONV} (x, w0, b0) y = Relu (a)",
    "two": f"a = {CONV} (x, w0, b0) b = Relu (a) y = {CONV} (b, w1, b1)",
    "residual": f"""a = {CONV} (x, w0, b0) b = Relu (a) c = {CONV} (b, w1, b1)
        d = Add (c, x) y = Relu (d)""",
    "residual, map first": f"""a = {CONV} (x, w0, b0) b = Add (x, a) c = Relu (b)
        y = {CONV} (c, w1, b1)""",
    "read as a map, too": f"""a = {CONV} (x, w0, b0) b = Relu (a) c = {CONV} (b, w1, b1)
        d = Softmax (b) y = Mul (c, d)""",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
@pytest.mark.parametrize("size", [(8, 12), (21, 18), (9, 10), (7, 7), (5, 1)], ids=str)
def test_gives_what_the_convolutions_give(body, size):
    before = network(body, *size)
    after, count = rewritten(before)
    assert count == operators(before).count("Conv")
    assert "Conv" not in operators(after)
    onnx.checker.check_model(after, full_check=True)
    assert list(after.graph.output) == list(before.graph.output)
    for segments in (1, 3):
        x = np.random.default_rng(1).normal(size=(segments, CHANNELS, *size)).astype(np.float32)
        (expected,), (found,) = run(before, {"x": x}), run(after, {"x": x})
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("size", [(8, 12), (6, 10)], ids=str)
def test_a_pool_between_two_is_done_on_rows(size):
    pool = "MaxPool<kernel_shape = [2, 2], strides = [2, 2]>"
    body = f"a = {CONV} (x, w0, b0) b = Relu (a) c = {pool} (b) y = {CONV} (c, w1, b1)"
    before = network(body, *size)
    after, count = rewritten(before)
    assert (count, "MaxPool" in operators(after)) == (2, False)
    x = np.random.default_rng(1).normal(size=(2, CHANNELS, *size)).astype(np.float32)
    (expected,), (found,) = run(before, {"x": x}), run(after, {"x": x})
    assert found.shape == expected.shape == (2, CHANNELS, size[0] // 2, size[1] // 2)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "pool",
    [
        "MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>",
        "MaxPool<kernel_shape = [2, 2]>",
        "MaxPool<kernel_shape = [2, 1], strides = [2, 1]>",
        "AveragePool<kernel_shape = [2, 2], strides = [2, 2]>",
    ],
)
def test_any_other_pool_gets_its_map(pool):
    before = network(f"a = {CONV} (x, w0, b0) y = {pool} (a)", 8, 8)
    after, count = rewritten(before)
    assert (count, pool.split("<")[0] in operators(after)) == (1, True)
    x = np.random.default_rng(1).normal(size=(2, CHANNELS, 8, 8)).astype(np.float32)
    (expected,), (found,) = run(before, {"x": x}), run(after, {"x": x})
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "conv",
    [
        "Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]>",
        "Conv<kernel_shape = [3, 3], pads = [0, 0, 0, 0]>",
        "Conv<kernel_shape = [3, 3]>",
        "Conv<kernel_shape = [3, 3], pads = [2, 2, 2, 2], dilations = [2, 2]>",
        'Conv<kernel_shape = [3, 3], auto_pad = "SAME_UPPER">',
    ],
)
def test_any_other_convolution_stays(conv):
    before = network(f"y = {conv} (x, w0, b0)", 8, 8)
    after, count = rewritten(before)
    assert (count, operators(after)) == (0, ["Conv"])


def test_few_channels_stay_as_they_are():
    before = network(BODIES["two"], 8, 8, channels=MIN_CHANNELS - 1)
    assert rewritten(before)[1] == 0


def test_a_map_of_unknown_size_stays():
    proto = network(BODIES["one"], 8, 8)
    proto.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    assert rewritten(proto)[1] == 0


def test_the_file_does_not_grow_by_the_filters():
    before = network(BODIES["two"], 12, 8)
    after, _ = rewritten(before)
    # What comes along are transforms and the order of rows.
    assert after.ByteSize() - before.ByteSize() < 60_000


@pytest.mark.parametrize("side", [2, 4])
def test_the_transforms_are_exact_for_whole_numbers(side):
    """Of Lavin and Gray's equation 8 in one dimension: A^T [(G g) * (B^T d)]."""
    rng = np.random.default_rng(0)
    put_in, filters, put_out = transforms(side)
    assert (put_in.shape, filters.shape) == ((side + 2, side + 2), (side + 2, 3))
    d, g = rng.integers(-9, 9, side + 2), rng.integers(-9, 9, 3)
    found = put_out @ ((filters @ g) * (put_in @ d))
    expected = [d[i : i + 3] @ g for i in range(side)]
    np.testing.assert_allclose(found, expected, atol=1e-11)


@pytest.mark.parametrize("size", [24, 16, 7])
def test_the_error_is_a_few_units_in_the_last_place(size):
    before = network(BODIES["one"], size, size)
    after, _ = rewritten(before)
    x = np.random.default_rng(1).normal(size=(2, CHANNELS, size, size)).astype(np.float32)
    weight, bias = (numpy_helper.to_array(t) for t in before.graph.initializer[:2])
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    exact = np.einsum("nchwij,kcij->nkhw", windows, weight.astype(np.float64), optimize=True)
    exact += bias[:, None, None]
    (found,) = run(after, {"x": x})
    assert np.abs(found - exact).max() < 4e-6 * np.abs(exact).max()


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 5))
def test_layouts_know_each_place_once(height, width, side):
    layout = Layout.of_tiles(height, width, side)
    used = [*layout.places.ravel().tolist(), layout.zero]
    assert len(set(used)) == len(used)
    assert 0 <= min(used) <= max(used) < layout.count
    assert layout.same_as(Layout.of_tiles(height, width, side))


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 12))
def test_windows_hold_the_places_around_each_tile_and_zeros_beyond(height, width):
    layout = Layout.in_order(height, width)
    windows = layout.windows(4, 6).reshape(6, 6, -(-height // 4), -(-width // 4))
    for (i, j, down, across), row in np.ndenumerate(windows):
        y, x = down * 4 + i - 1, across * 4 + j - 1
        inside = 0 <= y < height and 0 <= x < width
        assert row == (layout.places[y, x] if inside else layout.zero)


def test_a_second_reader_of_the_filters_keeps_them():
    body = f"a = {CONV} (x, w0, b0) s = ReduceSum (w0) y = Add (a, s)"
    before = network(body, 8, 8)
    after, count = rewritten(before)
    assert count == 1
    x = np.ones((1, CHANNELS, 8, 8), np.float32)
    (expected,), (found,) = run(before, {"x": x}), run(after, {"x": x})
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
