"""Whoever reads what is printed may leave (``mer-edge infer ... --out FILE | head``).

Where results go into a file too they go on, as with ``tee -p``: the file is what was asked for.
Where nobody keeps them the command ends, as any filter does.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mer_edge.errors import MerEdgeError
from runtime.results import printable

PATIENCE_S = 0.2
"""How long somebody who reads is waited for after a signal."""


class Audience:
    """Of stdout and stderr.

    Args:
        out: where results are kept as well; None where they are only printed.
    """

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self._is_over = False

    def end(self) -> None:
        """A signal has come: who has gone, too, or does not read just now, is not waited for."""
        self._is_over = True
        for stream in (sys.stdout, sys.stderr):
            if not _takes_more(stream):
                _into_nothing(stream)

    @contextmanager
    def told(self, stream: TextIO | None = None) -> Iterator[None]:
        """Something is printed in the block; into nothing once the reader has gone.

        Args:
            stream: what it is printed on; None for stdout.

        Raises:
            BrokenPipeError: the reader has gone, nobody keeps the results, and it is not the end.
            MerEdgeError: it is a file on a full disk or the like.
        """
        stream = stream or sys.stdout
        try:
            yield
        except BrokenPipeError:
            self._go_on(stream)
        except OSError as error:
            _into_nothing(stream)  # told once, and not again by the summary or at the end
            name = "stderr" if stream is sys.stderr else "stdout"
            raise MerEdgeError(
                f"{name}: cannot be written ({error.strerror}); expected a place for what is "
                "printed; free some space, or send it elsewhere"
            ) from error
        except SystemExit as error:  # what rich makes of it
            if not isinstance(error.__context__, BrokenPipeError):
                raise
            self._go_on(stream)

    def _go_on(self, stream: TextIO) -> None:
        if self._is_over:
            _into_nothing(stream)
            return
        if self._out is None:
            raise BrokenPipeError
        _into_nothing(stream)
        if stream is not sys.stderr:
            note = f"note: nobody reads the results any more; they go on into {self._out}"
            with self.told(sys.stderr):
                print(printable(note), file=sys.stderr, flush=True)


def _takes_more(stream: TextIO) -> bool:
    """Whether a write ends soon; True where that cannot be known, as on Windows."""
    try:
        return bool(select.select([], [stream.fileno()], [], PATIENCE_S)[1])
    except (OSError, ValueError):
        return True


def _into_nothing(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
