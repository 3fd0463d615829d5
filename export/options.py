"""What an export is asked for, and which recipe each target wants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from export.precision.recipe import Recipe
from mer_edge.errors import MerEdgeError

TARGETS: dict[str, Recipe] = {
    "cpu": "cpu",
    "cuda": "tensorrt",
    "tensorrt": "tensorrt",
    "jetson-orin": "tensorrt",
    "jetson-thor": "tensorrt",
}
"""What a bundle is made for, and how INT8 is written for it."""
PRECISIONS = ("fp32", "fp16", "int8", "auto")


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Raises:
        MerEdgeError: an unknown target or precision, or INT8 without clips to calibrate with.
    """

    target: str = "cpu"
    precision: str = "fp32"
    calibrate: Path | None = None
    """A data set's manifest, or the folder it is in."""
    calibration_clips: int = 128
    seed: int = 0
    """Which of its clips are taken."""
    vocabulary: Path | None = None
    """A text file, a sentence or word a line: the text encoder keeps the tokens of these alone."""
    budget: float = 0.005
    """Share of label decisions that ``auto`` may change."""

    def __post_init__(self) -> None:
        for option, value, known in (
            ("--target", self.target, tuple(TARGETS)),
            ("--precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise MerEdgeError(f"{option} {value}: expected one of {', '.join(known)}")
        if self.calibration_clips < 1:
            raise MerEdgeError(
                f"--calibration-clips {self.calibration_clips}: expected at least 64 clips"
            )
        if self.precision == "auto" and self.target != "cpu":
            raise MerEdgeError(
                f"--precision auto for --target {self.target}: it measures how fast the graphs "
                "are, which it can do on the CPU alone; choose fp16 or int8, and compare them on "
                "the device"
            )
        if self.precision in ("int8", "auto") and self.calibrate is None:
            raise MerEdgeError(
                f"--precision {self.precision} needs real clips to learn the ranges of values "
                "from; name a data set with --calibrate, such as the one the run was trained on"
            )

    @property
    def recipe(self) -> Recipe:
        return TARGETS[self.target]
