"""A trace that Perfetto (ui.perfetto.dev) and chrome://tracing open.

The format is Chrome's Trace Event Format, JSON object form: complete events (``ph`` "X") with times
in microseconds, and metadata events (``ph`` "M") that name the process and its threads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mer_edge.files import new_file
from runtime.bench.spans import Span

US_PER_MS = 1e3


def trace_events(spans: Sequence[Span], process: str) -> list[dict[str, Any]]:
    """The events of all runs on one time line; threads are named in the order they appear."""
    pid = os.getpid()
    threads = list(dict.fromkeys(span.thread for span in sorted(spans, key=lambda s: s.start_ms)))
    events: list[dict[str, Any]] = [_name("process_name", pid, 0, process)]
    events += [
        _name("thread_name", pid, thread, "main" if number == 0 else f"worker {number}")
        for number, thread in enumerate(threads)
    ]
    for span in sorted(spans, key=lambda s: (s.start_ms, -s.end_ms)):
        events.append(
            {
                "name": f"run {span.run}" if span.name == "total" else span.name,
                "cat": "run" if span.name == "total" else "stage",
                "ph": "X",
                "ts": round(span.start_ms * US_PER_MS, 3),
                "dur": round(span.spent_ms * US_PER_MS, 3),
                "pid": pid,
                "tid": span.thread,
                "args": {"run": span.run},
            }
        )
    return events


def write_trace(spans: Sequence[Span], path: Path, process: str, facts: dict[str, str]) -> None:
    """Write the trace; ``facts`` go into ``otherData``.

    Raises:
        MerEdgeError: the file cannot be written.
    """
    import msgspec

    trace = {
        "traceEvents": trace_events(spans, process),
        "displayTimeUnit": "ms",
        "otherData": facts,
    }
    with new_file(path, "writing the trace") as temporary:
        temporary.write_bytes(msgspec.json.encode(trace) + b"\n")


def _name(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}
