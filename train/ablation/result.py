"""What an ablation found: ``ablation.json``."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from train.ablation.grid import Cell
from train.evaluation.headline import HEADLINES
from train.evaluation.significance import PairedTest, paired_t_test

ABLATION_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RunResult:
    """One finished run on the evaluated split."""

    cell: str
    seed: int
    figures: dict[str, float]
    """Those of ``train.evaluation.headline`` that the data has."""
    parameters: int
    epochs: int
    best_epoch: int
    train_s: float


@dataclass(frozen=True)
class Failure:
    """A run that ended in an error."""

    cell: str
    seed: int
    reason: str


@dataclass(frozen=True)
class Spread:
    """One figure over a cell's seeds."""

    mean: float
    deviation: float | None
    """Of the sample (n - 1); None of a single run."""
    values: list[float]
    """In the order of the cell's seeds."""


@dataclass(frozen=True)
class CellSummary:
    """A cell's runs together."""

    name: str
    variant: str
    settings: dict[str, str]
    seeds: list[int]
    """Those whose runs have finished."""
    figures: dict[str, Spread]
    parameters: int | None
    """None where no run has finished, like the seconds."""
    mean_train_s: float | None
    against_reference: dict[str, PairedTest]
    """By figure, this cell less the reference over the seeds both have; {} for the reference
    itself and where there are fewer than two such seeds."""


@dataclass(frozen=True)
class Ablation:
    """Every cell, compared with one of them."""

    note: str
    """What a reader must know first."""
    data: dict[str, Any]
    """Path, data set, split, clips, fingerprint, notes."""
    options: dict[str, Any]
    """What all cells share."""
    seeds: list[int]
    reference: str
    finished: bool
    """False while runs are missing that have not failed."""
    cells: list[CellSummary]
    runs: list[RunResult]
    failures: list[Failure]
    twins: dict[str, str] = field(default_factory=dict)
    """Cells that were asked for and are left out, each with the cell whose training would be the
    same."""
    schema_version: int = ABLATION_SCHEMA_VERSION


def summarise(
    cells: Sequence[Cell], runs: Sequence[RunResult], reference: str
) -> list[CellSummary]:
    """Mean and deviation of each cell's figures, and a paired t-test against the reference."""
    of_cell = {
        cell.name: {run.seed: run for run in runs if run.cell == cell.name} for cell in cells
    }
    return [_summary(cell, of_cell[cell.name], of_cell[reference], reference) for cell in cells]


def _summary(
    cell: Cell, runs: dict[int, RunResult], reference_runs: dict[int, RunResult], reference: str
) -> CellSummary:
    seeds = sorted(runs)
    shared = [seed for seed in seeds if seed in reference_runs]
    known = [key for key in HEADLINES if seeds and all(key in runs[s].figures for s in seeds)]
    tests = {}
    if cell.name != reference and len(shared) >= 2:
        tests = {
            key: paired_t_test(
                [runs[seed].figures[key] for seed in shared],
                [reference_runs[seed].figures[key] for seed in shared],
            )
            for key in known
        }
    return CellSummary(
        name=cell.name,
        variant=cell.variant,
        settings=cell.settings,
        seeds=seeds,
        figures={key: spread([runs[seed].figures[key] for seed in seeds]) for key in known},
        parameters=runs[seeds[0]].parameters if seeds else None,
        mean_train_s=statistics.fmean(run.train_s for run in runs.values()) if seeds else None,
        against_reference=tests,
    )


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample deviation of at least one value."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, list(values))
