"""Train every cell with every seed, evaluate each run, go on where an earlier sweep ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from mer_edge.errors import MerEdgeError
from train.ablation.grid import Cell
from train.ablation.result import Ablation, Failure, RunResult, summarise
from train.datasets.registry import open_dataset
from train.evaluation.data import EvaluationData, open_data
from train.evaluation.headline import headline
from train.evaluation.subject import RunSubject
from train.folder import earlier_report
from train.options import MACHINE_OPTIONS, TrainOptions
from train.progress import Progress, Silent
from train.report import TrainReport, jsonable
from train.run import train
from train.stopping import Stopped

SPLIT = "test"


@dataclass(frozen=True, eq=False)
class Sweep:
    """What to train, and where its runs lie."""

    data: Path
    out: Path
    base: TrainOptions
    """What all cells share."""
    cells: list[Cell]
    seeds: list[int]
    reference: str
    note: str = ""

    def folder(self, cell: Cell, seed: int) -> Path:
        return self.out / cell.name / f"seed-{seed}"

    @property
    def runs(self) -> list[tuple[Cell, int]]:
        """Seed by seed, so that an interrupted sweep has cells to compare."""
        return [(cell, seed) for seed in self.seeds for cell in self.cells]


def ablate(
    sweep: Sweep,
    progress: Progress | None = None,
    publish: Callable[[Ablation], None] = lambda ablation: None,
) -> Ablation:
    """Train what is missing, and score every run on the test split at its own thresholds.

    Finished runs are taken as they are, unfinished ones are resumed. A run that fails is listed
    and the others go on. The processes that prepare clips import the main module anew: a script
    calls this below ``if __name__ == "__main__"``.

    Args:
        publish: is given what is known after every run.

    Raises:
        MerEdgeError: the data has no test split, or a run in the folder was made with other
            options or of other data.
        Stopped: the run that is under way was asked to end; the next sweep goes on with it.
    """
    progress = progress or Silent()
    base, path = sweep.base, sweep.data
    labels = base.labels or open_dataset(path, base.dataset).labels
    data = open_data(
        path,
        base.dataset,
        labels,
        [SPLIT],
        progress,
        store=base.cache,
        crops_per_segment=base.crops_per_segment,
        workers=base.workers,
    )
    reports = {run: check_earlier(sweep, *run, data.fingerprint) for run in _keys(sweep)}
    results: list[RunResult] = []
    failures: list[Failure] = []
    ablation = _ablation(sweep, data, results, failures)
    publish(ablation)
    for done, (cell, seed) in enumerate(sweep.runs):
        name = f"{cell.name}, seed {seed}"
        progress.step("ablate", done, len(sweep.runs), name)
        try:
            report = reports[cell.name, seed]
            if report is None or not report.finished:
                report = _train(sweep, cell, seed, _Named(progress, name))
            results.append(_evaluate(sweep, cell, seed, report, data))
        except Stopped:
            raise
        except Exception as error:
            # Whatever one combination runs into (memory, a loss that is no number): the
            # others are independent of it, and the table says what is missing.
            kind = "" if isinstance(error, MerEdgeError) else f"{type(error).__name__}: "
            failures.append(Failure(cell.name, seed, f"{kind}{error}"))
            progress.note(f"{name} failed: {kind}{error}", warning=True)
        ablation = _ablation(sweep, data, results, failures)
        publish(ablation)
    progress.step("ablate", len(sweep.runs), len(sweep.runs))
    return ablation


def check_earlier(sweep: Sweep, name: str, seed: int, data_fingerprint: str) -> TrainReport | None:
    """What is already there of a run; None where nothing is.

    Raises:
        MerEdgeError: it was made with other options, or of other data.
    """
    cell = next(cell for cell in sweep.cells if cell.name == name)
    folder = sweep.folder(cell, seed)
    report = earlier_report(folder)
    if report is None:
        return None
    wanted = jsonable(asdict(cell.options(sweep.base, seed)))
    for option, value in wanted.items():
        before = report.options.get(option)
        if option not in MACHINE_OPTIONS and before != value:
            raise MerEdgeError(
                f"{folder}: trained with {option} {before!r}, and this ablation wants {value!r}; "
                "expected the same options in one folder; give the earlier ones, name another "
                "--out, or remove that run"
            )
    if report.data_fingerprint != data_fingerprint:
        raise MerEdgeError(
            f"{folder}: trained on other data than {sweep.data} is now; expected the same clips, "
            "texts, labels and splits; name another --out, or remove that run"
        )
    return report


def _keys(sweep: Sweep) -> list[tuple[str, int]]:
    return [(cell.name, seed) for cell, seed in sweep.runs]


def _train(sweep: Sweep, cell: Cell, seed: int, progress: Progress) -> TrainReport:
    options = cell.options(sweep.base, seed)
    return train(sweep.data, sweep.folder(cell, seed), options, progress, resume=True)


def _evaluate(
    sweep: Sweep, cell: Cell, seed: int, report: TrainReport, data: EvaluationData
) -> RunResult:
    subject = RunSubject(sweep.folder(cell, seed), cell.name, sweep.base.device)
    predictions = subject.predict(data.splits[SPLIT], Silent())
    return RunResult(
        cell=cell.name,
        seed=seed,
        figures=headline(predictions, subject.info.thresholds, subject.info.labels),
        parameters=report.parameters,
        epochs=report.epochs,
        best_epoch=report.best_epoch,
        train_s=report.train_s,
    )


def _ablation(
    sweep: Sweep, data: EvaluationData, results: list[RunResult], failures: list[Failure]
) -> Ablation:
    return Ablation(
        note=sweep.note,
        data={
            "path": str(data.path),
            "dataset": data.dataset,
            "split": SPLIT,
            "clips": len(data.splits[SPLIT]),
            "fingerprint": data.fingerprint,
            "notes": list(data.notes),
        },
        options=jsonable(asdict(sweep.base)),
        seeds=list(sweep.seeds),
        reference=sweep.reference,
        finished=len(results) + len(failures) == len(sweep.runs),
        cells=summarise(sweep.cells, results, sweep.reference),
        runs=list(results),
        failures=list(failures),
    )


class _Named:
    """Says of which run a note is; the bar of the ablation itself shows which is under way."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name = progress, name

    def step(self, stage: str, done: int, total: int, detail: str = "") -> None:
        self._progress.step(stage, done, total, detail)

    def note(self, text: str, *, warning: bool = False) -> None:
        self._progress.note(f"{self._name}: {text}", warning=warning)
