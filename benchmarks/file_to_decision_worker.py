"""One process of benchmarks/file_to_decision.py: recognises the files it is told, and says where
the time went.

It runs in the tree it is started in, this one or an older one: the code it measures is that tree's.
Stages are measured by wrapping functions that both have; they run beside each other, so that they
can add up to more than the wall time.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

_spent_s: dict[str, float] = defaultdict(float)


def main() -> None:
    bundle, threads, commit = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    from mer_edge.media import clip_faces, frames, source, upright
    from mer_edge.media.sound import SoundReader
    from runtime.recognizer import Recognizer

    _wrap(source, "scan_media", "open and scan")
    _wrap(frames.VideoFrames, "__init__", "open and scan")
    _wrap(SoundReader, "__init__", "open and scan")
    _wrap(SoundReader, "read", "sound")
    picture = "_picture_at" if hasattr(frames.VideoFrames, "_picture_at") else "picture_at"
    _wrap(frames.VideoFrames, picture, "decode")
    _wrap(upright.Upright, "rgb", "convert", inside="decode")
    _wrap(clip_faces.FaceFinder, "_faces_of", "detect")
    _wrap(clip_faces, "align", "align", inside="detect")
    _wrap(Recognizer, "_run", "inference")
    recognizer = Recognizer(bundle, threads=threads)
    print(json.dumps({"commit": commit}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_recognize(recognizer, Path(line.strip()))), flush=True)


def _recognize(recognizer: Any, file: Path) -> dict[str, Any]:
    _spent_s.clear()
    cpu, wall = time.process_time(), time.perf_counter()
    results = list(recognizer.recognize_all(file))
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "media_s": results[-1].end_s,
        "stages_s": dict(_spent_s),
        "probabilities": [list(result.probabilities.values()) for result in results],
    }


def _wrap(owner: Any, name: str, stage: str, inside: str | None = None) -> None:
    """Add the time in ``owner.name`` to ``stage``, and take it from the stage ``inside``."""
    function: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent_s = time.perf_counter() - start
            _spent_s[stage] += spent_s
            if inside is not None:
                _spent_s[inside] -= spent_s

    setattr(owner, name, timed)


if __name__ == "__main__":
    main()
