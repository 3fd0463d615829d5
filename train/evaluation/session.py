"""One evaluation: open each subject in turn, ask all about the same clips, compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mer_edge.errors import MerEdgeError
from train.datasets.registry import DatasetOptions, dataset_arguments
from train.evaluation.data import EvaluationData, check_split_name, open_data
from train.evaluation.evaluation import (
    DataSummary,
    Evaluation,
    SubjectEvaluation,
    compare,
    evaluate_predictions,
)
from train.evaluation.features import LEAST_CLIPS, FeatureMap, map_features
from train.evaluation.intervals import Bootstrap
from train.evaluation.subject import (
    ClipPredictions,
    RunSubject,
    Subject,
    SubjectInfo,
    check_subject,
    open_subject,
)
from train.evaluation.trained import read_history, trained_on
from train.progress import Progress, Silent

SEEN = {
    "train": "the model has learned from these clips",
    "valid": "the model was chosen, and its thresholds were tuned, on these clips",
}


@dataclass(frozen=True)
class Request:
    """What to evaluate, and on what."""

    subjects: tuple[Path, ...]
    against: tuple[Path, ...] = ()
    """Runs or bundles whose seeds are those of ``subjects``."""
    data: Path | None = None
    """None: the data of the first run."""
    dataset: DatasetOptions = field(default_factory=DatasetOptions)
    split: str = "test"
    temperature: bool = False
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    features: bool = False
    """Whether to make t-SNE maps of runs."""
    device: str = "cpu"
    store: Path | None = None
    workers: int | None = None


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A subject's scores and what its pictures are drawn of."""

    summary: SubjectEvaluation
    predictions: ClipPredictions
    history: list[dict[str, Any]]
    """An entry per epoch; [] for a bundle."""
    features: list[FeatureMap]
    clips: list[str]
    """The clips' names, in the predictions' order."""


def evaluate(
    request: Request, progress: Progress | None = None
) -> tuple[Evaluation, list[Evaluated]]:
    """Evaluate every subject, those it is compared with included, on the same prepared clips.

    The processes that prepare clips import the main module anew: a script calls this below
    ``if __name__ == "__main__"``.

    Raises:
        MerEdgeError: no data is named or known, a subject cannot be read or knows other labels,
            the split is empty, or seeds cannot be paired.
    """
    progress = progress or Silent()
    check_split_name(request.split)
    paths = (*request.subjects, *request.against)
    names = unique_names(paths)
    for path in paths:
        check_subject(path)
    data: EvaluationData | None = None
    evaluated: list[Evaluated] = []
    for path, name in zip(paths, names, strict=True):
        subject = open_subject(path, name, request.device)
        if data is None:
            data = _open_data(request, subject.info, progress)
        else:
            _check_labels(subject, evaluated[0].summary)
            _check_evidence(subject, evaluated[0].summary)
        evaluated.append(_evaluate_one(subject, data, request, progress))
    assert data is not None
    summaries = [one.summary for one in evaluated]
    count = len(request.subjects)
    against = compare(summaries[:count], summaries[count:]) if request.against else None
    return Evaluation(_summary(data, request), request.bootstrap, summaries, against), evaluated


def unique_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as tell all of them apart, joined by ``-``.

    Raises:
        MerEdgeError: a path is named twice.
    """
    parts = [path.resolve().parts[1:] for path in paths]
    repeated = [path for path, count in Counter(parts).items() if count > 1]
    if repeated:
        raise MerEdgeError(f"/{'/'.join(repeated[0])} is named twice; expected each subject once")
    for length in range(1, max(map(len, parts)) + 1):
        names = ["-".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{i}-{part[-1]}" for i, part in enumerate(parts, start=1)]


def _open_data(request: Request, first: SubjectInfo, progress: Progress) -> EvaluationData:
    known = next((found for path in request.subjects if (found := trained_on(path))), None)
    data, dataset, store, crops = request.data, request.dataset, request.store, 3
    if known is not None:
        crops = known.crops_per_segment
    if data is None:
        if known is None:
            raise MerEdgeError(
                f"{request.subjects[0]} does not say where its data is; expected a run with "
                "report.json, or the data set's folder; add --data DATA"
            )
        data, store = known.data, store or known.store
        dataset = known.dataset if dataset == DatasetOptions() else dataset
        _check_not_moved(data, dataset)
    splits = [request.split, *(["valid"] if request.temperature else [])]
    return open_data(
        data,
        dataset,
        first.labels,
        list(dict.fromkeys(splits)),
        progress,
        store=store,
        crops_per_segment=crops,
        workers=request.workers,
        evidence=first.evidence,
    )


def _check_not_moved(data: Path, dataset: DatasetOptions) -> None:
    if not data.exists():
        arguments = " ".join(["--data DATA", *dataset_arguments(dataset)])
        raise MerEdgeError(
            f"{data}: the data that the run was trained on is not there; expected it where it was "
            f"then; say where it is now with {arguments}"
        )


def _evaluate_one(
    subject: Subject, data: EvaluationData, request: Request, progress: Progress
) -> Evaluated:
    ready = data.splits[request.split]
    predictions = subject.predict(ready, progress)
    valid = subject.predict(data.splits["valid"], progress) if request.temperature else None
    notes = _notes(subject, data, request)
    history: list[dict[str, Any]] = []
    features: list[FeatureMap] = []
    if isinstance(subject, RunSubject):
        history = read_history(subject.path)
        if request.features:
            features = map_features(subject, ready, progress, request.bootstrap.seed)
            if not features:
                notes.append(
                    f"no picture of features (t-SNE): fewer than {LEAST_CLIPS} clips of this "
                    "split have any"
                )
    elif request.features:
        notes.append(
            "a bundle does not show its features: the picture of them (t-SNE) needs the run"
        )
    summary = evaluate_predictions(subject.info, predictions, request.bootstrap, valid, notes)
    clips = [item.sample.id for item in ready]
    return Evaluated(summary, predictions, history, features, clips)


def _check_labels(subject: Subject, first: SubjectEvaluation) -> None:
    ours, theirs = subject.info.labels, first.info.labels
    if set(ours) != set(theirs):
        raise MerEdgeError(
            f"{subject.info.path} knows the labels {', '.join(ours)} and {first.info.path} "
            f"{', '.join(theirs)}; expected the same; evaluate them one by one"
        )


def _check_evidence(subject: Subject, first: SubjectEvaluation) -> None:
    if subject.info.evidence != first.info.evidence:
        raise MerEdgeError(
            f"{subject.info.path} and {first.info.path} have different rules of what sound and "
            "faces need to have a say (evidence); expected the same; evaluate them one by one"
        )


def _notes(subject: Subject, data: EvaluationData, request: Request) -> list[str]:
    notes = []
    trained = subject.info.data_fingerprint
    if trained and trained != data.fingerprint:
        notes.append(
            f"trained on other data than {data.path} (fingerprint {trained[:12]}, here "
            f"{data.fingerprint[:12]}): clips of this split may have been seen in training"
        )
    elif request.split != "test":
        notes.append(f"{SEEN[request.split]}: the scores flatter it")
    if request.split == "valid" and request.temperature:
        notes.append("the temperature was fitted on the clips it is reported on")
    if subject.info.notice:
        notes.append(subject.info.notice)
    return notes


def _summary(data: EvaluationData, request: Request) -> DataSummary:
    return DataSummary(
        path=str(data.path),
        dataset=data.dataset,
        split=request.split,
        clips=len(data.splits[request.split]),
        fingerprint=data.fingerprint,
        skipped=[asdict(item) for item in data.skipped],
        notes=list(data.notes),
    )
