"""The same on a real GPU where there is one; what needs no engine on the stand-in as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mer_edge.bundle import Bundle
from mer_edge.cli.main import main
from mer_edge.errors import MerEdgeError
from mer_edge.tensorrt_api import FLAVOURS, is_installed
from runtime.cuda.backend import open_cuda_backend
from runtime.cuda.cudart import Cuda, load_cuda
from runtime.cuda.memory import HostBuffer, Pool
from runtime.cuda.streams import Event, Stream
from runtime.verify import verify
from tests.runtime.cuda.fake_cuda import FakeCuda

TINY = Path(__file__).parents[2] / "data" / "tiny-bundle"
BYTES = 1 << 20
FLOATS = np.dtype(np.float32)


def real_cuda() -> Cuda:
    try:
        return load_cuda("cuda", "gpu")
    except MerEdgeError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["stand-in", pytest.param("real", marks=pytest.mark.gpu)])
def cuda(request) -> Cuda:
    return Cuda(FakeCuda(seed=1)) if request.param == "stand-in" else real_cuda()


def test_values_go_through_two_streams_and_back(cuda):
    first, second = Stream(cuda, "first"), Stream(cuda, "second")
    here = HostBuffer(cuda, (BYTES // 4,), FLOATS, "test")
    there = HostBuffer(cuda, (BYTES // 4,), FLOATS, "test")
    one, two = Pool(cuda, first).lease(BYTES, "test"), Pool(cuda, second).lease(BYTES, "test")
    here.array[:] = np.arange(BYTES // 4)
    first.copy_in(one.address, here.address, BYTES)
    event = Event(cuda)
    first.record(event)
    one.block.ready = event
    one.block.before_reading(second)
    second.copy(two.address, one.address, BYTES)
    second.clear(two.address, 40)
    second.copy_out(there.address, two.address, BYTES)
    second.synchronize()
    np.testing.assert_array_equal(there.array[:10], 0)
    np.testing.assert_array_equal(there.array[10:], here.array[10:])


def test_what_was_captured_copies_the_values_of_the_moment(cuda):
    stream = Stream(cuda, "stream")
    pool = Pool(cuda, stream)
    source, target = pool.lease(BYTES, "test"), pool.lease(BYTES, "test")
    host = HostBuffer(cuda, (BYTES // 4,), FLOATS, "test")
    cuda.begin_capture(stream.handle)
    stream.copy(target.address, source.address, BYTES)
    graph = cuda.end_capture(stream.handle)
    for value in (3.0, 7.0):
        host.array[:] = value
        stream.copy_in(source.address, host.address, BYTES)
        cuda.launch(graph, stream.handle)
        stream.copy_out(host.address, target.address, BYTES)
        stream.synchronize()
        np.testing.assert_array_equal(host.array, value)
    cuda.destroy_graph(graph)


@pytest.mark.gpu
@pytest.mark.parametrize("cuda_graphs", [False, True])
def test_golden_tensors_on_cuda(cuda_graphs):
    real_cuda()
    bundle = Bundle.load(TINY)
    try:
        backend = open_cuda_backend(bundle, "cuda", cuda_graphs=cuda_graphs)
    except MerEdgeError as error:
        pytest.skip(str(error))
    found = verify(bundle, backend)
    assert found.passed, found.first_difference


@pytest.mark.gpu
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_golden_tensors_on_engines(flavour, tmp_path):
    real_cuda()
    if not is_installed(flavour):
        pytest.skip(f"{flavour} is not installed")
    options = ["--device", flavour, "--cache", str(tmp_path), "--quiet"]
    assert main(["build", str(TINY), *options]) == 0
    bundle = Bundle.load(TINY)
    found = verify(bundle, open_cuda_backend(bundle, flavour, cache=tmp_path))
    assert found.passed, found.first_difference
