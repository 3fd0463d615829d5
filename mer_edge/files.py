"""Nothing half written: make it beside its place under a temporary name, then rename."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mer_edge.errors import MerEdgeError


@contextmanager
def disk_errors(target: Path, doing: str) -> Iterator[None]:
    """Turn a full disk, a missing permission and the like into one clear error.

    Libraries that write for us do not all raise ``OSError`` (safetensors, for one, has its own
    class and only the text of the system's message), so a full disk is also told by its text.
    """
    try:
        yield
    except MerEdgeError:
        raise
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        if code in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error):
            free = shutil.disk_usage(existing_parent(target)).free / 1e6
            raise MerEdgeError(
                f"{target}: the disk is full while {doing} ({free:.1f} MB free); "
                "nothing was kept; free some space or choose another --out"
            ) from error
        if isinstance(error, OSError):
            raise MerEdgeError(f"{target}: cannot write while {doing}: {error.strerror}") from error
        raise


def existing_parent(path: Path) -> Path:
    """The nearest folder above ``path`` that exists."""
    path = path.absolute()
    while not path.is_dir():
        path = path.parent
    return path


@contextmanager
def new_directory(target: Path, doing: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling of ``target`` that becomes ``target`` when the block succeeds.

    Raises:
        MerEdgeError: ``target`` exists and is not to be overwritten, or the disk says no.
    """
    if target.exists() and not overwrite:
        raise MerEdgeError(f"{target} exists already; name another --out or remove it first")
    with disk_errors(target, doing):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(
            tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        )
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            replace_directory(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


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


@contextmanager
def new_file(target: Path, doing: str) -> Iterator[Path]:
    """Yield a temporary sibling of ``target`` that replaces ``target`` when the block succeeds."""
    with disk_errors(target, doing):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _temporary_directory(target: Path, suffix: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=suffix, dir=target.parent))
