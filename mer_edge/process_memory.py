"""How much memory this process has held at its highest."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")
BYTES_PER_KIB = 1024


@dataclass(frozen=True)
class PeakMemory:
    """Resident memory of a process: what of it is in RAM, shared libraries and mapped files too."""

    peak_bytes: int
    """The highest since the process began."""
    anonymous_bytes: int | None = None
    """Of what is resident now, the process's own; None where the system does not say."""
    file_bytes: int | None = None
    """Of what is resident now, mapped from files: shared libraries above all."""


def peak_memory(status: Path = STATUS) -> PeakMemory | None:
    """Of this process, threads and their arenas included; None where the system does not tell.

    Linux's own count starts anew with each program. ``ru_maxrss`` does not: what the parent held
    when it started this process is in it, so it is the second choice.
    """
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return _from_rusage()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    if "VmHWM" not in fields:
        return _from_rusage()
    kib = {name: int(fields[name].split()[0]) for name in fields if fields[name].endswith(" kB")}
    anonymous, file = kib.get("RssAnon"), kib.get("RssFile")
    return PeakMemory(
        kib["VmHWM"] * BYTES_PER_KIB,
        None if anonymous is None else anonymous * BYTES_PER_KIB,
        None if file is None else file * BYTES_PER_KIB,
    )


def _from_rusage() -> PeakMemory | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return PeakMemory(largest if sys.platform == "darwin" else largest * BYTES_PER_KIB)
