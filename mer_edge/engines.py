"""Which ONNX Runtime packages are installed. Several of them at once break each other."""

from __future__ import annotations

import os
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
taken from whoever works (docs/runtime.md has the figures)."""


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


def set_threads(
    options: Any, threads: int = 0, spin_us: int | None = SPIN_US, *, own_cores: bool = True
) -> None:
    """How many threads a session has, and that they are where they are needed and nowhere else.

    Sessions of one process run one after the other here, and beside decoding and other programs.
    Their threads give a core away soon within a run and at once at its end. Where they are as many
    as the cores, each but the caller's keeps to one, as the engine has it when it counts the cores
    itself: a thread that was asleep is otherwise woken on the caller's core, while another lies
    idle (Linux in virtual machines, where an idle core counts as taken), and both share it.

    Args:
        options: an ``onnxruntime.SessionOptions``.
        threads: 0 lets the engine count the cores.
        spin_us: how long they look for work within a run; None leaves it to the engine. An ONNX
            Runtime that does not know the entry passes it by.
        own_cores: False leaves it to the system which cores they run on.
    """
    options.intra_op_num_threads = threads
    if spin_us is not None:
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin_us))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if own_cores and 1 < threads == len(cores):
        others = ";".join(str(core + 1) for core in cores[1:])  # the engine counts from 1
        options.add_session_config_entry("session.intra_op_thread_affinities", others)
