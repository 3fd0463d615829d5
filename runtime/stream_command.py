"""``mer-edge stream SOURCE``: the same as ``mer-edge infer --stream SOURCE``."""

from __future__ import annotations

import argparse
from pathlib import Path

from mer_edge.errors import MerEdgeError
from runtime import command
from runtime.bundle_argument import add_bundle_option, take_bundle
from runtime.clip_arguments import add_clip_arguments
from runtime.engine_arguments import add_engine_arguments
from runtime.stream.command import SOURCE, add_stream_options

FILE_OPTIONS = {"plot": None, "batch": None, "workers": None, "overwrite": False, "ray": None}
"""What ``mer-edge infer`` has for files alone."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of ``mer-edge stream``."""
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=SOURCE)
    add_bundle_option(parser)
    add_stream_options(parser.add_argument_group("stream"))
    add_clip_arguments(parser)
    add_engine_arguments(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    output.add_argument("--quiet", action="store_true", help="one line a decision, nothing else")
    output.add_argument("--out", type=Path, metavar="FILE", help="write the JSON lines here")


def run(args: argparse.Namespace) -> int:
    """See ``runtime.command.run``.

    Raises:
        MerEdgeError: nothing can begin; none or more than one SOURCE.
    """
    sources: list[str] = args.sources
    if len(sources) == 2 and args.bundle is None:  # BUNDLE SOURCE
        args.bundle = take_bundle(None, [Path(sources.pop(0))])
    if len(sources) != 1:
        found = " and ".join(sources) or "no SOURCE"
        raise MerEdgeError(f"found {found}; expected one SOURCE: {SOURCE}")
    infer = argparse.Namespace(**vars(args), **FILE_OPTIONS, stream=sources[0], files=[])
    return command.run(infer)
