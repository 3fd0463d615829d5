"""What is evaluated: a training run or an exported bundle, both asked about the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import MANIFEST, Bundle
from mer_edge.clip import Clip
from mer_edge.decision import DecisionRule, Task
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.model.checkpoint import Checkpoint, load_checkpoint
from mer_edge.model.checkpoint_files import CONFIG_FILE, checkpoint_directory
from mer_edge.model.config import variant_name
from mer_edge.result import Result
from mer_edge.segments import MODALITIES
from mer_edge.text.tokenizer import TextTokenizer
from train.batches import load_example
from train.collate import NO_IDS, LabelledClip
from train.options import PRESET_OPTIONS, TrainOptions, options_for
from train.predict import predict
from train.prepare import ReadySample
from train.progress import Progress
from train.report import REPORT_FILE
from train.setup import check_device, reproducible
from train.splits import label_splits, target

if TYPE_CHECKING:
    from mer_edge import Recognizer

CLIPS_AT_A_TIME = 8


@dataclass(frozen=True, eq=False)
class ClipPredictions:
    """What a subject says of clips, in their order."""

    probabilities: NDArray[np.float64]
    """shape = (clips, labels), calibrated as the subject says"""
    targets: NDArray[np.bool_]
    """shape = (clips, labels)"""
    weights: NDArray[np.float64]
    """shape = (clips, 3): how much audio, visual and text counted; 0 where one is absent"""


@dataclass(frozen=True)
class SubjectInfo:
    """What is known of a run or a bundle before it is asked."""

    name: str
    """Different for each subject of one evaluation."""
    path: str
    kind: Literal["run", "bundle"]
    variant: str
    """The paper's name of the network, such as MER-SEM-MBT."""
    preset: str
    labels: list[str]
    thresholds: list[float]
    """Per label, tuned on the run's validation split; none of exclusive labels."""
    parameters: int | None
    """None for a bundle: export folds some away."""
    seed: int | None
    data_fingerprint: str
    """Of the data it was trained on; "" where nothing says so."""
    notice: str
    task: Task = "multilabel"
    min_confidence: float | None = None
    """Of exclusive labels: a decision below it is "uncertain"."""
    evidence: Evidence | None = None
    """What sound and faces need to have a say in its clips."""

    @property
    def rule(self) -> DecisionRule:
        """How its probabilities, which are calibrated already, become a decision."""
        return DecisionRule(self.task, tuple(self.thresholds))


class Subject(Protocol):
    """A run or a bundle."""

    @property
    def info(self) -> SubjectInfo: ...

    def predict(self, ready: Sequence[ReadySample], progress: Progress) -> ClipPredictions:
        """Ask about prepared clips, the middle frame of each segment."""


def check_subject(path: Path) -> Literal["run", "bundle"]:
    """What ``path`` is, by the files in it.

    Raises:
        MerEdgeError: neither a run (or its checkpoint) nor a bundle.
    """
    if (path / MANIFEST).is_file():
        return "bundle"
    if (checkpoint_directory(path) / CONFIG_FILE).is_file():
        return "run"
    if (path / REPORT_FILE).is_file():
        raise MerEdgeError(
            f"{path}: the run has no checkpoint yet; expected at least one whole epoch; go on with "
            "it: mer-edge train ... --resume"
        )
    raise MerEdgeError(
        f"{path}: neither a training run nor a bundle; expected a directory that mer-edge train "
        "or mer-edge export made"
    )


def open_subject(path: Path, name: str, device: str = "cpu") -> Subject:
    """A run's directory, a checkpoint or an exported bundle.

    Raises:
        MerEdgeError: ``path`` is none of them or damaged, or this machine lacks the device.
    """
    if check_subject(path) == "bundle":
        return BundleSubject(path, name, device)
    return RunSubject(path, name, device)


class RunSubject:
    """A training run, asked through PyTorch."""

    def __init__(self, path: Path, name: str, device: str) -> None:
        check_device(device)
        self.path = path
        self.checkpoint: Checkpoint = load_checkpoint(path)
        self.model = self.checkpoint.model.to(device)
        config = self.model.config
        preset = config.preset if config.preset in PRESET_OPTIONS else "paper"
        self.options: TrainOptions = options_for(preset, device=device)
        self.info = SubjectInfo(
            name=name,
            path=str(path),
            kind="run",
            variant=variant_name(config),
            preset=config.preset,
            labels=list(config.labels),
            thresholds=list(self.checkpoint.thresholds),
            parameters=sum(p.numel() for p in self.model.parameters()),
            seed=_seed(self.checkpoint.provenance),
            data_fingerprint=self.checkpoint.provenance.get("train_data_fingerprint", ""),
            notice=self.checkpoint.notice,
            task=config.task,
            min_confidence=self.checkpoint.min_confidence,
            evidence=self.checkpoint.evidence,
        )

    def predict(self, ready: Sequence[ReadySample], progress: Progress) -> ClipPredictions:
        """See :class:`Subject`."""
        progress.step(f"ask {self.info.name}", 0, len(ready))
        with reproducible(self.options):
            found = predict(self.model, self.labelled(ready), self.options)
        progress.step(f"ask {self.info.name}", len(ready), len(ready))
        assert found.weights is not None
        assert found.logits is not None
        probabilities = self.checkpoint.rule.probabilities(found.logits)
        return ClipPredictions(probabilities, found.targets, found.weights)

    def labelled(self, ready: Sequence[ReadySample]) -> list[LabelledClip]:
        """The clips with their words as numbers, in their order."""
        sizes = self.model.config.text
        tokenizer = TextTokenizer(self.checkpoint.tokenizer_path, sizes.max_position_embeddings)
        splits = label_splits(ready, self.model.config.labels, tokenizer)
        (clips,) = [clips for clips in splits.values() if clips] or [[]]
        return clips


class BundleSubject:
    """An exported bundle, asked through the runtime as on the device."""

    def __init__(self, path: Path, name: str, device: str) -> None:
        from mer_edge import Recognizer

        self.path = path
        self.recognizer: Recognizer = Recognizer(Bundle.load(path), device=device)
        manifest = self.recognizer.bundle.manifest
        prefix = "training."
        provenance = {
            key.removeprefix(prefix): value
            for key, value in manifest.provenance.items()
            if key.startswith(prefix)
        }
        self.info = SubjectInfo(
            name=name,
            path=str(path),
            kind="bundle",
            variant=manifest.variant,
            preset=manifest.preset,
            labels=list(manifest.labels),
            thresholds=list(manifest.thresholds),
            parameters=None,
            seed=_seed(provenance),
            data_fingerprint=provenance.get("train_data_fingerprint", ""),
            notice=manifest.notice,
            task=manifest.task,
            min_confidence=manifest.min_confidence,
            evidence=manifest.evidence,
        )

    def predict(self, ready: Sequence[ReadySample], progress: Progress) -> ClipPredictions:
        """See :class:`Subject`.

        Raises:
            MerEdgeError: a clip is longer than the bundle takes.
        """
        results: list[Result] = []
        for start in range(0, len(ready), CLIPS_AT_A_TIME):
            clips = [as_clip(item) for item in ready[start : start + CLIPS_AT_A_TIME]]
            results += self.recognizer.run_batch(clips)
            progress.step(f"ask {self.info.name}", len(results), len(ready))
        labels = self.info.labels
        return ClipPredictions(
            probabilities=np.array([[r.probabilities[x] for x in labels] for r in results]),
            targets=np.stack([target(item.sample, labels) for item in ready]),
            weights=np.array([[r.modalities[m].weight for m in MODALITIES] for r in results]),
        )


def as_clip(item: ReadySample) -> Clip:
    """The prepared clip as the device gets it: read by the code that reads it for the model."""
    example = load_example(LabelledClip(item.stored, NO_IDS, np.zeros(0, np.bool_)), None, None)
    text = item.sample.text
    return Clip(
        text=text if text and text.strip() else None,
        waveform=example.waveform,
        faces=example.faces,
        audio_present=example.audio_present,
        face_present=example.face_present,
        source=item.sample.place,
    )


def _seed(provenance: dict[str, str]) -> int | None:
    seed = provenance.get("train_seed", "")
    return int(seed) if seed.lstrip("-").isdigit() else None
