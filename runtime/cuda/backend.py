"""The backends of a GPU: ``cuda`` by ONNX Runtime, ``tensorrt`` and ``tensorrt-rtx``.

The graphs run on three streams: the audio and the visual encoder beside each other, text and fusion
on a third. Who waits for whom follows from the arrays: a graph that reads what another gave waits
for it, on the GPU, and the host goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from mer_edge.bundle import Bundle, GraphSpec
from mer_edge.cuda_device import Gpu, current_gpu
from mer_edge.engine_cache import cache_directory
from mer_edge.engine_keys import dimension_ranges
from mer_edge.errors import MerEdgeError
from mer_edge.tensorrt_api import FLAVOURS, TensorRT, load_tensorrt
from runtime.cuda.buckets import Buckets
from runtime.cuda.cudart import Cuda, load_cuda
from runtime.cuda.device_arrays import DeviceArrays
from runtime.cuda.engine_files import build_advice, find_built
from runtime.cuda.execution import DeviceEngine
from runtime.cuda.graph import DeviceGraph
from runtime.cuda.memory import Pool
from runtime.cuda.ort_cuda import OrtPlace
from runtime.cuda.streams import Stream
from runtime.cuda.trt_engine import TrtLoader
from runtime.ort import OrtBackend

CUDA_DEVICES = ("cuda", *FLAVOURS)
"""What ``--device`` takes for a GPU."""
SHARED_STREAM = ("text", "fusion")
"""One is before the encoders and the other after them."""
OpenEngine = Callable[[str, Path, GraphSpec, Pool], DeviceEngine]
"""Takes a graph's name and file, what it takes and gives, and the memory of its stream."""


class CudaBackend:
    """``runtime.backend.Backend`` for one bundle on the GPU.

    Args:
        bundle: whose graphs are loaded.
        cuda: the GPU.
        open_engine: loads a graph.
        exact: run every shape as it comes, not rounded up to a bucket.
    """

    loaders = 1
    """Engines are made ready one after the other: what several at once would do was not tried."""

    def __init__(self, bundle: Bundle, cuda: Cuda, open_engine: OpenEngine, *, exact: bool) -> None:
        self._bundle = bundle
        self._cuda = cuda
        self._open_engine = open_engine
        self._exact = exact
        self._lock = threading.RLock()
        self._pools: dict[str, Pool] = {}
        self.arrays = DeviceArrays(cuda, self._lock)

    def load(self, path: Path, spec: GraphSpec) -> DeviceGraph:
        """See ``runtime.backend.Backend``.

        Raises:
            MerEdgeError: also where the graph is not one of the bundle's.
        """
        graphs = self._bundle.manifest.graphs
        name = next((name for name, found in graphs.items() if found == spec), None)
        if name is None:
            raise MerEdgeError(f"{path}: not a graph of {self._bundle.path}; open its own bundle")
        pool = self._pool(name)
        ranges = dimension_ranges(name, spec, self._bundle.manifest.shape_ranges)
        engine = self._open_engine(name, path, spec, pool)
        return DeviceGraph(name, spec, engine, pool, Buckets(ranges, self._exact), self._lock)

    def _pool(self, graph: str) -> Pool:
        """Of the graph's stream; an encoder and its stem have one."""
        stream = "text and fusion" if graph in SHARED_STREAM else graph.split("_")[0]
        if stream not in self._pools:
            self._pools[stream] = Pool(self._cuda, Stream(self._cuda, stream))
        return self._pools[stream]


def open_cuda_backend(
    bundle: Bundle,
    device: str,
    threads: int | None = None,
    *,
    cache: Path | None = None,
    cuda_graphs: bool | None = None,
) -> CudaBackend:
    """The backend of a GPU, ready to load the graphs of ``bundle``. There is no falling back.

    Args:
        device: one of ``CUDA_DEVICES``.
        threads: CPU threads for what ONNX Runtime leaves to the CPU; None: its own choice.
        cache: where engines are; None: see ``mer_edge.engine_cache.cache_directory``.
        cuda_graphs: whether runs become CUDA graphs; None: with TensorRT yes, with ONNX Runtime no.

    Raises:
        MerEdgeError: no such device, no GPU, or its software does not work.
        MissingExtraError: a package is not installed.
    """
    if device not in CUDA_DEVICES:
        raise MerEdgeError(
            f"--device {device}: no such device; choose from {', '.join(CUDA_DEVICES)}"
        )
    if device == "cuda":
        ort = OrtBackend(device, threads)
        return ort_backend(
            bundle, OrtPlace(ort, load_cuda(device, "gpu"), device, bool(cuda_graphs))
        )
    if threads is not None:
        raise MerEdgeError(
            f"--threads {threads}: {device} runs nothing on CPU threads; leave the option out"
        )
    api = load_tensorrt(device)
    cuda = load_cuda(device, device)
    return tensorrt_backend(
        bundle, api, cuda, this_gpu(device), cache_directory(cache), cuda_graphs is not False
    )


def ort_backend(bundle: Bundle, place: OrtPlace) -> CudaBackend:
    """ONNX Runtime with IO binding. Shapes are rounded up where CUDA graphs make that worth it."""

    def open_engine(name: str, path: Path, spec: GraphSpec, pool: Pool) -> DeviceEngine:
        return place.open(path, spec, pool.stream)

    return CudaBackend(bundle, place.cuda, open_engine, exact=not place.cuda_graphs)


def tensorrt_backend(
    bundle: Bundle, api: TensorRT, cuda: Cuda, gpu: Gpu, cache: Path, cuda_graphs: bool
) -> CudaBackend:
    """Engines out of the cache; what is not there, or is not right, is an error."""
    loader = TrtLoader(api, gpu.name, cuda_graphs=cuda_graphs)
    advice = build_advice(bundle, api.flavour)

    def open_engine(name: str, path: Path, spec: GraphSpec, pool: Pool) -> DeviceEngine:
        plan = find_built(bundle, name, api, gpu, cache).read()
        return loader.load(name, plan, spec, pool, advice)

    return CudaBackend(bundle, cuda, open_engine, exact=False)


def this_gpu(device: str) -> Gpu:
    """The GPU as the driver names it.

    Raises:
        MerEdgeError: there is none.
    """
    gpu = current_gpu()
    if gpu is None:
        raise MerEdgeError(
            f"--device {device}: no NVIDIA GPU here; run mer-edge doctor, or use --device cpu"
        )
    return gpu
