"""Which GPU the CUDA driver offers, asked of the driver itself: no package, no context, no memory.

Works wherever ``libcuda`` is, a Jetson included. Source: CUDA driver API, device management.
It has been tested against a stand-in for the driver only: the project's machine has no GPU.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import Any

from mer_edge.errors import MerEdgeError

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
CUDA_SUCCESS, CUDA_ERROR_NO_DEVICE = 0, 100
COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 75, 76
NAME_BYTES = 256


@dataclass(frozen=True)
class Gpu:
    """A GPU as engines are built for it."""

    name: str
    """``Orin``, ``NVIDIA GeForce RTX 4090``"""
    compute_capability: str
    """``8.7``"""


def current_gpu(driver: Any = None) -> Gpu | None:
    """The first GPU that this process may use (``CUDA_VISIBLE_DEVICES`` counts); None without one.

    Args:
        driver: the loaded driver library; None loads the system's.

    Raises:
        MerEdgeError: there is a driver and it answers with an error.
    """
    if driver is None:
        try:
            driver = ctypes.CDLL(LIBRARY)
        except OSError:
            return None
    code = driver.cuInit(0)
    if code == CUDA_ERROR_NO_DEVICE:
        return None
    _check(code, "cuInit")
    device = ctypes.c_int()
    _check(driver.cuDeviceGet(ctypes.byref(device), 0), "cuDeviceGet")
    name = ctypes.create_string_buffer(NAME_BYTES)
    _check(driver.cuDeviceGetName(name, NAME_BYTES, device), "cuDeviceGetName")
    major, minor = (
        _attribute(driver, number, device)
        for number in (COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR)
    )
    return Gpu(name.value.decode(errors="replace"), f"{major}.{minor}")


def _attribute(driver: Any, number: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    code = driver.cuDeviceGetAttribute(ctypes.byref(value), number, device)
    _check(code, "cuDeviceGetAttribute")
    return value.value


def _check(code: int, call: str) -> None:
    if code != CUDA_SUCCESS:
        raise MerEdgeError(
            f"the CUDA driver answers {call} with error {code}; expected a GPU that works; "
            "run nvidia-smi (on a Jetson: tegrastats) and look at what it says"
        )
