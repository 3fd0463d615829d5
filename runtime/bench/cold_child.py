"""The life of a process that makes one decision and says how long each part took."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any


def serve_cold(begun_s: float, request: dict[str, Any]) -> dict[str, Any]:
    """Import, load, decide; the times are of ``time.perf_counter``, which processes share.

    Args:
        begun_s: the process's first own line.
        request: ``bundle``, ``device``, ``threads`` and ``clip`` (.npz) or ``file`` (media).
    """
    from mer_edge.bundle import Bundle
    from runtime.recognizer import Recognizer

    imported_s = time.perf_counter()
    bundle = Bundle.load(request["bundle"])
    loaded_s = time.perf_counter()
    recognizer = Recognizer(bundle, request["device"], request["threads"])
    opened_s = time.perf_counter()
    source = _source(request)
    given_s = time.perf_counter()
    result = next(recognizer.recognize_all(source)) if isinstance(source, Path) else None
    result = result or recognizer.recognize(source)
    decided_s = time.perf_counter()
    from mer_edge.process_memory import peak_memory

    memory = peak_memory()
    return {
        "begun_s": begun_s,
        "decided_s": decided_s,
        "phases_ms": {
            "import": (imported_s - begun_s) * 1e3,
            "bundle": (loaded_s - imported_s) * 1e3,
            "sessions": (opened_s - loaded_s) * 1e3,
            "input": (given_s - opened_s) * 1e3,
            "first run": (decided_s - given_s) * 1e3,
        },
        "engine": result.engine,
        "memory": None if memory is None else asdict(memory),
    }


def _source(request: dict[str, Any]) -> Any:
    if request["file"] is not None:
        return Path(request["file"])
    from mer_edge.clip_file import load_clip

    return load_clip(Path(request["clip"]))


def main(begun_s: float, request: str) -> None:
    """Print the answer, or what the user can mend, as one line of JSON."""
    from mer_edge.errors import MerEdgeError

    try:
        answer = serve_cold(begun_s, json.loads(request))
    except MerEdgeError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))
    sys.stdout.flush()
