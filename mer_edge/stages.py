"""Loading a stage (train, export, runtime) only when it can be, and only this project's.

The stages' import names are short, so another ``train.py`` on the path can stand before ours.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from mer_edge.errors import MerEdgeError, MissingExtraError

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


def require_packages(purpose: str, packages: Iterable[str], extra: str) -> None:
    """Refuse to start what could not be finished, before anything heavy is imported.

    Args:
        purpose: what needs them, such as ``mer-edge train``.
        packages: import names.
        extra: of this project, or several separated by commas, with which they are installed.

    Raises:
        MissingExtraError: the first of them that is not installed.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(purpose, package, extra)
