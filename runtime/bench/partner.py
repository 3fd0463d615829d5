"""The parent's side of a comparison in turns; the child's is ``mer_edge.turns``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Any

from mer_edge.errors import MerEdgeError, MissingExtraError

PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from mer_edge.stages import load_stage; load_stage(sys.argv[2]).serve_peer(int(sys.argv[3]))"
)
EXTRAS = {"torch": "export", "torchvision": "export", "transformers": "export", "onnx": "export"}
"""Which extra brings a package that a partner may lack."""
SHOWN_CHARACTERS = 300
GO = b"go\n"


class Partner:
    """A child process that runs one clip when it is its turn; a context manager.

    Args:
        module: has ``serve_peer(parent)``; found by name, so that nothing of it is imported here.
        request: what it is to run, plain values.
        what: names it for messages: ``--against pytorch``.

    Raises:
        MerEdgeError: it could not be made ready: its own message, or how the process ended.
        MissingExtraError: a package that it needs is not installed.
    """

    def __init__(self, module: str, request: dict[str, Any], what: str) -> None:
        self._what = what
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        # -I: the folder one happens to stand in is no place to import from.
        command = [sys.executable, "-I", "-c", PROGRAM, json.dumps(sys.path), module]
        self._process = subprocess.Popen(
            [*command, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        try:
            ready = self._ask(json.dumps(request).encode() + b"\n")["ready"]
        except BaseException:
            self.close()
            raise
        self.engine: str = ready["engine"]
        self.notes: list[str] = list(ready["notes"])
        self.versions: dict[str, str] = ready["versions"]
        self.logits: list[float] = []
        """Of its last turn."""
        self.memory: dict[str, int] | None = None
        """``mer_edge.process_memory.PeakMemory`` after its last turn."""

    def __enter__(self) -> Partner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self) -> float:
        """One turn: the clip from its arrays to the logits, in milliseconds by its own clock.

        Raises:
            MerEdgeError: the engine failed, or the process ended.
        """
        answer = self._ask(GO)
        self.logits = answer["logits"]
        self.memory = answer["memory"]
        return float(answer["wall_ms"])

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            if pipe is not None:
                pipe.close()

    def _ask(self, line: bytes) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            said = self._process.stdout.readline()
        except BrokenPipeError:
            said = b""
        if not said:
            raise MerEdgeError(self._how_it_ended())
        answer: dict[str, Any] = json.loads(said)
        if "missing" in answer:
            self._raise_missing(answer["missing"])
        if "error" in answer:
            raise MerEdgeError(answer["error"])
        return answer

    def _raise_missing(self, package: str) -> None:
        if package in EXTRAS:
            raise MissingExtraError(self._what, package, EXTRAS[package])
        raise MerEdgeError(
            f"{self._what} needs the package {package}, which is not installed; "
            f"run: pip install {package}"
        )

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        said = f", saying: {lines[-1].strip()[:SHOWN_CHARACTERS]}" if lines else ""
        killed = " (killed; memory may have run out)" if code == -9 else ""
        return f"{self._what}: its process ended with {code}{killed}{said}; leave --against out"
