"""The options of ``mer-edge infer`` for files, folders and streams: how clips are made, and how
sure a decision has to be."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mer_edge.clips import ClipOptions


def add_clip_arguments(parser: argparse.ArgumentParser) -> None:
    """Text and media, a group each."""
    text = parser.add_argument_group("what is said (default: a .srt, .vtt or .txt beside the file)")
    text.add_argument("--text", help="the words themselves; for one file only")
    text.add_argument("--text-file", type=Path, metavar="FILE", help="a .txt, .srt or .vtt")
    text.add_argument("--asr", type=Path, metavar="MODEL_DIR", help="transcribe with this Whisper")
    text.add_argument("--no-text", action="store_true", help="go without text")
    media = parser.add_argument_group("media")
    media.add_argument("--face", type=int, default=1, metavar="N", help="1 is the main person")
    media.add_argument("--yunet", type=Path, metavar="FILE", help="detect faces with this YuNet")
    media.add_argument("--frame-rate", type=float, metavar="HZ", help="of a directory of frames")
    media.add_argument(
        "--hwaccel", metavar="KIND", help="decode video on this kind of device (cuda, vaapi, ...)"
    )
    decision = parser.add_argument_group("decision")
    decision.add_argument(
        "--min-confidence",
        type=float,
        metavar="P",
        help="less probable is uncertain; 0: never (default: the bundle's; exclusive labels only)",
    )


def clip_options(args: argparse.Namespace) -> ClipOptions:
    """What was said of them.

    Raises:
        MerEdgeError: a value that cannot be, or two that exclude each other.
    """
    from mer_edge.clips import ClipOptions
    from mer_edge.text.source import TextOptions
    from mer_edge.text.utf8 import one_spaced

    if args.text is not None:
        one_spaced(args.text, "--text")  # an error without a word in it, before anything opens
    return ClipOptions(
        text=TextOptions(args.text, args.text_file, args.asr, args.no_text),
        face=args.face,
        yunet=args.yunet,
        frame_rate_hz=args.frame_rate,
        hwaccel=args.hwaccel,
    )
