"""The machine as far as it can be read: what a time means depends on it."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from mer_edge import __version__
from mer_edge.cuda_device import current_gpu
from mer_edge.errors import MerEdgeError
from mer_edge.processor import instruction_sets
from runtime.bench.stability import load_average
from runtime.cores import usable_cores

CPU_INFO = Path("/proc/cpuinfo")
CPU_FREQUENCY = Path("/sys/devices/system/cpu/cpu0/cpufreq")
DEVICE_MODEL = Path("/proc/device-tree/model")
PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "tokenizers", "av", "opencv-python-headless")
NVPMODEL_TIMEOUT_S = 10


@dataclass(frozen=True)
class Machine:
    """Where the times were taken; None: this machine does not say."""

    processor: str
    cores: int
    """Those that this process may use."""
    system: str
    instruction_sets: list[str] = field(default_factory=list)
    """Of ``mer_edge.processor.INSTRUCTION_SETS``, those that the processor has."""
    board: str | None = None
    governor: str | None = None
    """What sets the clock of the first core: ``performance``, ``schedutil``, ..."""
    clock_mhz: float | None = None
    """Of the first core when asked."""
    clock_max_mhz: float | None = None
    power_mode: str | None = None
    """Of a Jetson, as ``nvpmodel -q`` names it."""
    gpu: str | None = None
    load_average: list[float] | None = None
    """Before the measurement: runnable processes over 1, 5 and 15 minutes."""
    versions: dict[str, str] = field(default_factory=dict)


def read_machine(device: str = "cpu") -> Machine:
    """This machine; the GPU is asked for only where it is to run something."""
    return Machine(
        processor=processor_name(),
        cores=usable_cores(),
        instruction_sets=list(instruction_sets()),
        system=platform.platform(terse=True),
        board=_line(DEVICE_MODEL),
        governor=_line(CPU_FREQUENCY / "scaling_governor"),
        clock_mhz=clock_mhz(),
        clock_max_mhz=_khz_as_mhz(CPU_FREQUENCY / "cpuinfo_max_freq"),
        power_mode=power_mode(),
        gpu=None if device == "cpu" else _gpu_name(),
        load_average=load_average(),
        versions=versions(),
    )


def processor_name(cpu_info: Path = CPU_INFO) -> str:
    """As Linux names it (x86: model name; ARM boards: Hardware or Model), else Python."""
    try:
        text = cpu_info.read_text()
    except OSError:
        text = ""
    for key in ("model name", "Hardware", "Model"):
        found = re.search(rf"^{key}\s*:\s*(.+)$", text, re.MULTILINE)
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()


def described_processor() -> str:
    """Its name and instruction sets, for pages: what a time means depends on both."""
    return f"{processor_name()} ({', '.join(instruction_sets()) or 'no vector extensions'})"


def clock_mhz(frequency: Path = CPU_FREQUENCY, cpu_info: Path = CPU_INFO) -> float | None:
    """Of the first core now, from cpufreq, else from /proc/cpuinfo."""
    now = _khz_as_mhz(frequency / "scaling_cur_freq")
    if now is not None:
        return now
    try:
        found = re.search(r"^cpu MHz\s*:\s*([\d.]+)", cpu_info.read_text(), re.MULTILINE)
    except OSError:
        return None
    return round(float(found.group(1)), 1) if found else None


def power_mode(tool: str | None = None) -> str | None:
    """A Jetson's power mode (``15W``, ``MAXN``); None elsewhere.

    Source: ``nvpmodel -q`` prints ``NV Power Mode: 15W`` and the mode's number on the next line.
    """
    tool = tool or shutil.which("nvpmodel")
    if tool is None:
        return None
    try:
        done = subprocess.run(
            [tool, "-q"], capture_output=True, text=True, timeout=NVPMODEL_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"NV Power Mode:\s*(\S+)", done.stdout)
    return found.group(1) if found else None


def versions() -> dict[str, str]:
    """Of Python, this project and each of ``PACKAGES`` that is installed."""
    found = {"python": platform.python_version(), "mer-edge": __version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _gpu_name() -> str | None:
    try:
        gpu = current_gpu()
    except MerEdgeError:
        return None
    return None if gpu is None else f"{gpu.name} (compute capability {gpu.compute_capability})"


def _khz_as_mhz(path: Path) -> float | None:
    line = _line(path)
    return round(int(line) / 1e3, 1) if line is not None and line.isdigit() else None


def _line(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip("\0 \n") or None
    except OSError:
        return None
