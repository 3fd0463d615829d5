"""What a training run can be told, and what each preset takes where nothing is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.model.config import PRESETS


@dataclass(frozen=True)
class TrainOptions:
    """Every choice of a run. The defaults are the paper's (Xia, Zhao and Jiang 2022, section 4.2).

    The paper names neither the number of epochs nor the patience: both are ours.
    """

    preset: str = "paper"
    labels: tuple[str, ...] | None = None
    """The labels and their order; None: those of the data, in alphabetical order."""
    epochs: int = 30
    """At most; early stopping usually ends before."""
    patience_epochs: int = 6
    """Stop after so many epochs in a row without a better validation split."""
    batch_size: int = 8
    learning_rate: float = 1e-4
    backbone_learning_rate: float = 1e-5
    """Of a VGGish or ResNet18 with loaded weights, above its frozen groups."""
    linear_decay: bool = False
    """Lower the learning rates linearly, batch by batch, to 0 at the end of ``epochs``."""
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
    vggish: Path | None = None
    resnet: Path | None = None
    crops_per_segment: int = 3
    """Frames prepared per segment, odd: training draws one of them, validation takes the middle."""
    workers: int | None = None
    """Processes that prepare clips; None: one per processor this process may use."""
    cache: Path | None = None
    """Where prepared clips are kept; None: ``.prepared`` beside the data's manifest."""
    notice: str = ""
    """What whoever uses the model must know; goes into the checkpoint and on into the bundle."""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise MerEdgeError(
                f"unknown preset '{self.preset}'; expected one of {', '.join(PRESETS)}"
            )
        for name in ("epochs", "patience_epochs", "batch_size", "crops_per_segment"):
            if getattr(self, name) < 1:
                raise MerEdgeError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.crops_per_segment % 2 == 0:
            raise MerEdgeError(
                f"crops_per_segment is {self.crops_per_segment}; expected an odd number, "
                "so that one crop is the middle of its segment"
            )
        for name in ("learning_rate", "backbone_learning_rate"):
            if not getattr(self, name) > 0:
                raise MerEdgeError(f"{name} is {getattr(self, name)}; expected more than 0")
        if not 0 <= self.modality_dropout < 1:
            raise MerEdgeError(
                f"modality_dropout is {self.modality_dropout}; expected at least 0 and less than 1"
            )
        if not self.modality_loss_weight >= 0:
            raise MerEdgeError(
                f"modality_loss_weight is {self.modality_loss_weight}; expected 0 or more"
            )
        if self.labels is not None and len(set(filter(None, self.labels))) < max(
            1, len(self.labels)
        ):
            raise MerEdgeError(
                f"the labels are {list(self.labels)}; expected at least one name, each once"
            )
        for name in ("workers", "threads"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise MerEdgeError(f"{name} is {count}; expected at least 1")


PRESET_OPTIONS = {
    "paper": TrainOptions(preset="paper"),
    "edge": TrainOptions(preset="edge"),
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
    return (
        f"preset {options.preset}: Adam at {options.learning_rate:g}"
        f"{' falling to 0' if options.linear_decay else ''}, batches of "
        f"{options.batch_size}, at most {options.epochs} epochs, seed {options.seed}, "
        f"on {options.device}"
    )
