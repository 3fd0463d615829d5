"""What one probe found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Status = Literal["ok", "missing", "broken", "info"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    name: str
    status: Status
    """``ok``: it was tried and works; ``missing``: not there; ``broken``: there and does not work;
    ``info``: nothing to try."""
    detail: str
    fix: str = ""
    """The command that mends it, where there is one."""
    facts: dict[str, str] = field(default_factory=dict)
    """Versions and the like, for ``--json``."""
