"""Recorded lines of tegrastats, and a stand-in for NVML that counts a known power."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from runtime.bench.energy import NvmlMeter, TegrastatsMeter, board_milliwatts, open_meter

ORIN = (
    "11-22-2026 12:00:00 RAM 2448/7620MB (lfb 3x4MB) SWAP 0/3810MB CPU [2%@729,1%@729] "
    "GR3D_FREQ 0% cpu@47.5C tj@48.1C VDD_IN 4906mW/4800mW VDD_CPU_GPU_CV 520mW/520mW "
    "VDD_SOC 1442mW/1442mW"
)
NANO = "RAM 1903/3956MB CPU [5%@102,off] POM_5V_IN 2532/2489 POM_5V_GPU 0/0 POM_5V_CPU 367/340"


@pytest.mark.parametrize(
    ("line", "found"),
    [(ORIN, ("VDD_IN", 4906)), (NANO, ("POM_5V_IN", 2532)), ("RAM 1/2MB", None)],
)
def test_the_board_s_power_is_read_in_both_formats(
    line: str, found: tuple[str, int] | None
) -> None:
    assert board_milliwatts(line) == found


def test_tegrastats_is_read_while_something_runs() -> None:
    program = f"import time\nwhile True: print({ORIN!r}, flush=True); time.sleep(0.01)"
    meter = TegrastatsMeter([sys.executable, "-c", program])
    meter.start()
    time.sleep(0.6)
    found = meter.stop(runs=3)
    assert found is not None
    assert found.mean_watts == pytest.approx(4.906)
    assert found.joules_per_run == pytest.approx(4.906 * found.seconds / 3)
    assert "VDD_IN" in found.source


def test_a_board_that_says_nothing_is_not_a_board_that_draws_nothing() -> None:
    silent = TegrastatsMeter([sys.executable, "-c", "print('RAM 1/2MB')"])
    silent.start()
    assert silent.stop(runs=3) is None
    missing = TegrastatsMeter(["/no/such/tegrastats"])
    missing.start()
    assert missing.stop(runs=3) is None


class Counter:
    """As NVML: millijoules so far."""

    def __init__(self, *millijoules: int) -> None:
        self._left = list(millijoules)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int:  # noqa: N802
        return self._left.pop(0)


def test_nvml_s_counter_is_in_millijoules() -> None:
    meter = NvmlMeter(Counter(1_000_000, 1_006_000), handle=None)
    meter.start()
    found = meter.stop(runs=4)
    assert found is not None
    assert found.joules_per_run == 1.5
    assert found.source == "NVML: the GPU alone"


def test_a_counter_that_stands_still_reports_nothing() -> None:
    meter = NvmlMeter(Counter(5, 5), handle=None)
    meter.start()
    assert meter.stop(runs=4) is None


def test_a_cpu_run_asks_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert open_meter("cpu") is None
