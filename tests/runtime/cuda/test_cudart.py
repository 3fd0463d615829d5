"""Errors of CUDA as sentences, and the real package's functions as they are called here."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys

import pytest

from mer_edge.errors import MerEdgeError, MissingExtraError
from runtime.cuda import cudart
from runtime.cuda.cudart import Cuda, CudaError, OutOfDeviceMemoryError, load_cuda
from tests.runtime.cuda.fake_cuda import FakeCuda, cudaError_t


def test_out_of_memory_says_how_much_of_what():
    fake = FakeCuda(memory_bytes=8_000_000)
    cuda = Cuda(fake)
    kept = cuda.malloc(5_000_000, "weights")
    with pytest.raises(OutOfDeviceMemoryError) as caught:
        cuda.malloc(12_345_678, "faces (64, 224, 224, 3) of the visual graph")
    assert str(caught.value) == (
        "the GPU is out of memory (cudaErrorMemoryAllocation): faces (64, 224, 224, 3) of the "
        "visual graph needs 12.3 MB, of 8 MB 3.0 MB are free; run fewer clips at once, or close "
        "what else uses the GPU"
    )
    # The runtime remembers a failed call: an engine that asks next would take it for its own.
    assert fake.last_error == cudaError_t.cudaSuccess
    cuda.free(kept)
    assert cuda.malloc(7_000_000, "weights")


def test_too_little_memory_that_is_never_swapped():
    fake = FakeCuda(fails={"cudaMallocHost": cudaError_t.cudaErrorMemoryAllocation})
    with pytest.raises(CudaError, match=r"cudaMallocHost: cudaErrorMemoryAllocation .*2\.5 MB of"):
        Cuda(fake).malloc_host(2_500_000, "sending faces")


def test_an_error_has_cudas_name():
    fake = FakeCuda(fails={"cudaStreamSynchronize": cudaError_t.cudaErrorIllegalAddress})
    cuda = Cuda(fake)
    stream = cuda.new_stream()
    with pytest.raises(CudaError) as caught:
        cuda.synchronize_stream(stream)
    assert str(caught.value) == (
        "cudaStreamSynchronize: cudaErrorIllegalAddress (what the driver says of it); the GPU's "
        "state is lost for this process: start it again, and run mer-edge doctor"
    )
    assert caught.value.name == "cudaErrorIllegalAddress"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"devices": 0}, r"no NVIDIA GPU can be used here: cudaErrorNoDevice .*mer-edge doctor"),
        (
            {"fails": {"cudaGetDeviceCount": cudaError_t.cudaErrorInsufficientDriver}},
            r"driver is one for CUDA 13\.2, the package cuda-bindings wants 13\.5; .*<13'",
        ),
        (
            {
                "fails": {"cudaGetDeviceCount": cudaError_t.cudaErrorInsufficientDriver},
                "driver": 0,
            },
            "there is no CUDA driver; install NVIDIA's, or use --device cpu",
        ),
    ],
)
def test_no_gpu_is_an_error(options, told):
    with pytest.raises(MerEdgeError, match=told):
        Cuda(FakeCuda(**options))


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(MissingExtraError, match=r"cuda-bindings.*'mer-edge\[tensorrt\]'"):
        load_cuda("tensorrt", "tensorrt")
    real = builtins.__import__

    def broken(name, *arguments, **keywords):
        if name == "cuda.bindings":
            raise ImportError("libcudart.so.13: cannot open shared object file")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(MerEdgeError, match=r"cannot be imported: libcudart\.so\.13"):
        load_cuda("tensorrt", "tensorrt")


def test_the_real_package_has_what_is_called():
    """By name, and with as many arguments; the numbers of errors are the stand-in's."""
    runtime = pytest.importorskip("cuda.bindings.runtime")
    for name, arguments in _calls():
        documented = getattr(runtime, name).__doc__.splitlines()[0]
        inside = documented[documented.index("(") + 1 : documented.rindex(")")]
        assert len([x for x in inside.split(",") if x.strip()]) == arguments, documented
    for enum, wanted in (
        ("cudaError_t", cudaError_t),
        ("cudaMemcpyKind", FakeCuda.cudaMemcpyKind),
        ("cudaStreamCaptureMode", FakeCuda.cudaStreamCaptureMode),
    ):
        for member in wanted:
            assert int(getattr(getattr(runtime, enum), member.name)) == member
    assert runtime.cudaStreamNonBlocking == FakeCuda.cudaStreamNonBlocking
    assert runtime.cudaEventDisableTiming == FakeCuda.cudaEventDisableTiming
    assert not runtime.cudaError_t.cudaSuccess  # a code is asked for its truth


def test_the_stand_in_has_the_same_functions():
    fake = FakeCuda()
    for name, arguments in _calls():
        assert len(inspect.signature(getattr(fake, name)).parameters) == arguments, name


def _calls() -> list[tuple[str, int]]:
    """CUDA functions that ``Cuda`` calls, with the number of arguments."""
    found = []
    for node in ast.walk(ast.parse(inspect.getsource(cudart))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr.startswith("cuda"):
            found.append((node.func.attr, len(node.args)))
        elif node.func.attr == "_call" and isinstance(node.args[0], ast.Constant):
            found.append((node.args[0].value, len(node.args) - 1))
    assert len(found) > 20
    return found
