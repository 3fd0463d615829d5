"""A chain over the fake GPU and the fake TensorRT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mer_edge.bundle import Bundle
from runtime.chain import Chain
from runtime.cuda.backend import CudaBackend, tensorrt_backend
from runtime.cuda.cudart import Cuda
from runtime.shapes import load_graphs
from runtime.texts import Texts
from tests.runtime.bundles import make_bundle
from tests.runtime.cuda.fake_cuda import FakeCuda
from tests.runtime.cuda.fake_tensorrt import ORIN, FakeTensorRT


class Rig:
    """A bundle with its engines built, on a GPU that nobody has."""

    def __init__(
        self,
        bundle: Bundle,
        cache: Path,
        version: str = "10.13.2",
        seed: int | None = 0,
        memory_bytes: int = 1 << 32,
        cuda_graphs: bool = True,
    ) -> None:
        self.bundle = bundle
        self.cuda = FakeCuda(seed, memory_bytes)
        self.tensorrt = FakeTensorRT(version, self.cuda)
        self.tensorrt.fill(cache, bundle)
        self.backend: CudaBackend = tensorrt_backend(
            bundle, self.tensorrt.api, Cuda(self.cuda), ORIN, cache, cuda_graphs
        )

    def chain(self) -> Chain:
        graphs = load_graphs(self.bundle, self.backend)
        texts = Texts(self.bundle, self.backend.arrays) if "text" in graphs else None
        return Chain(self.bundle, graphs, texts, self.backend.arrays)

    def stream_of(self, graph: str) -> int:
        """The stream that a graph ran on."""
        (stream,) = {stream for label, stream, _ in self.cuda.calls(f"run {graph}")}
        assert stream is not None
        return stream


@pytest.fixture
def rig(bundle: Bundle, tmp_path: Path) -> Callable[..., Rig]:
    def make(**options: object) -> Rig:
        chosen = options.pop("bundle", bundle)
        return Rig(chosen, tmp_path / "cache", **options)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def tokens_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Its encoders are guided by all tokens."""
    place = tmp_path_factory.mktemp("tokens") / "bundle"
    return Bundle.load(make_bundle(place, tokens=True, max_tokens=16))
