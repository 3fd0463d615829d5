"""The machine itself: Python, system, Jetson, GPU. Nothing here is imported, only looked at."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from mer_edge.doctor.finding import Finding

PYTHONS = ((3, 10), (3, 13))
"""The first and the last that the project supports."""
TEGRA_RELEASE = Path("/etc/nv_tegra_release")
DEVICE_MODEL = Path("/proc/device-tree/model")
JETPACK_OF_L4T = {"35": "5", "36": "6", "38": "7"}
"""JetPack by the major version of its Linux for Tegra."""


def python() -> Finding:
    """The interpreter, and whether the project supports it."""
    version = platform.python_version()
    facts = {"version": version, "executable": sys.executable}
    first, last = PYTHONS
    if not first <= sys.version_info[:2] <= last:
        wanted = f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
        return Finding("Python", "broken", f"{version}; expected {wanted}", "", facts)
    return Finding("Python", "ok", f"{version} ({sys.executable})", "", facts)


def system() -> Finding:
    """Operating system, architecture and the cores this process may use."""
    cores = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    detail = (
        f"{platform.system()} {platform.release()}, {platform.machine()}, {usable} of {cores} cores"
    )
    facts = {"os": platform.system(), "arch": platform.machine(), "cores": str(usable)}
    return Finding("system", "info", detail, "", facts)


def jetson(tegra: Path = TEGRA_RELEASE, model: Path = DEVICE_MODEL) -> Finding | None:
    """Which Jetson and JetPack; None on every other machine."""
    try:
        release = tegra.read_text(errors="replace")
    except OSError:
        return None
    found = re.search(r"R(\d+).*?REVISION:\s*([\d.]+)", release)
    if found is None:
        return Finding("Jetson", "info", f"{tegra} reads: {release.strip()[:120]}")
    major, revision = found.groups()
    jetpack = JETPACK_OF_L4T.get(major)
    try:
        board = model.read_text(errors="replace").strip("\0 \n")
    except OSError:
        board = "Jetson"
    l4t = f"{major}.{revision}"
    pack = f"JetPack {jetpack}.x" if jetpack else "a JetPack this version does not know"
    facts = {"l4t": l4t, "jetpack": jetpack or "", "board": board}
    return Finding("Jetson", "info", f"{board}, {pack} (L4T {l4t})", "", facts)


def gpu() -> Finding:
    """NVIDIA GPUs as their driver's own tool names them."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("NVIDIA GPU", "missing", "no nvidia-smi on the path (optional)")
    query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run([tool, *query], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("NVIDIA GPU", "broken", f"nvidia-smi: {error}")
    said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode != 0 or not said:
        reason = (said or done.stderr.strip().splitlines() or ["no answer"])[0]
        return Finding("NVIDIA GPU", "broken", f"nvidia-smi: {reason[:200]}")
    return Finding("NVIDIA GPU", "ok", "; ".join(said), "", {"gpus": "; ".join(said)})
