"""Nothing half written: make it beside its place under a temporary name, then rename."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mer_edge.errors import MerEdgeError

FREE_SPACE = "free some space"
NOTHING_KEPT = f"nothing was kept; {FREE_SPACE} or choose another --out"


@contextmanager
def disk_errors(target: Path, doing: str, advice: str = NOTHING_KEPT) -> Iterator[None]:
    """Turn a full disk, a missing permission and the like into one clear error.

    ``advice`` ends the message: what is left, and what to do, with the option that names the place.
    It is written for a full disk; where the disk has another fault, that one is to be mended.

    Libraries that write for us do not all raise ``OSError`` (safetensors, for one, has its own
    class and only the text of the system's message), so what is full is also told by its text.
    """
    try:
        yield
    except MerEdgeError:
        raise
    except Exception as error:
        if _is(error, "No space left on device", errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(existing_parent(target)).free / 1e6
            raise MerEdgeError(
                f"{target}: the disk is full while {doing} ({free:.1f} MB free); {advice}"
            ) from error
        if _is(error, "File too large", errno.EFBIG):
            mended = advice.replace(FREE_SPACE, "raise the limit (ulimit -f)")
            raise MerEdgeError(
                f"{target}: a file has reached the largest size allowed while {doing}; {mended}"
            ) from error
        if isinstance(error, OSError):
            mended = advice.replace(FREE_SPACE, "mend that")
            raise MerEdgeError(
                f"{target}: cannot write while {doing}: {error.strerror}; {mended}"
            ) from error
        raise


def _is(error: Exception, text: str, *codes: int) -> bool:
    return (isinstance(error, OSError) and error.errno in codes) or text in str(error)


def existing_parent(path: Path) -> Path:
    """The nearest folder above ``path`` that exists."""
    path = path.absolute()
    while not path.is_dir():
        path = path.parent
    return path


def check_out(out: Path, overwrite: bool, kind: str, marker: str, other: str = "") -> None:
    """Whether a command may make ``out``: new, empty, or one of its own that is to be replaced.

    Args:
        kind: what the command makes there, with its article: "a training run".
        marker: the file by which one of them is known.
        other: what a user may do instead, before the --overwrite of the message.

    Raises:
        MerEdgeError: ``out`` exists and may not be replaced, or is something else.
    """
    if not taken(out):
        return
    if not overwrite:
        raise MerEdgeError(
            f"{out} exists already; name another --out, {other}or add --overwrite to replace it"
        )
    if not (out / marker).is_file():
        raise MerEdgeError(
            f"{out} is not {kind} ({marker} is not in it); --overwrite replaces only what the same "
            "command has made; name another --out"
        )


def taken(path: Path) -> bool:
    """Whether there is something that a new directory would replace; an empty one is not."""
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


@contextmanager
def new_directory(
    target: Path, doing: str, *, overwrite: bool = False, advice: str = NOTHING_KEPT
) -> Iterator[Path]:
    """Yield a temporary sibling of ``target`` that becomes ``target`` when the block succeeds.

    What killed processes have left of ``target`` is removed first.

    ``advice``: see :func:`disk_errors`.

    Raises:
        MerEdgeError: ``target`` exists and is not to be overwritten, or the disk says no.
    """
    if taken(target) and not overwrite:
        raise MerEdgeError(f"{target} exists already; name another --out or remove it first")
    with disk_errors(target, doing, advice):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        temporary, lock = _locked_directory(target)
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            replace_directory(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if lock is not None:
                os.close(lock)


def _locked_directory(target: Path) -> tuple[Path, int | None]:
    """A temporary sibling and the lock that says that somebody is writing it."""
    while True:
        temporary = _temporary_directory(target, ".tmp")
        lock = _lock(temporary)
        if temporary.exists():  # else another process took it for abandoned before it was locked
            return temporary, lock
        if lock is not None:
            os.close(lock)


def _remove_abandoned(target: Path) -> None:
    """Remove temporary siblings that no living process holds."""
    for temporary in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        lock = _lock(temporary) if temporary.is_dir() else None
        if lock is not None:
            shutil.rmtree(temporary, ignore_errors=True)
            os.close(lock)


def _lock(directory: Path) -> int | None:
    """The lock of a directory, which ends with this process; None where it cannot be had."""
    try:
        import fcntl
    except ImportError:  # Windows locks no directories
        return None
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by its writer, or a file system without locks
        os.close(handle)
        return None
    return handle


def replace_directory(source: Path, target: Path) -> None:
    """Put ``source`` where ``target`` is; the old one goes only after the new one is in place."""
    if not target.exists():
        source.rename(target)
        return
    old = _temporary_directory(target, ".old")
    target.rename(old / target.name)
    try:
        source.rename(target)
    except OSError:
        (old / target.name).rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def check_new_file(target: Path, name: str) -> None:
    """Whether ``new_file`` may write ``target``, asked before the work that leads to it.

    Raises:
        MerEdgeError: begins with ``name``: no file can be there, or its folder may not be written.
    """
    if target.is_dir():
        raise MerEdgeError(f"{name}: a directory; expected the name of a file")
    if target.exists() and not target.is_file():
        # A rename would put a file in the place of /dev/null or of a pipe.
        raise MerEdgeError(f"{name}: a device or a pipe; expected the name of a file")
    nearest = next(path for path in target.absolute().parents if path.exists())
    if not nearest.is_dir():
        raise MerEdgeError(f"{name}: {nearest} is a file; expected a folder; name another place")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise MerEdgeError(f"{name}: the folder {nearest} may not be written; name another place")


@contextmanager
def new_file(target: Path, doing: str, *, advice: str = NOTHING_KEPT) -> Iterator[Path]:
    """Yield a temporary file that becomes ``target`` when the block succeeds.

    It lies beside ``target``; beside the file that is meant where ``target`` is a link.
    ``advice``: see :func:`disk_errors`.
    """
    with disk_errors(target, doing, advice):
        check_new_file(target, str(target))
        place = target.resolve()
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{place.stem}.", suffix=place.suffix, dir=place.parent
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _temporary_directory(target: Path, suffix: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=suffix, dir=target.parent))


def recover_directory(target: Path) -> None:
    """Mend what a kill has left of :func:`new_directory`, when nobody is writing ``target``.

    The old directory comes back where the kill fell between the two renames; leftovers go.
    """
    for old in target.parent.glob(f".{target.name}.*.old"):
        if not target.exists() and (old / target.name).is_dir():
            (old / target.name).rename(target)
        shutil.rmtree(old, ignore_errors=True)
    for temporary in target.parent.glob(f".{target.name}.*.tmp"):
        shutil.rmtree(temporary, ignore_errors=True)
