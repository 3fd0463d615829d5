"""Result: what the runtime says of one clip. The contract between runtime and the user."""

from __future__ import annotations

from dataclasses import dataclass, field

from mer_edge.decision import Task

RESULT_SCHEMA_VERSION = 1
UNCERTAIN = "uncertain"
NO_DECISION = "no decision"


@dataclass(frozen=True)
class ModalitySay:
    """What one modality alone would decide, and how much it counts."""

    present: bool
    """Whether the clip has it. What the network takes no notice of is not looked for."""
    weight: float
    """Attention weight in [0, 1]; the three add up to 1, and that of a modality which is absent
    or not used is 0."""
    probabilities: dict[str, float] | None
    """Per label in [0, 1], calibrated; None for a modality that is absent or not used."""
    used: bool = True
    """Whether the network has a decision of this modality at all: not every variant has all
    three. Text that is not used may still guide how sound and faces are read."""


@dataclass(frozen=True)
class ModelInfo:
    """Which model has decided."""

    name: str = ""
    notice: str = ""
    """How good it is and what must be known of it, as far as its bundle says."""


@dataclass(frozen=True)
class Result:
    """The decision on one clip. ``mer-edge infer --json`` prints exactly these fields."""

    source: str
    start_s: float
    end_s: float
    segments: int
    audio_segments: int
    """Segments with sound."""
    face_segments: int
    """Segments with a face."""
    text: str | None
    probabilities: dict[str, float]
    """Per label, calibrated. Of task ``multiclass`` they add up to 1 (softmax); of ``multilabel``
    they are independent of each other (sigmoid) and need not."""
    decision: list[str]
    """Of ``multiclass`` the most probable label, or nothing where the answer is "uncertain". Of
    ``multilabel`` the labels whose probability is above their threshold; there may be none."""
    top: str
    """The most probable label, also where it is no decision. It means nothing without evidence:
    then all are equally probable."""
    modalities: dict[str, ModalitySay]
    """Keys ``audio``, ``visual``, ``text``."""
    timings_ms: dict[str, float]
    """Wall time per stage: ``media`` (decoding, faces and text source together), ``tokenize``,
    ``text``, ``audio``, ``visual`` (its stem included), ``fusion`` and ``total``; none without the
    graph."""
    engine: str
    """The backend that really ran, for example ``onnxruntime CPUExecutionProvider``."""
    notes: list[str] = field(default_factory=list)
    model: ModelInfo = field(default_factory=ModelInfo)
    task: Task = "multilabel"
    """Whether the labels are independent of each other or exclusive (``multiclass``)."""
    confidence: float = 0.0
    """Probability of ``top``."""
    uncertain: bool = False
    """Whether nothing can be said: ``confidence`` is below ``min_confidence``, or the clip has
    nothing of what the network decides by."""
    min_confidence: float | None = None
    """Of ``multiclass``: below it a decision is "uncertain"; None where every clip is decided."""
    thresholds: dict[str, float] = field(default_factory=dict)
    """Of ``multilabel``: per label the probability above which it is decided."""
    schema_version: int = RESULT_SCHEMA_VERSION

    @property
    def has_evidence(self) -> bool:
        """Whether the clip has anything of what the network decides by."""
        return any(say.used and say.present for say in self.modalities.values())


def decision_text(result: Result) -> str:
    """The decision in words: its labels, "uncertain" or "no decision"."""
    if result.uncertain:
        return UNCERTAIN
    return ", ".join(result.decision) or NO_DECISION


def reason_text(result: Result) -> str:
    """By what it was decided, for one line: ``top sad 0.41, needs 0.50``.

    What it needs is said where it decides: of exclusive labels always, of independent ones where
    none is above its threshold.
    """
    if not result.has_evidence:
        return "no evidence"
    text = f"top {result.top} {result.probabilities[result.top]:.2f}"
    needed = result.min_confidence
    if result.task == "multilabel" and not result.decision:
        needed = result.thresholds.get(result.top)
    return text if needed is None else f"{text}, needs {needed:.2f}"
