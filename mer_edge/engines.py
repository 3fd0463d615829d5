"""Which ONNX Runtime packages are installed. Several of them at once break each other."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from mer_edge.errors import MerEdgeError

ONNXRUNTIME_PACKAGES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-training",
)
"""Distributions that all unpack into the folder ``onnxruntime``."""
SPIN_US = 100
"""How long a thread of a session looks for work before it sleeps, in microseconds. By itself ONNX
Runtime lets it look for some ten milliseconds, and where another program wants the core, that is
taken from whoever works. Much shorter, and threads must be woken at every operator
(docs/runtime.md has the figures)."""


def installed_onnxruntimes() -> dict[str, str]:
    """Installed ONNX Runtime packages and their versions; more than one is a conflict."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ONNXRUNTIME_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def conflict(installed: dict[str, str]) -> str | None:
    """What is wrong with these packages and how to mend it; None when at most one is there."""
    if len(installed) < 2:
        return None
    names = " and ".join(f"{name} {version}" for name, version in installed.items())
    extra = "gpu" if "onnxruntime-gpu" in installed else "cpu"
    return (
        f"{names} are installed together and overwrite each other's files; "
        f"run: pip uninstall {' '.join(installed)} and then: pip install 'mer-edge[{extra}]'"
    )


def refuse_conflict() -> None:
    """Raises MerEdgeError when two ONNX Runtime packages share one folder."""
    problem = conflict(installed_onnxruntimes())
    if problem:
        raise MerEdgeError(problem)


def import_onnxruntime() -> ModuleType:
    """ONNX Runtime, told to collect nothing of what is run (where its build collects at all).

    Raises:
        ModuleNotFoundError: it is not installed.
        MerEdgeError: it is, and cannot be loaded, as without the memory for it.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise
    except ImportError as error:
        raise MerEdgeError(
            f"onnxruntime is installed and cannot be loaded ({error}); expected a package for this "
            "machine, and memory for it; run mer-edge doctor, or install it anew"
        ) from error

    if hasattr(onnxruntime, "disable_telemetry_events"):
        onnxruntime.disable_telemetry_events()
    module: ModuleType = onnxruntime
    return module


def sleep_when_idle(options: Any, spin_us: int | None = SPIN_US) -> None:
    """Let a session's threads give their core away: soon within a run, at once at its end.

    Sessions of one process run one after the other here, and beside decoding and other programs.
    An ONNX Runtime that does not know the first entry passes it by.

    Args:
        options: an ``onnxruntime.SessionOptions``.
        spin_us: how long they look for work within a run; None leaves it to the engine.
    """
    if spin_us is not None:
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin_us))
    options.add_session_config_entry("session.force_spinning_stop", "1")
