"""TensorRT and TensorRT-RTX behind one thin, typed layer: what both flavours and versions share.

Supported are ``tensorrt`` 10.3 to 11.x and ``tensorrt_rtx`` 1.x. Only what :class:`TensorRTModule`
lists is taken from them without asking; what one of them lacks is asked for first. TensorRT 11
and RTX know strongly typed networks alone: no precision flags and no calibrators, which are
therefore never touched on TensorRT 10 either.

Source: NVIDIA's Python API and migration guides of TensorRT 10, 11 and TensorRT-RTX 1.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from mer_edge.errors import MerEdgeError, MissingExtraError

if TYPE_CHECKING:
    import tensorrt as trt

Sink = Callable[[str, str], None]
"""Takes a severity (``error``, ``warning``, ``info``) and a message."""
PhaseSink = Callable[[str, int, int], None]
"""Takes a phase's name, the steps done and their number."""
MESSAGES_KEPT = 3
SEVERITIES = {0: "error", 1: "error", 2: "warning", 3: "info"}
"""Internal errors and errors are one to whoever reads them; verbose messages are left out."""


@dataclass(frozen=True)
class Flavour:
    """One of the two packages: where it is found and which versions of it are supported."""

    title: str
    modules: tuple[str, ...]
    package: str
    first: tuple[int, int]
    below: tuple[int, int]


FLAVOURS = {
    "tensorrt": Flavour("TensorRT", ("tensorrt",), "tensorrt", (10, 3), (12, 0)),
    # The second module is all that the wheels bring; the first comes with the package's sdist.
    "tensorrt-rtx": Flavour(
        "TensorRT-RTX",
        ("tensorrt_rtx", "tensorrt_rtx_bindings"),
        "tensorrt-rtx-cu13",
        (1, 0),
        (2, 0),
    ),
}
"""By the name that ``--device`` takes; the extras that bring them have the same names."""


class TensorRTModule(Protocol):
    """What is taken from the package and is there in every supported version of both flavours."""

    @property
    def ILogger(self) -> type[trt.ILogger]: ...
    @property
    def Builder(self) -> type[trt.Builder]: ...
    @property
    def OnnxParser(self) -> type[trt.OnnxParser]: ...
    @property
    def Runtime(self) -> type[trt.Runtime]: ...
    @property
    def Dims(self) -> type[trt.Dims]: ...
    @property
    def MemoryPoolType(self) -> type[trt.MemoryPoolType]: ...
    @property
    def ExecutionContextAllocationStrategy(
        self,
    ) -> type[trt.ExecutionContextAllocationStrategy]: ...
    @property
    def NetworkDefinitionCreationFlag(self) -> type[trt.NetworkDefinitionCreationFlag]: ...


if TYPE_CHECKING:
    _STUBS_HAVE_WHAT_IS_USED: TensorRTModule = trt


@dataclass(frozen=True)
class TensorRT:
    """An imported package."""

    flavour: str
    """``tensorrt`` or ``tensorrt-rtx``"""
    version: str
    """As the package says it: ``10.3.0``, ``1.7.1.116``."""
    module: TensorRTModule

    @property
    def title(self) -> str:
        """For messages: ``TensorRT 10.3.0``."""
        return f"{FLAVOURS[self.flavour].title} {self.version}"

    @property
    def has_timing_cache(self) -> bool:
        """RTX times nothing while it builds: its timing cache does nothing and is deprecated."""
        return self.flavour == "tensorrt"

    def strongly_typed_flags(self) -> int:
        """Flags for ``Builder.create_network`` so that every tensor keeps the type of the ONNX."""
        flag = getattr(self.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        if flag is None:  # a version whose networks are never anything else
            return 0
        return 1 << int(flag)

    def logger(self, sink: Sink) -> trt.ILogger:
        """A logger that hands messages on, verbose ones excepted."""
        return cast("trt.ILogger", _logger_class(self.module)(sink))

    def progress_monitor(self, sink: PhaseSink) -> trt.IProgressMonitor | None:
        """A monitor that tells phases and steps; None where the package has no monitors."""
        base = getattr(self.module, "IProgressMonitor", None)
        return None if base is None else cast("trt.IProgressMonitor", _monitor(base, sink))

    def compute_capabilities(self) -> dict[str, Any]:
        """What an engine can be built for without such a GPU, by ``8.9``; empty without RTX."""
        listed = getattr(self.module, "ComputeCapability", None)
        found = {}
        for name, member in getattr(listed, "__members__", {}).items():
            match = re.fullmatch(r"SM(\d+)(\d)", name)
            if match:
                found[f"{match[1]}.{match[2]}"] = member
        return found


class Messages:
    """The last things TensorRT has said: where it fails, they are all the reason it gives."""

    def __init__(self) -> None:
        self.errors: deque[str] = deque(maxlen=MESSAGES_KEPT)
        self.warnings: dict[str, None] = {}

    def __call__(self, severity: str, message: str) -> None:
        if severity == "error":
            self.errors.append(message)
        elif severity == "warning":
            self.warnings[message] = None

    def reason(self) -> str:
        return "; ".join(self.errors) or "it gave no reason"


def load_tensorrt(flavour: str) -> TensorRT:
    """Import a flavour.

    Raises:
        MissingExtraError: it is not installed.
        MerEdgeError: no such flavour, a version that is not supported, or an import that fails.
    """
    if flavour not in FLAVOURS:
        raise MerEdgeError(f"{flavour}: no such device; choose from {', '.join(FLAVOURS)}")
    wanted = FLAVOURS[flavour]
    name = next((module for module in wanted.modules if _is_package(module)), None)
    if name is None:
        raise MissingExtraError(wanted.title, wanted.package, flavour)
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise MerEdgeError(
            f"{wanted.title} is installed but cannot be imported: {error}; install it again, "
            "with the libraries that its documentation names"
        ) from error
    version = str(getattr(module, "__version__", ""))
    if not wanted.first <= _numbers(version) < wanted.below:
        first, below = (".".join(map(str, bound)) for bound in (wanted.first, wanted.below))
        raise MerEdgeError(
            f"{wanted.title} is {version or 'of no known version'}; expected {first} or later, "
            f"below {below}; run: pip install 'mer-edge[{flavour}]'"
        )
    return TensorRT(flavour, version, cast("TensorRTModule", module))


def is_installed(flavour: str) -> bool:
    """Whether one of a flavour's modules is there; nothing is imported."""
    return any(_is_package(module) for module in FLAVOURS[flavour].modules)


def _is_package(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module that stands in sys.modules without a specification
        return True
    # A folder without code, such as packages of type stubs leave, is a namespace with no origin.
    return spec is not None and spec.origin is not None


def _numbers(version: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _logger_class(module: TensorRTModule) -> Callable[[Sink], object]:
    base: Any = module.ILogger

    class HandingOn(base):  # type: ignore[misc]
        """TensorRT calls ``log`` from its own threads."""

        def __init__(self, sink: Sink) -> None:
            base.__init__(self)
            self._sink = sink

        def log(self, severity: Any, message: str) -> None:
            name = SEVERITIES.get(int(severity))
            if name is not None:
                self._sink(name, message)

    return HandingOn


def _monitor(base: Any, sink: PhaseSink) -> object:
    class Telling(base):  # type: ignore[misc]
        """Phases are nested; steps of the outermost one are the progress, inner names a detail."""

        def __init__(self) -> None:
            base.__init__(self)
            self._outermost: str | None = None
            self._steps = self._done = 0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._outermost, self._steps, self._done = phase_name, num_steps, 0
            sink(phase_name, self._done, self._steps)

        def phase_finish(self, phase_name: str) -> None:
            if phase_name == self._outermost:
                sink(phase_name, self._steps, self._steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name == self._outermost:
                self._done = step + 1
                sink(phase_name, self._done, self._steps)
            return True

    return Telling()
