"""ONNX Runtime on buffers of ours: IO binding, so that nothing goes through the host.

Source: ONNX Runtime's documentation of its CUDA execution provider and of ``IOBinding``. The
binding is run by the tests with the CPU provider; with CUDA it has never been run by this project.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_edge.bundle import GraphSpec
from mer_edge.errors import MerEdgeError
from runtime.cuda.cudart import Cuda, OutOfDeviceMemoryError
from runtime.cuda.device_arrays import Box
from runtime.cuda.execution import Execution, Replay
from runtime.cuda.streams import Stream
from runtime.ort import PROVIDERS, OrtBackend, check_provider, first_line

ASKED_BYTES = re.compile(r"requested (?:buffer of size |bytes of )(\d+)")


@dataclass(frozen=True)
class OrtPlace:
    """Where sessions run.

    Attributes:
        device: ``cuda``; ``cpu`` where the tests' memory is the host's.
        cuda_graphs: whether ONNX Runtime captures and replays CUDA graphs.
    """

    backend: OrtBackend
    cuda: Cuda
    device: str = "cuda"
    cuda_graphs: bool = False

    def open(self, path: Path, spec: GraphSpec, stream: Stream) -> OrtEngine:
        """A session whose work goes on ``stream``.

        Raises:
            MerEdgeError: see ``runtime.ort.OrtBackend.load``.
        """
        refusal = ""
        if self.cuda_graphs:
            try:
                session = self.backend.open_session(path, spec, self._options(spec, stream, True))
                return OrtEngine(self, session, path, "own")
            except MerEdgeError as error:
                refusal = str(error)  # told as part of the engine's name if it runs without
        session = self.backend.open_session(path, spec, self._options(spec, stream, False))
        return OrtEngine(self, session, path, "none", refusal)

    def _options(self, spec: GraphSpec, stream: Stream, graphs: bool) -> dict[str, str]:
        if self.device == "cpu":
            return {}
        options = {
            "user_compute_stream": str(int(stream.handle)),
            # Trying all algorithms for every new length of a clip takes longer than the clip.
            "cudnn_conv_algo_search": "HEURISTIC",
            "enable_cuda_graph": "1" if graphs else "0",
        }
        if spec.precision == "fp32":
            options["use_tf32"] = "0"  # its 10 bits of mantissa are no fp32
        return options


class OrtEngine:
    """``runtime.cuda.execution.DeviceEngine`` over a session.

    Args:
        replay: ``own`` where the session captures CUDA graphs.
        refusal: why it does not, though it was asked to.
    """

    def __init__(
        self, place: OrtPlace, session: Any, path: Path, replay: Replay, refusal: str = ""
    ) -> None:
        self._place = place
        self._session = session
        self._path = path
        self._refusal = refusal
        self._bound = 0
        self.replay: Replay = replay

    @property
    def title(self) -> str:
        """``onnxruntime`` and the provider that the session itself names."""
        title = f"onnxruntime {self._session.get_providers()[0]}, IO binding"
        return f"{title}, without CUDA graphs: {self._refusal}" if self._refusal else title

    def bind(self, inputs: Mapping[str, Box], outputs: Mapping[str, Box]) -> Execution:
        """See ``runtime.cuda.execution.DeviceEngine``."""
        binding = self._session.io_binding()
        for boxes, bind in ((inputs, binding.bind_input), (outputs, binding.bind_output)):
            for name, box in boxes.items():
                bind(
                    name=name,
                    device_type=self._place.device,
                    device_id=0,
                    element_type=box.dtype.type,
                    shape=list(box.shape),
                    buffer_ptr=box.buffer.address,
                )
        self._bound += 1
        kept = (*inputs.values(), *outputs.values())
        return OrtExecution(self, binding, self._run_options(), kept)

    def _run_options(self) -> Any:
        import onnxruntime

        options = onnxruntime.RunOptions()
        # Our events say when the work is done: the host does not wait after each graph.
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        if self.replay == "own":
            options.add_run_config_entry("gpu_graph_id", str(self._bound))
        return options

    def run(self, binding: Any, options: Any) -> None:
        """Run what is bound, and ask the session whether it was where it should be.

        Raises:
            MerEdgeError: it failed, has no memory left, or ran elsewhere.
        """
        try:
            self._session.run_with_iobinding(binding, options)
        except Exception as error:  # the engine's exceptions have no common class of their own
            raise self._told(error) from error
        check_provider(self._session, self._path, PROVIDERS[self._place.device])

    def _told(self, error: Exception) -> MerEdgeError:
        asked = ASKED_BYTES.search(str(error))
        if asked:
            free, total = self._place.cuda.memory_info()
            what = f"the {self._path.stem} graph in onnxruntime"
            return OutOfDeviceMemoryError(int(asked[1]), what, "onnxruntime", free, total)
        return MerEdgeError(f"{self._path}: onnxruntime failed: {first_line(error)}")


@dataclass(frozen=True)
class OrtExecution:
    """A session's inputs and outputs, bound."""

    engine: OrtEngine
    binding: Any
    options: Any
    kept: tuple[Box, ...]
    """What the binding points to."""

    def enqueue(self, stream: Stream) -> None:
        """See ``runtime.cuda.execution.Execution``; the session was made for this stream."""
        self.engine.run(self.binding, self.options)
