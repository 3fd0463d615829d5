"""The one error a user sees."""

from __future__ import annotations

import errno


class MerEdgeError(Exception):
    """Something a user can mend. The command line prints it as one line and exits with 2.

    The message says what was found, what was expected and what to do, in one sentence or two:
    ``clip.mp4: the file is empty (0 bytes); expected a media file; copy it again``.
    """


class MissingExtraError(MerEdgeError):
    """A command needs an optional dependency that is not installed."""

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed; "
            f"run: pip install 'mer-edge[{extra}]'"
        )


NO_MEMORY = (
    "the system has no memory, or no thread, left for it; expected more; close other programs, "
    "raise the limit (ulimit -v, -u), or take fewer --threads or --workers"
)


def is_out_of_memory(error: Exception) -> bool:
    """Whether it is the system's no to memory, or to a thread: nobody's defect."""
    return (
        isinstance(error, MemoryError)
        or getattr(error, "errno", None) in (errno.ENOMEM, errno.EAGAIN)
        or (isinstance(error, RuntimeError) and "can't start new thread" in str(error))
    )
