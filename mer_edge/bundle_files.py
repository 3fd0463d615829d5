"""What ``Bundle.load`` refuses of files: that one is missing, elsewhere, another, or not listed."""

from __future__ import annotations

import posixpath
from pathlib import Path, PurePosixPath, PureWindowsPath

from mer_edge.bundle import (
    CONSTANTS,
    GOLDEN,
    GRAPHS,
    MANIFEST,
    TOKENIZER,
    Manifest,
    sha256_of,
)
from mer_edge.bundle_checks import refuse
from mer_edge.errors import MerEdgeError
from mer_edge.external_data import external_files


def check_files(manifest: Manifest, directory: Path) -> None:
    """Every file is there, inside the directory, and has the bytes the manifest was made for; the
    graphs refer to no other.

    Raises:
        MerEdgeError: names the first file that is not.
    """
    from concurrent.futures import ThreadPoolExecutor

    required = (GOLDEN, TOKENIZER, CONSTANTS) if "text" in manifest.graphs else (GOLDEN,)
    for name in required:
        if name not in manifest.files:
            refuse(directory / MANIFEST, f"files does not list {name}")
    graphs = [manifest.graphs[name] for name in GRAPHS if name in manifest.graphs]
    hashes = {spec.file: spec.sha256 for spec in graphs}
    hashes.update(manifest.files)
    paths = [_inside(directory, name) for name in hashes]
    # hashlib lets go of the interpreter: the large graphs are read side by side.
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = list(pool.map(_hash_or_error, paths))
    for path, expected, actual in zip(paths, hashes.values(), found, strict=True):
        if isinstance(actual, OSError):
            raise MerEdgeError(f"{path}: cannot be read: {actual.strerror}") from actual
        if actual != expected.lower():
            raise MerEdgeError(
                f"{path}: the file is not the one the bundle was made with (SHA-256 {actual[:12]}, "
                f"the manifest says {expected[:12]}); copy or export the bundle again"
            )
    for spec in graphs:
        _check_external(manifest, spec.file, directory)


def _check_external(manifest: Manifest, file: str, directory: Path) -> None:
    """What engines would open beside a graph has been hashed as well."""
    listed = {posixpath.normpath(name) for name in manifest.files}
    for name in sorted(external_files(directory / file)):
        if posixpath.normpath(posixpath.join(posixpath.dirname(file), name)) not in listed:
            refuse(
                directory / MANIFEST,
                f"{file} has weights in {name!r}, which files does not list; expected its SHA-256",
            )


def _inside(directory: Path, name: str) -> Path:
    """The path of a bundle's file, refused where it is anywhere else than in ``directory``."""
    # A bundle travels between systems: what is absolute or climbs on either is refused on both.
    parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    path = directory / name
    if not name or ".." in parts or absolute or "\0" in name:
        raise MerEdgeError(f"{directory / MANIFEST}: the path {name!r} leaves the bundle; refused")
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError) as error:
        raise MerEdgeError(f"{path}: cannot be resolved: {error}") from error
    if not resolved.is_relative_to(directory.resolve()):
        raise MerEdgeError(f"{path}: a link out of the bundle to {resolved}; refused")
    if not path.is_file():
        raise MerEdgeError(f"{path}: the file is missing from the bundle; copy or export it again")
    return path


def _hash_or_error(path: Path) -> str | OSError:
    try:
        return sha256_of(path)
    except OSError as error:
        return error
