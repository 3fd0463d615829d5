"""Parse the command's name, load that command alone, and turn errors into one line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from mer_edge import __version__
from mer_edge.cli.signals import Ending, ending_in_order
from mer_edge.errors import NO_MEMORY, MerEdgeError, MissingExtraError, is_out_of_memory
from mer_edge.left_behind import end_process

EXIT_OK = 0
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


@dataclass(frozen=True)
class Command:
    """Where a command lives. The module has ``configure(parser)`` and ``run(args) -> int``."""

    module: str
    help: str


COMMANDS = {
    "demo": Command("mer_edge.cli.demo", "generate clips, train, export, infer: the whole path"),
    "prepare": Command(
        "train.prepare_command", "decode, detect and align the clips of a data set once"
    ),
    "train": Command("train.command", "train a model on a folder of labelled clips"),
    "evaluate": Command(
        "train.evaluate_command", "what runs and bundles are worth on labelled clips"
    ),
    "ablate": Command("train.ablate_command", "train variants over seeds and compare them"),
    "export": Command("export.command", "turn a trained run into a bundle of ONNX graphs"),
    "build": Command("export.build_command", "make TensorRT engines of a bundle, on the device"),
    "verify": Command(
        "runtime.verify_command", "check that a bundle computes here what it was exported to"
    ),
    "infer": Command("runtime.command", "recognise emotions in files"),
    "stream": Command("runtime.stream_command", "recognise emotions in a camera or stream"),
    "bench": Command("runtime.bench.command", "what a bundle costs here, and what others cost"),
    "doctor": Command("mer_edge.cli.doctor", "what this machine has and what is missing for what"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 fine, 2 bad input or usage, 130 interrupted by Ctrl-C, 143 by SIGTERM.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_closed_streams()
    with ending_in_order() as ending:
        code = _guarded(arguments, ending)
        if ending.signal == signal.SIGTERM and code == EXIT_INTERRUPTED:
            code = EXIT_TERMINATED
        if argv is None:  # a process of its own, which is at its end
            end_process(code)
    return code


def _guarded(arguments: list[str], ending: Ending) -> int:
    """Run a command; what ends it becomes one line."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return _interrupted()
    except MissingExtraError as error:
        # An import that Ctrl-C fell into fails as one of a package that is not there.
        return _interrupted() if ending.signal else _bad_input(error)
    except MerEdgeError as error:
        # A signal breaks off what waits for a source, which is then one that cannot be read.
        return _interrupted() if ending.signal else _bad_input(error)
    except BrokenPipeError:
        # The reader went away (`mer-edge infer ... | head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _interrupted() if ending.signal else EXIT_OK
    except OSError as error:
        # The system said no (permission, disk, a vanished folder): its own words are the clearest.
        return _bad_input(error)
    except Exception as error:
        if ending.signal is not None:  # a library's own words for a KeyboardInterrupt in it
            return _interrupted()
        if is_out_of_memory(error):
            return _bad_input(MerEdgeError(f"mer-edge: {NO_MEMORY}"))
        raise


def _bad_input(error: Exception) -> int:
    print(f"error: {one_line(str(error))}", file=sys.stderr)
    return EXIT_BAD_INPUT


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return EXIT_INTERRUPTED


def _open_closed_streams() -> None:
    """A caller may have closed stdout or stderr (``>&-``): what is printed there goes nowhere."""
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _run(arguments: list[str]) -> int:
    name = next((a for a in arguments if not a.startswith("-")), None)
    parser = argparse.ArgumentParser(
        prog="mer-edge",
        description="Video emotion recognition on the edge: text, voice and face, one decision.",
        epilog="Start with: mer-edge infer YOUR_CLIP.mp4, or mer-edge doctor",
    )
    parser.add_argument("--version", action="version", version=f"mer-edge {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen: ModuleType | None = None
    for key, command in COMMANDS.items():
        sub = commands.add_parser(key, help=command.help, description=command.help)
        if key == name:
            chosen = load_command(command)
            chosen.configure(sub)
    args, left = parser.parse_known_args(arguments)
    if left and not _take_positionals(args, left):
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    assert chosen is not None  # argparse has refused every other name
    return int(chosen.run(args))


def _take_positionals(args: argparse.Namespace, left: list[str]) -> bool:
    """Give a command's FILEs or BUNDLE what argparse left over; whether that is all of it.

    Before Python 3.13, argparse takes optional positionals with the arguments in front of the first
    option, even if there are none: those behind the option are left over.
    """
    if any(given.startswith("-") and given != "-" for given in left):
        return False
    if (files := getattr(args, "files", None)) is not None:
        files.extend(Path(given) for given in left)
    elif (sources := getattr(args, "sources", None)) is not None:
        sources.extend(left)
    elif getattr(args, "positional_bundle", ...) is None and len(left) == 1:
        args.positional_bundle = Path(left[0])
    else:
        return False
    return True


def load_command(command: Command) -> ModuleType:
    """Import a command's module; only then is its stage loaded."""
    from mer_edge.stages import STAGES, load_stage

    if command.module.split(".")[0] in STAGES:
        return load_stage(command.module)
    import importlib

    return importlib.import_module(command.module)


def one_line(text: str) -> str:
    return " ".join(text.split())
