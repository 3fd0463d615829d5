"""Train every cell with every seed, evaluate each run, go on where an earlier sweep ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mer_edge.errors import MerEdgeError
from train.ablation.grid import Cell
from train.ablation.kept import figures_of, keep_figures, read_figures
from train.ablation.result import Ablation, Failure, RunResult, summarise
from train.datasets.registry import open_dataset
from train.evaluation.data import EvaluationData, open_data
from train.evaluation.headline import headline
from train.evaluation.subject import RunSubject
from train.folder import check_same_data, check_same_options, earlier_report
from train.options import TrainOptions
from train.progress import Progress, Silent
from train.report import TrainReport, jsonable
from train.run import train
from train.stopping import Stopped

SPLIT = "test"
OTHER_FOLDER = "name another --out, or remove that run"


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
    twins: dict[str, str] = field(default_factory=dict)
    """Cells that are not among ``cells``, each with the one whose training would be the same."""

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
    for left_out, twin in sweep.twins.items():
        progress.note(f"{left_out} is left out: its training is that of {twin}")
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
        evidence=base.evidence,
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
    check_same_options(folder, report, wanted, f"give the earlier ones, {OTHER_FOLDER}")
    check_same_data(folder, report, data_fingerprint, OTHER_FOLDER)
    return report


def _keys(sweep: Sweep) -> list[tuple[str, int]]:
    return [(cell.name, seed) for cell, seed in sweep.runs]


def _train(sweep: Sweep, cell: Cell, seed: int, progress: Progress) -> TrainReport:
    options = cell.options(sweep.base, seed)
    return train(sweep.data, sweep.folder(cell, seed), options, progress, resume=True)


def _evaluate(
    sweep: Sweep, cell: Cell, seed: int, report: TrainReport, data: EvaluationData
) -> RunResult:
    run = sweep.folder(cell, seed)
    source = figures_of(run, data, SPLIT)
    figures = read_figures(run, source)
    if figures is None:
        subject = RunSubject(run, cell.name, sweep.base.device)
        predictions = subject.predict(data.splits[SPLIT], Silent())
        figures = headline(predictions, subject.info.rule, subject.info.labels)
        keep_figures(run, source, figures)
    return RunResult(
        cell=cell.name,
        seed=seed,
        figures=figures,
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
        twins=sweep.twins,
    )


class _Named:
    """Says of which run a note is; the bar of the ablation itself shows which is under way."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name = progress, name

    def step(self, stage: str, done: int, total: int, detail: str = "") -> None:
        self._progress.step(stage, done, total, detail)

    def note(self, text: str, *, warning: bool = False) -> None:
        self._progress.note(f"{self._name}: {text}", warning=warning)
