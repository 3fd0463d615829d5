"""``mer-edge demo``: generated clips -> training -> bundle -> decisions, all on this machine."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_edge.stages import require_packages

if TYPE_CHECKING:
    from mer_edge.cli.progress import Bars
    from mer_edge.result import Result

MARKER = "mer-edge-demo.json"
"""The demo's own summary; by it --overwrite knows a folder that a demo made."""
NOTICE = (
    "This model has learned from drawn faces, a synthetic voice and made-up sentences: it shows "
    "that the whole path works and recognises nothing real."
)
CLIPS = 240
"""Two thirds for training, a sixth for validation, a sixth that the model never sees."""
MODALITY_DROPOUT = 0.15
"""So that the model copes with a clip that lacks sound, face or text."""
PACKAGES = (
    *("pyarrow", "filelock", "torch", "torchvision", "transformers", "accelerate", "tensorboard"),
    *("onnx", "onnxscript", "onnxruntime", "matplotlib"),
)
"""What the stages and the picture need."""


@dataclass(frozen=True)
class Outcome:
    """What the demo found; its fields and the results' are in ``mer-edge-demo.json``."""

    seed: int
    clips: int
    unseen_clips: int
    correct: int
    """Unseen clips whose most probable label is the one they were drawn with."""
    accuracy: float
    chance: float
    """Of guessing: one divided by the number of labels."""
    seconds: dict[str, float]
    """Wall time per stage."""
    megabytes: float
    """Written and left in the folder."""
    notice: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder (default: demo)")
    parser.add_argument("--seed", type=int, default=0, help="of data and training (default: 0)")
    parser.add_argument(
        "--clips", type=int, default=CLIPS, metavar="N", help=f"to generate (default: {CLIPS})"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier demo")
    parser.add_argument("--quiet", action="store_true", help="no bars, one line at the end")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the whole path; returns the exit code.

    Raises:
        MerEdgeError: a package is missing, or ``--out`` may not be written.
    """
    require_packages("mer-edge demo", PACKAGES, "train,export,cpu")
    from mer_edge.cli.progress import Bars
    from mer_edge.files import check_out, new_directory

    check_out(args.out, args.overwrite, "a demo", MARKER)

    with (
        Bars(args.quiet or args.json) as bars,
        new_directory(args.out, "making the demo", overwrite=args.overwrite) as folder,
    ):
        outcome, example = make_demo(folder, args.clips, args.seed, bars)
    if args.json:
        print(json.dumps(asdict(outcome)))
    elif args.quiet:
        print(accuracy_line(outcome))
    else:
        show(outcome, example, args.out)
    return 0


def make_demo(folder: Path, clips: int, seed: int, bars: Bars) -> tuple[Outcome, Result]:
    """Fill ``folder`` with data, run, bundle, results and a picture.

    Returns:
        The outcome, and the result of the first unseen clip. Paths in both are relative to
        ``folder``.
    """
    clock = Clock()
    with clock.stage("generate"):
        generate_data(folder, clips, seed, bars)
    with clock.stage("train"):
        labels = train_model(folder, seed, bars)
    with clock.stage("export"):
        export_model(folder, bars)
    with clock.stage("infer"):
        results, correct = recognize_unseen(folder, bars)
        draw(folder, results[0])
    outcome = Outcome(
        seed=seed,
        clips=clips,
        unseen_clips=len(results),
        correct=correct,
        accuracy=correct / len(results),
        chance=1 / len(labels),
        seconds=clock.seconds,
        megabytes=round(size_mb(folder), 1),
        notice=NOTICE,
    )
    (folder / MARKER).write_text(json.dumps(asdict(outcome), indent=1) + "\n", encoding="utf-8")
    return outcome, results[0]


class Clock:
    """Wall time of the stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 1)


def generate_data(folder: Path, clips: int, seed: int, bars: Bars) -> None:
    drawn = _stage("train.datasets.drawn")
    drawn.generate(
        folder / "data", clips, seed, progress=lambda done, total: bars.step("draw", done, total)
    )


def train_model(folder: Path, seed: int, bars: Bars) -> list[str]:
    """Train the smallest preset; returns its labels. What was prepared is not kept."""
    import shutil

    cache = folder / "prepared"
    options = _stage("train.options").options_for(
        "tiny", seed=seed, modality_dropout=MODALITY_DROPOUT, notice=NOTICE, cache=cache
    )
    report = _stage("train.run").train(folder / "data", folder / "run", options, bars)
    shutil.rmtree(cache)
    return list(report.labels)


def export_model(folder: Path, bars: Bars) -> None:
    _stage("export.exporter").export_bundle(
        folder / "run",
        folder / "bundle",
        progress=lambda step, done, total: bars.step("export", done, total, step),
    )


def recognize_unseen(folder: Path, bars: Bars) -> tuple[list[Result], int]:
    """Recognise every test clip through ONNX Runtime; returns results and how many are right."""
    import msgspec

    from mer_edge.samples.manifest import read_manifest

    samples = read_manifest(folder / "data")
    unseen = [sample for sample in samples if sample.split == "test"]
    recognizer = _stage("runtime.recognizer").Recognizer(folder / "bundle")
    results: list[Result] = []
    correct = 0
    for done, sample in enumerate(unseen, start=1):
        assert sample.media is not None  # generate_data draws videos
        result = recognizer.recognize(sample.media, sample.text)
        results.append(replace(result, source=str(sample.media.relative_to(folder))))
        correct += result.top in sample.labels
        bars.step("infer", done, len(unseen), f"{correct} of {done} right")
    lines = [msgspec.json.encode(result) + b"\n" for result in results]
    (folder / "results.jsonl").write_bytes(b"".join(lines))
    return results, correct


def draw(folder: Path, result: Result) -> None:
    from mer_edge.pictures import draw_result

    title = f'{result.source}: "{result.text}" (a drawing)'
    draw_result(result, folder / "decision.png", title)


def size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def accuracy_line(outcome: Outcome) -> str:
    return (
        f"{outcome.correct} of {outcome.unseen_clips} unseen generated clips right: accuracy "
        f"{outcome.accuracy:.2f}, chance {outcome.chance:.2f}"
    )


def show(outcome: Outcome, example: Result, out: Path) -> None:
    """Print the table of one clip, the accuracy over all, and what to do next."""
    from rich.console import Console

    from mer_edge.result_table import print_result

    console = Console(highlight=False)
    # The notice stands below, for all clips; here only what is to be said of this one.
    notes = [note for note in example.notes if not note.startswith(NOTICE)]
    print_result(replace(example, source=str(out / example.source), notes=notes), console)
    stages = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in outcome.seconds.items())
    lines = [
        accuracy_line(outcome),
        f"{stages}; {outcome.megabytes:.0f} MB in {out}; picture: {out / 'decision.png'}",
        f"note: {outcome.notice}",
        f"next: mer-edge infer {out / 'bundle'} YOUR_CLIP.mp4",
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _stage(module: str) -> Any:
    from mer_edge.stages import load_stage

    return load_stage(module)
