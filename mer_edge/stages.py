"""Loading a stage (train, export, runtime) only when it is needed, and only this project's.

The stages' import names are short, so another ``train.py`` on the path can stand before ours.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from mer_edge.errors import MerEdgeError

STAGES = ("train", "export", "runtime")


def load_stage(module: str) -> ModuleType:
    """Import ``module`` (for example ``"train.command"``) after checking whose it is.

    Raises:
        MerEdgeError: another file shadows this project's package.
    """
    stage = module.split(".")[0]
    expected = Path(__file__).resolve().parent.parent / stage / "__init__.py"
    spec = importlib.util.find_spec(stage)
    found = Path(spec.origin).resolve() if spec and spec.origin else None
    if found != expected:
        raise MerEdgeError(
            f"the package '{stage}' was found at {found or 'no file'}; expected {expected}; "
            "rename the file that shadows it, or run from another folder"
        )
    return importlib.import_module(module)
