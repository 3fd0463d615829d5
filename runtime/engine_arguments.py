"""The options of ``mer-edge infer``, ``verify`` and ``bench`` that say what runs the graphs."""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class EngineOptions:
    """What was said of it."""

    device: str
    """One of ``runtime.backend.DEVICES``."""
    threads: int | None
    """CPU threads a graph may use; None leaves it to the engine."""


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """A group of their own."""
    engine = parser.add_argument_group("engine")
    engine.add_argument("--device", default="cpu", help="cpu, cuda, tensorrt, tensorrt-rtx")
    engine.add_argument("--threads", type=int, metavar="N", help="CPU threads of a graph")


def engine_options(args: argparse.Namespace) -> EngineOptions:
    """What was said of them; told before anything is opened where it cannot be.

    Raises:
        MerEdgeError: there is no such device, or nobody should start so many threads.
    """
    from runtime.backend import check_device, check_threads

    check_device(args.device)
    check_threads(args.threads)
    return EngineOptions(args.device, args.threads)
