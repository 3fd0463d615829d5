"""Which bundle a command runs: ``--bundle DIR``, a first argument that is one, or the starter."""

from __future__ import annotations

import argparse
from pathlib import Path

from mer_edge import starter_bundle
from mer_edge.bundle import MANIFEST
from mer_edge.errors import MerEdgeError

BUNDLE = f"a bundle (a directory with {MANIFEST}, made by mer-edge export)"
CLIP = "a clip (a video, a sound file, a directory of frames, or a folder of these)"


def add_bundle_option(parser: argparse.ArgumentParser) -> None:
    """``--bundle DIR``, for a command whose arguments are clips or a stream."""
    parser.add_argument(
        "--bundle",
        type=Path,
        metavar="DIR",
        help="made by mer-edge export; may also stand first (default: the built-in starter)",
    )


def add_bundle_argument(parser: argparse.ArgumentParser) -> None:
    """``BUNDLE`` or ``--bundle DIR``, for a command that takes nothing else."""
    parser.add_argument(
        "positional_bundle",
        type=Path,
        nargs="?",
        metavar="BUNDLE",
        help="made by mer-edge export (default: the built-in starter)",
    )
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="the same")


def settle_bundle(args: argparse.Namespace) -> None:
    """Leave in ``args.bundle`` what :func:`add_bundle_argument` has found.

    Raises:
        MerEdgeError: two bundles.
    """
    if args.bundle is not None and args.positional_bundle is not None:
        _refuse_two(args.bundle, args.positional_bundle)
    args.bundle = args.bundle or args.positional_bundle or starter_bundle.STARTER


def take_bundle(named: Path | None, arguments: list[Path]) -> Path:
    """The bundle to run; where it stands first among the arguments it is taken off them.

    Args:
        named: with ``--bundle``.
        arguments: FILEs.

    Raises:
        MerEdgeError: two bundles, or the first argument is neither a bundle nor a clip.
    """
    first = arguments[0] if arguments else None
    if first is not None and _is_bundle(first):
        if named is not None:
            _refuse_two(named, first)
        return arguments.pop(0)
    if named is not None:
        return named
    if first is not None:
        _check_clip(first)
    return starter_bundle.STARTER


def _is_bundle(path: Path) -> bool:
    try:
        return (path / MANIFEST).is_file()
    except (OSError, ValueError):  # a name that cannot be
        return False


def _check_clip(path: Path) -> None:
    """Refuse a first argument that may have been meant as a bundle and is none.

    A missing file with a media file's name was meant as a clip: reading it says what is wrong.
    """
    from runtime.batch.sources import MANIFEST_SUFFIXES, MEDIA_SUFFIXES, is_empty

    try:
        there, directory = path.exists(), path.is_dir()
    except (OSError, ValueError):
        there = directory = False
    if not there and path.suffix.lower() in (*MEDIA_SUFFIXES, *MANIFEST_SUFFIXES):
        return
    if there and not (directory and is_empty(path)):
        return
    found = f"a directory without {MANIFEST} and without media" if there else "nothing is there"
    raise MerEdgeError(f"{path}: {found}; expected {BUNDLE} or {CLIP}")


def _refuse_two(named: Path, other: Path) -> None:
    raise MerEdgeError(
        f"found two bundles, --bundle {named} and {other}; expected one; leave one out"
    )
