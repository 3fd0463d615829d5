"""Pickles from strangers: containers, strings and numbers are read, anything else refused."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from mer_edge.errors import MerEdgeError

_CONTAINERS = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("__builtin__", "set"): set,
    ("__builtin__", "frozenset"): frozenset,
}
"""What older protocols write by name; dict, list, tuple, str and numbers need no name at all."""


class _RefusedError(Exception):
    """Holds the name of what the pickle asked for."""


class _PlainUnpickler(pickle.Unpickler):
    # The one way by which a pickle reaches code is a global: no global, no code.
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _CONTAINERS:
            return _CONTAINERS[module, name]
        raise _RefusedError(f"{module}.{name}")


def read_plain_pickle(path: Path) -> object:
    """The value of a pickle that holds dicts, lists, tuples, sets, strings and numbers.

    Raises:
        MerEdgeError: the file cannot be read, is no whole pickle, or names any class or function.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MerEdgeError(f"{path}: cannot read it: {error.strerror}") from error
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    except _RefusedError as error:
        raise MerEdgeError(
            f"{path}: the pickle asks for {error}, which could run code; expected plain "
            "containers, text and numbers; get the file from its publisher again"
        ) from None
    except Exception as error:  # changed bytes make it raise nearly anything
        raise MerEdgeError(
            f"{path}: not a whole pickle ({type(error).__name__}); expected plain containers, "
            "text and numbers; copy it again"
        ) from error
