"""Energy, where the board counts it: a Jetson's tegrastats, or an NVIDIA GPU's NVML.

Neither has been tried on such a board by this project: the tests run against recorded lines of
tegrastats in the two formats of JetPack, and against a stand-in for NVML.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any, Protocol

TEGRASTATS_INTERVAL_MS = 50
TOTAL_RAILS = ("VDD_IN", "VIN_SYS_5V0", "POM_5V_IN", "VIN")
"""The rail that feeds the whole board, by generation: Orin; AGX Orin's carrier; Nano; Thor."""
NOT_REPORTED = "not reported by this machine"


@dataclass(frozen=True)
class Energy:
    """What a number of runs drew."""

    source: str
    """What counted, and what of the board it counts."""
    joules_per_run: float
    mean_watts: float
    seconds: float
    """How long was counted."""


class Meter(Protocol):
    """Counts from ``start`` to ``stop``."""

    def start(self) -> None: ...

    def stop(self, runs: int) -> Energy | None:
        """None where nothing was counted after all."""
        ...


def open_meter(device: str) -> Meter | None:
    """What this machine counts energy with; None where nothing does.

    NVML counts the GPU alone, so it is asked only where that runs the graphs.
    """
    tool = shutil.which("tegrastats")
    if tool is not None:
        return TegrastatsMeter([tool, "--interval", str(TEGRASTATS_INTERVAL_MS)])
    return None if device == "cpu" else NvmlMeter.open()


def board_milliwatts(line: str) -> tuple[str, int] | None:
    """The rail of the whole board in one line of tegrastats, and its power at that moment.

    ``VDD_IN 4906mW/4906mW`` (JetPack 5 on), ``POM_5V_IN 2532/2532`` (before): now, then average.
    """
    for rail in TOTAL_RAILS:
        found = re.search(rf"\b{rail} (\d+)(?:mW)?/(\d+)(?:mW)?", line)
        if found:
            return rail, int(found.group(1))
    return None


class TegrastatsMeter:
    """Adds up the board's power, which tegrastats prints every few milliseconds."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._samples: list[tuple[float, int]] = []
        self._rail = ""
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._started_s = 0.0

    def start(self) -> None:
        """See ``Meter``."""
        self._samples.clear()
        self._started_s = time.perf_counter()
        try:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        except OSError:
            return
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def stop(self, runs: int) -> Energy | None:
        """See ``Meter``."""
        if self._process is None or self._reader is None:
            return None
        seconds = time.perf_counter() - self._started_s
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._reader.join(timeout=5)
        if not self._samples or not runs:
            return None
        watts = sum(milliwatts for _, milliwatts in self._samples) / len(self._samples) / 1e3
        source = f"tegrastats, {self._rail}: the whole board, {len(self._samples)} samples"
        return Energy(source, watts * seconds / runs, watts, seconds)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = board_milliwatts(line)
            if found:
                self._rail = found[0]
                self._samples.append((time.perf_counter(), found[1]))


class NvmlMeter:
    """The GPU's own counter of millijoules (Volta and later).

    Args:
        nvml: the module ``pynvml`` of nvidia-ml-py, initialised.
        handle: of the first GPU.
    """

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle
        self._millijoules = 0
        self._started_s = 0.0

    @classmethod
    def open(cls) -> NvmlMeter | None:
        """None without nvidia-ml-py, a driver, or a GPU that counts."""
        try:
            import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError:
            return None
        try:
            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except pynvml.NVMLError:
            return None
        return cls(pynvml, handle)

    def start(self) -> None:
        """See ``Meter``."""
        self._millijoules = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        self._started_s = time.perf_counter()

    def stop(self, runs: int) -> Energy | None:
        """See ``Meter``."""
        spent = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle) - self._millijoules
        seconds = time.perf_counter() - self._started_s
        if not runs or spent <= 0 or seconds <= 0:
            return None
        joules = spent / 1e3
        return Energy("NVML: the GPU alone", joules / runs, joules / seconds, seconds)
