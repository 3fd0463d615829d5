"""What a training run can be told, and what each preset takes where nothing is said."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from mer_edge.decision import TASKS, Task
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence, fault_of
from mer_edge.model.config import PRESETS, VARIANTS, ModelConfig, with_variant
from train.datasets.registry import DatasetOptions
from train.distill_settings import DistillSettings

PRECISIONS = ("fp32", "bf16", "fp16")
CLASS_WEIGHTS = ("none", "sqrt", "balanced")


@dataclass(frozen=True)
class TrainOptions:
    """Every choice of a run. The defaults are the paper's (Xia, Zhao and Jiang 2022, section 4.2).

    The paper names neither the number of epochs nor the patience: both are ours.
    """

    preset: str = "paper"
    variant: str = "mer-sem-mbt"
    """Which of the networks the paper measures; the next four change parts of it."""
    sem_attention: str | None = None
    """``spatial``, ``key`` or ``tokens``; None: ``spatial``."""
    audio_sem_positions: tuple[int, ...] | None = None
    """Groups of VGGish, 1 to 4, after which a SEM stands; None: the variant's."""
    visual_sem_positions: tuple[int, ...] | None = None
    """Stages of the ResNet, 1 to 5, after which a SEM stands; None: the variant's."""
    cross_modal: str | None = None
    """``mbt``, ``joint``, ``bi_cross`` or ``none``; None: the variant's."""
    dataset: DatasetOptions = field(default_factory=DatasetOptions)
    """Which data set the folder holds, and how it is split."""
    labels: tuple[str, ...] | None = None
    """The labels and their order; None: those of the data, in alphabetical order."""
    task: Task = "multilabel"
    """``multilabel``: independent labels, a sigmoid each (the paper's). ``multiclass``: exclusive
    ones, a softmax over them; every clip then has exactly one."""
    class_weights: str | None = None
    """How much more a rare label counts in the loss of ``multiclass``: ``none``, ``sqrt`` or
    ``balanced``; None: ``sqrt``. Independent labels weigh as the paper's section 3.5 says."""
    epochs: int = 30
    """At most; early stopping usually ends before."""
    patience_epochs: int = 6
    """Stop after so many epochs in a row without a better validation split."""
    batch_size: int = 8
    """Clips of an optimiser step, over all processes and accumulated parts."""
    accumulation: int = 1
    """In how many parts, one after the other, each process computes its share of a step: less
    memory for the same step, but for BatchNorm, which sees a part at a time."""
    learning_rate: float = 1e-4
    backbone_learning_rate: float = 1e-5
    """Of a VGGish or ResNet18 with loaded weights, above its frozen groups."""
    linear_decay: bool = False
    """Lower the learning rates linearly, batch by batch, to 0 at the end of ``epochs``."""
    warmup_steps: int = 0
    """Over so many steps the learning rates rise linearly to their values."""
    clip_norm: float | None = None
    """Gradients whose norm over all parameters is larger are scaled down to it; None: never."""
    precision: str = "fp32"
    """``fp32``, or mixed ``bf16`` or ``fp16`` (GPU only); validation is always fp32."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory."""
    augment: bool = False
    """Change sound and faces at random while training (``train.augment``); the paper does not."""
    modality_dropout: float = 0.0
    """Chance, per clip and modality, that training hides a modality; one is always kept."""
    modality_loss_weight: float = 0.0
    """How much the loss of each modality's own decision counts beside that of the fused one.

    The paper has none (0). From scratch the first modality that learns takes the weight of the
    fusion, and hardly any gradient is left for the others."""
    seed: int = 0
    device: str = "cpu"
    """``cpu`` or ``cuda``."""
    threads: int | None = None
    """Of PyTorch on the CPU; None: one per processor. The bits of a result depend on it."""
    bert: str | None = None
    """A Hugging Face directory or hub name."""
    vggish: str | None = None
    """A file of weights or its hub name, or a run whose audio encoder to start from."""
    resnet: str | None = None
    """A file of weights or its hub name, or a run whose visual encoder to start from."""
    teacher: Path | None = None
    """A run to learn from beside the truth (knowledge distillation)."""
    distill: DistillSettings = field(default_factory=DistillSettings)
    """How much the teacher counts; without a teacher it means nothing."""
    crops_per_segment: int = 3
    """Frames prepared per segment, odd: training draws one of them, validation takes the middle."""
    workers: int | None = None
    """Processes that prepare clips; None: one per processor this process may use."""
    loaders: int = 2
    """Threads that read clips ahead of the model."""
    evidence: Evidence | None = None
    """What sound and faces need to have a say, here and where the bundle runs; None: to be there,
    as in the paper."""
    cache: Path | None = None
    """Where prepared clips are kept; None: ``.prepared`` beside the data's manifest."""
    notice: str = ""
    """What whoever uses the model must know; goes into the checkpoint and on into the bundle."""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("preset", self.preset, tuple(PRESETS)),
            ("variant", self.variant, tuple(VARIANTS)),
            ("precision", self.precision, PRECISIONS),
            ("task", self.task, TASKS),
            ("class_weights", self.class_weights or "none", CLASS_WEIGHTS),
        ):
            if value not in known:
                raise MerEdgeError(f"unknown {name} '{value}'; expected one of {', '.join(known)}")
        if self.class_weights is not None and self.task == "multilabel":
            raise MerEdgeError(
                f"found class_weights '{self.class_weights}' for independent labels, whose weights "
                "are the paper's; expected it with task multiclass; leave it out"
            )
        if self.precision == "fp16" and self.device == "cpu":
            raise MerEdgeError(
                "precision fp16 on the CPU; expected a GPU, whose loss scaling it needs; "
                "take bf16 or fp32, or --device cuda"
            )
        for name in ("epochs", "patience_epochs", "batch_size", "accumulation", "loaders"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("warmup_steps", self.warmup_steps >= 0, "0 or more")
        odd = self.crops_per_segment >= 1 and self.crops_per_segment % 2 == 1
        self._require(
            "crops_per_segment", odd, "an odd number, so that one crop is the middle of its segment"
        )
        for name in ("learning_rate", "backbone_learning_rate"):
            fine = 0 < getattr(self, name) < math.inf
            self._require(name, fine, "more than 0 and finite")
        self._require("clip_norm", self.clip_norm is None or self.clip_norm > 0, "more than 0")
        fine = 0 <= self.modality_dropout < 1
        self._require("modality_dropout", fine, "at least 0 and less than 1")
        fine = 0 <= self.modality_loss_weight < math.inf
        self._require("modality_loss_weight", fine, "0 or more, and finite")
        for name in ("workers", "threads"):
            count = getattr(self, name)
            self._require(name, count is None or count >= 1, "at least 1")
        if self.evidence is not None and (fault := fault_of(self.evidence)):
            raise MerEdgeError(f"evidence: {fault}")
        labels = self.labels
        if labels is not None and len(set(filter(None, labels))) < max(1, len(labels)):
            raise MerEdgeError(
                f"the labels are {list(labels)}; expected at least one name, each once"
            )

    def _require(self, name: str, fine: bool, expected: str) -> None:
        if not fine:
            raise MerEdgeError(f"{name} is {getattr(self, name)}; expected {expected}")


MACHINE_OPTIONS = ("workers", "loaders", "cache")
"""Those that say how the work is done and not what is learned: a resumed run may change them."""

NETWORK_OPTIONS = ("sem_attention", "audio_sem_positions", "visual_sem_positions", "cross_modal")
"""Those that change a part of the variant's network, under the names of ``ModelConfig``."""

PRESET_OPTIONS = {
    "paper": TrainOptions(preset="paper"),
    "edge": TrainOptions(preset="edge"),
    "small": TrainOptions(preset="small"),
    # The paper's step is for pre-trained encoders; weights from scratch want a larger one.
    # Its layers are too small to share: two threads wait for each other longer than they work.
    "tiny": TrainOptions(
        preset="tiny",
        learning_rate=1e-3,
        linear_decay=True,
        batch_size=4,
        epochs=12,
        patience_epochs=6,
        modality_loss_weight=1.0,
        threads=1,
    ),
}


def options_for(preset: str, **changes: object) -> TrainOptions:
    """The preset's options with ``changes``; a change that is None keeps the preset's value.

    Raises:
        MerEdgeError: an unknown preset, or a value out of its range.
    """
    if preset not in PRESET_OPTIONS:
        raise MerEdgeError(
            f"unknown preset '{preset}'; expected one of {', '.join(PRESET_OPTIONS)}"
        )
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(PRESET_OPTIONS[preset], **given)  # type: ignore[arg-type]


def describe(options: TrainOptions) -> str:
    """The choices that decide most, in one line."""
    exclusive = ", exclusive labels" if options.task == "multiclass" else ""
    return (
        f"{options.variant}, preset {options.preset}{exclusive}: Adam at {options.learning_rate:g}"
        f"{' falling to 0' if options.linear_decay else ''}, batches of "
        f"{options.batch_size}, at most {options.epochs} epochs, seed {options.seed}, "
        f"on {options.device}"
    )


def model_config(options: TrainOptions) -> ModelConfig:
    """The preset as the variant, with what the options change of it.

    Raises:
        MerEdgeError: the changes make no network.
    """
    config = with_variant(PRESETS[options.preset], options.variant)
    changes = {
        name: getattr(options, name)
        for name in NETWORK_OPTIONS
        if getattr(options, name) is not None
    }
    return replace(config, task=options.task, **changes)


def only_what_applies(options: TrainOptions) -> TrainOptions:
    """The options without what the variant has no use for: weights of encoders it does not have,
    the form of SEMs it does not have, the dropout of its only modality.

    For runs that share their options: one that asked for such things itself is refused. Options
    that make no network stay as they are, for the run to say so.
    """
    try:
        config = model_config(options)
    except MerEdgeError:
        return options
    several = len(config.modalities) > 1
    return replace(
        options,
        sem_attention=options.sem_attention if config.has_sem else None,
        modality_dropout=options.modality_dropout if several else 0.0,
        bert=options.bert if config.uses_text else None,
        vggish=options.vggish if config.has_audio else None,
        resnet=options.resnet if config.has_visual else None,
    )
