"""Result: what the runtime says of one clip. The contract between runtime and the user."""

from __future__ import annotations

from dataclasses import dataclass, field

RESULT_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ModalitySay:
    """What one modality alone would decide, and how much it counts."""

    present: bool
    """Whether the clip has it. What the network takes no notice of is not looked for."""
    weight: float
    """Attention weight in [0, 1]; the three add up to 1, and that of a modality which is absent
    or not used is 0."""
    probabilities: dict[str, float] | None
    """Per label in [0, 1]; None for a modality that is absent or not used."""
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
    """Per label, independent of each other (sigmoid): they need not add up to 1."""
    decision: list[str]
    """Labels whose probability is above the bundle's threshold for them; may be empty."""
    top: str
    """The most probable label."""
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
    schema_version: int = RESULT_SCHEMA_VERSION
