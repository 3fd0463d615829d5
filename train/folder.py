"""A run's folder: the best model, where the run stands, its figures, what it was.

``best/`` is a checkpoint, ``last/`` the state to go on from (gone when the run has finished);
each is replaced as a whole. ``history.json`` and ``report.json`` follow them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mer_edge.decision import DecisionRule
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.files import check_out, new_directory, recover_directory, taken
from mer_edge.model.checkpoint import write_checkpoint
from mer_edge.model.checkpoint_files import BEST
from train.options import MACHINE_OPTIONS, TrainOptions
from train.predict import Predictions
from train.report import (
    REPORT_FILE,
    SplitScores,
    TrainReport,
    jsonable,
    read_report,
    write_reports,
)
from train.state import Standing, write_state

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from train.loop import Training

LAST = "last"
"""The directory inside a run that holds the state to go on from."""
CURVES = "tensorboard"
OWN_OPTIONS = "give the run's own options (report.json lists them), or begin anew with --overwrite"
OWN_DATA = "bring them back, or begin anew with --overwrite"
_DEFAULTS = jsonable(asdict(TrainOptions()))
STILL_THERE = "what was saved before is still there; free some space and go on with --resume"


def check_new_run(out: Path, overwrite: bool) -> None:
    """Refuse to write over anything but an earlier run, and over that only when told to.

    Raises:
        MerEdgeError: ``out`` exists.
    """
    other = "add --resume to go on with the run, "
    check_out(out, overwrite, "a training run", REPORT_FILE, other)


def begin(out: Path, report: TrainReport) -> None:
    """Make the run's folder anew, with nothing but what the run is."""
    with new_directory(out, "beginning the run", overwrite=True) as temporary:
        write_reports(temporary, report, [])


def recover(out: Path) -> None:
    """Mend what a kill has left; nobody else may be writing the run."""
    for name in (BEST, LAST):
        recover_directory(out / name)


def standing_report(standing: Standing) -> TrainReport:
    """The report as the state holds it."""
    return msgspec.convert(standing.report, TrainReport)


class RunKeeper:
    """Publishes a run's models and figures.

    Args:
        out: the run's folder, which exists.
        tokenizer_json: of the model.
        report: as far as it is known.
        evidence: what had a say in the clips.
    """

    def __init__(
        self,
        out: Path,
        tokenizer_json: str,
        report: TrainReport,
        evidence: Evidence | None = None,
    ) -> None:
        self.out, self.tokenizer_json, self.report = out, tokenizer_json, report
        self.evidence = evidence
        self.training: Training | None = None
        self._curves: SummaryWriter | None = None

    def best(self, standing: Standing, valid: Predictions, rule: DecisionRule) -> None:
        assert self.training is not None
        thresholds = list(rule.thresholds)
        self.report = replace(
            self.report,
            thresholds=thresholds,
            best_epoch=standing.best_epoch,
            valid=SplitScores.of(valid, rule, self.report.labels),
        )
        with new_directory(
            self.out / BEST, "keeping the best model", overwrite=True, advice=STILL_THERE
        ) as temporary:
            write_checkpoint(
                temporary,
                self.training.learner.model,
                self.tokenizer_json,
                thresholds,
                self.report.notice,
                provenance_of(self.report),
                evidence=self.evidence,
            )

    def state(self, standing: Standing) -> None:
        assert self.training is not None
        self.note(standing)
        standing.report = asdict(self.report)
        scaler = self.training.accelerator.scaler
        with new_directory(
            self.out / LAST, "saving the state", overwrite=True, advice=STILL_THERE
        ) as temporary:
            write_state(
                temporary,
                standing,
                self.training.learner,
                self.training.optimizer,
                {} if scaler is None else scaler.state_dict(),
            )
        write_reports(self.out, self.report, standing.history, STILL_THERE)

    def figures(self, step: int, values: dict[str, float]) -> None:
        if self._curves is None:
            from torch.utils.tensorboard import SummaryWriter

            # What a run wrote after the state it goes on from would be there twice.
            self._curves = SummaryWriter(str(self.out / CURVES), purge_step=step)
        for name, value in values.items():
            self._curves.add_scalar(name, value, step)
        self._curves.flush()

    def finish(self, standing: Standing, test: SplitScores | None) -> TrainReport:
        """Say in the folder that the run is over, and how its best model tests."""
        self.report = replace(self.report, test=test, finished=True)
        self.note(standing)
        write_reports(self.out, self.report, standing.history, STILL_THERE)
        shutil.rmtree(self.out / LAST, ignore_errors=True)
        return self.report

    def note(self, standing: Standing) -> None:
        self.report = replace(
            self.report, epochs=len(standing.history), train_s=round(standing.train_s, 3)
        )

    def close(self) -> None:
        if self._curves is not None:
            self._curves.close()


class Onlooker:
    """The keeper of the processes that only help: keeps nothing."""

    def best(self, standing: Standing, valid: Predictions, rule: DecisionRule) -> None:
        pass

    def state(self, standing: Standing) -> None:
        pass

    def figures(self, step: int, values: dict[str, float]) -> None:
        pass


def check_same_run(earlier: TrainReport, now: TrainReport) -> None:
    """Refuse to go on with a run as if it were another one.

    Raises:
        MerEdgeError: the first option, or the data, that differs.
    """
    check_same_options(now.run, earlier, now.options)
    check_same_data(now.run, earlier, now.data_fingerprint)
    if earlier.skipped != now.skipped:
        raise MerEdgeError(
            f"{now.run}: {len(earlier.skipped)} clips could not be prepared when the run was "
            f"begun, and now {len(now.skipped)}; expected the same, or the order of the clips "
            "changes; bring them back as they were, or begin anew with --overwrite"
        )


def check_same_options(
    run: Path | str, earlier: TrainReport, options: Mapping[str, Any], advice: str = OWN_OPTIONS
) -> None:
    """Refuse to take a run for one with other options, but for those of ``MACHINE_OPTIONS``.

    Args:
        run: where it is now.
        options: as a report holds them.
        advice: what to do.

    Raises:
        MerEdgeError: the first option that differs.
    """
    for name, value in options.items():
        # An option that the earlier release did not have was at what is now its default.
        before = earlier.options.get(name, _DEFAULTS.get(name))
        if name not in MACHINE_OPTIONS and before != value:
            raise MerEdgeError(
                f"{run}: the run was begun with {name} {before!r} and is asked for with {value!r} "
                f"now; expected the same; {advice}"
            )


def check_same_data(
    run: Path | str, earlier: TrainReport, fingerprint: str, advice: str = OWN_DATA
) -> None:
    """Refuse to take a run for one of other data.

    Args:
        run: where it is now.
        fingerprint: of the data as it is now.
        advice: what to do.

    Raises:
        MerEdgeError: it differs from the fingerprint of the data that the run was begun with.
    """
    if earlier.data_fingerprint != fingerprint:
        raise MerEdgeError(
            f"{run}: the data has changed since the run was begun; expected the same clips, "
            f"texts, labels and splits; {advice}"
        )


def earlier_report(out: Path) -> TrainReport | None:
    """What the folder says of its run; None where there is no run yet.

    Raises:
        MerEdgeError: a folder that is no run.
    """
    return read_report(out) if taken(out) else None


def provenance_of(report: TrainReport) -> dict[str, str]:
    """What the checkpoint says of its run, and the bundle after it."""
    return {
        "train_commit": report.commit,
        "train_data_fingerprint": report.data_fingerprint,
        "train_seed": str(report.options["seed"]),
        "train_best_epoch": str(report.best_epoch),
        **{f"train_{name}": version for name, version in report.versions.items()},
    }
