"""mer-edge: edge inference for multimodal video emotion recognition (MER-SEM-MBT).

The public names load their modules on first use, so that ``import mer_edge`` costs nothing.
Their types are in ``__init__.pyi``. Nothing is imported here: the first thing of a command is to
wait for signals (``mer_edge.cli.start``), and typing alone takes 15 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "mer_edge.bundle",
    "Clip": "mer_edge.clip",
    "MerEdgeError": "mer_edge.errors",
    "Result": "mer_edge.result",
    "load_clips": "mer_edge.clips",
    "Recognizer": "runtime.recognizer",
    "Stream": "runtime.stream",
}

__all__ = [
    "Bundle",
    "Clip",
    "MerEdgeError",
    "Recognizer",
    "Result",
    "Stream",
    "__version__",
    "load_clips",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'mer_edge' has no attribute {name!r}")
    if home.startswith("mer_edge"):
        import importlib

        module = importlib.import_module(home)
    else:
        from mer_edge.stages import load_stage

        module = load_stage(home)
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
