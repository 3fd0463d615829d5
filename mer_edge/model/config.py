"""Sizes of the network, and the presets. Plain values: no torch, no configuration framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from mer_edge.decision import Task
from mer_edge.errors import MerEdgeError
from mer_edge.segments import FACE_SIZE_PX, MODALITIES

SemAttention = Literal["spatial", "key", "tokens"]
CrossModal = Literal["mbt", "joint", "bi_cross", "none"]

AUDIO_GROUPS = 4
"""Convolution groups of VGGish, each up to and with its max pool."""
VISUAL_GROUPS = 5
"""Stages of a ResNet: 1 is the stem (with its max pool), 2 to 5 are conv2_x to conv5_x."""


@dataclass(frozen=True)
class TextSizes:
    """A BERT encoder; the field names are those of Hugging Face's ``BertConfig``."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12


@dataclass(frozen=True)
class AudioSizes:
    """A VGGish: four groups of convolutions, three fully connected layers."""

    channels: tuple[int, int, int, int]
    """Output channels of the groups; groups 3 and 4 have two convolutions each."""
    hidden_size: int
    """Width of the first two fully connected layers."""
    embedding_size: int
    """Width of the last one: the feature of a segment."""
    level_dbfs: float | None = None
    """RMS that each segment's sound is brought to before the log-mel, in dB below full scale
    (-60 to 0); None: the sound is taken as it is, as VGGish does."""


@dataclass(frozen=True)
class VisualSizes:
    """A ResNet of basic blocks; ResNet18 is (64, 128, 256, 512) with two blocks a group."""

    channels: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    pool: int = 1
    """The face is averaged over squares of so many pixels: 2 makes 112 px of its 224."""

    @property
    def embedding_size(self) -> int:
        return self.channels[-1]


@dataclass(frozen=True)
class ModelConfig:
    """One MER-SEM-MBT network (Xia, Zhao and Jiang 2022).

    Raises:
        MerEdgeError: values that make no network.
    """

    labels: tuple[str, ...]
    text: TextSizes
    audio: AudioSizes
    visual: VisualSizes
    audio_sem_positions: tuple[int, ...] = (2, 4)
    """After which convolution groups of VGGish (1 to 4) a SEM stands; () for none."""
    visual_sem_positions: tuple[int, ...] = (3, 5)
    """After which stages of the ResNet (1 = stem, 2 to 5 = conv2_x to conv5_x) a SEM stands."""
    sem_attention: SemAttention = "spatial"
    modalities: tuple[str, ...] = MODALITIES
    """Whose decisions are fused, in the order audio, visual, text.

    Without "audio" or "visual" the network has no such encoder. Without "text" the text has no
    decision of its own but still guides the SEMs, if there are any."""
    cross_modal: CrossModal = "mbt"
    """How audio and visual features meet: bottleneck transformer, joint self-attention,
    cross-attention in both directions, or not at all."""
    bottleneck_size: int = 64
    """d_m, the width of the cross-modal encoder and of what each decision hides."""
    bottleneck_tokens: int = 4
    attention_heads: int = 8
    feed_forward_ratio: int = 4
    dropout: float = 0.1
    """Of BERT, the cross-modal encoder and the decisions alike; only while training."""
    preset: str = "custom"
    """The preset this came from, for the record."""
    task: Task = "multilabel"
    """Whether the labels are independent (a sigmoid each, as in the paper) or exclusive (a softmax
    over them). The network gives logits in both cases."""

    def __post_init__(self) -> None:
        _require(len(self.labels) > 0, "labels", self.labels, "at least one label")
        _require(len(set(self.labels)) == len(self.labels), "labels", self.labels, "no label twice")
        for name, positions, groups in (
            ("audio_sem_positions", self.audio_sem_positions, AUDIO_GROUPS),
            ("visual_sem_positions", self.visual_sem_positions, VISUAL_GROUPS),
        ):
            fine = set(positions) <= set(range(1, groups + 1)) and len(set(positions)) == len(
                positions
            )
            _require(fine, name, positions, f"different numbers from 1 to {groups}")
        for name, value, known in (
            ("sem_attention", self.sem_attention, get_args(SemAttention)),
            ("cross_modal", self.cross_modal, get_args(CrossModal)),
            ("task", self.task, get_args(Task)),
        ):
            _require(value in known, name, value, f"one of {known}")
        fine = self.task == "multilabel" or len(self.labels) > 1
        _require(fine, "labels", self.labels, "at least two of task 'multiclass'")
        self._check_modalities()
        _require(0.0 <= self.dropout < 1.0, "dropout", self.dropout, "a number in [0, 1)")
        for name, size in self._sizes().items():
            _require(size > 0, name, size, "a positive number")
        level = self.audio.level_dbfs
        fine = level is None or -60.0 <= level <= 0.0
        _require(fine, "audio.level_dbfs", level, "a number from -60 to 0, or none")
        divisor = self.visual.pool
        _require(
            FACE_SIZE_PX % divisor == 0, "visual.pool", divisor, f"a divisor of {FACE_SIZE_PX}"
        )
        for name, size, heads in (
            ("bottleneck_size", self.bottleneck_size, self.attention_heads),
            ("text.hidden_size", self.text.hidden_size, self.text.num_attention_heads),
        ):
            _require(heads > 0 and size % heads == 0, name, size, f"a multiple of {heads} heads")
        _require(
            self.bottleneck_size % 2 == 0,
            "bottleneck_size",
            self.bottleneck_size,
            "an even number (sine and cosine positions)",
        )

    @property
    def has_audio(self) -> bool:
        """Whether there is an audio encoder."""
        return "audio" in self.modalities

    @property
    def has_visual(self) -> bool:
        """Whether there is a visual encoder."""
        return "visual" in self.modalities

    @property
    def has_sem(self) -> bool:
        return bool(self.audio_sem_positions or self.visual_sem_positions)

    @property
    def uses_text(self) -> bool:
        """Whether there is a text encoder: for a decision, or to guide a SEM."""
        return "text" in self.modalities or self.has_sem

    def _check_modalities(self) -> None:
        known = tuple(name for name in MODALITIES if name in self.modalities)
        fine = bool(known) and known == self.modalities
        _require(fine, "modalities", self.modalities, f"some of {MODALITIES}, in this order")
        for name, positions in (
            ("audio", self.audio_sem_positions),
            ("visual", self.visual_sem_positions),
        ):
            fine = name in self.modalities or not positions
            expected = f"() without {name} in modalities"
            _require(fine, f"{name}_sem_positions", positions, expected)
        fine = (self.has_audio and self.has_visual) or self.cross_modal == "none"
        expected = "'none' without both audio and visual in modalities"
        _require(fine, "cross_modal", self.cross_modal, expected)

    def _sizes(self) -> dict[str, int]:
        text, audio, visual = self.text, self.audio, self.visual
        return {
            "bottleneck_size": self.bottleneck_size,
            "bottleneck_tokens": self.bottleneck_tokens,
            "attention_heads": self.attention_heads,
            "feed_forward_ratio": self.feed_forward_ratio,
            "text.vocab_size": text.vocab_size,
            "text.hidden_size": text.hidden_size,
            "text.num_hidden_layers": text.num_hidden_layers,
            "text.num_attention_heads": text.num_attention_heads,
            "text.intermediate_size": text.intermediate_size,
            "text.max_position_embeddings": text.max_position_embeddings,
            "text.type_vocab_size": text.type_vocab_size,
            "audio.channels": min(audio.channels),
            "audio.hidden_size": audio.hidden_size,
            "audio.embedding_size": audio.embedding_size,
            "visual.channels": min(visual.channels),
            "visual.blocks": min(visual.blocks),
            "visual.pool": visual.pool,
        }


def _require(fine: bool, name: str, value: object, expected: str) -> None:
    if not fine:
        raise MerEdgeError(f"model configuration: {name} is {value!r}; expected {expected}")


IEMOCAP_LABELS = ("ang", "exc", "fru", "hap", "neu", "sad")
MOSEI_LABELS = ("anger", "disgust", "fear", "happy", "sad", "surprise")

PAPER = ModelConfig(
    preset="paper",
    labels=IEMOCAP_LABELS,
    text=TextSizes(30522, 768, 12, 12, 3072),
    audio=AudioSizes((64, 128, 256, 512), 4096, 128),
    visual=VisualSizes((64, 128, 256, 512)),
)
"""BERT-base, VGGish, ResNet18: 195 million parameters."""
EDGE = replace(
    PAPER,
    preset="edge",
    text=TextSizes(30522, 384, 6, 12, 1536),
    audio=AudioSizes((32, 64, 128, 256), 256, 128),
    visual=VisualSizes((32, 64, 128, 256)),
)
"""A MiniLM-class text encoder (L6, 384-d), a half-width VGGish and ResNet18: under 30 million."""
SMALL = replace(
    EDGE,
    preset="small",
    audio=AudioSizes((16, 32, 64, 128), 128, 128),
    visual=VisualSizes((16, 32, 64, 128)),
)
"""As edge with a quarter-width VGGish and ResNet18: for processors without an accelerator."""
TINY = replace(
    PAPER,
    preset="tiny",
    text=TextSizes(512, 32, 1, 4, 64, max_position_embeddings=128),
    audio=AudioSizes((4, 8, 12, 16), 24, 24),
    visual=VisualSizes((8, 12, 16, 24), (1, 1, 1, 1)),
    bottleneck_size=24,
    attention_heads=4,
    feed_forward_ratio=2,
)
"""For tests and the demo: under 100 thousand parameters, trains in a minute on two cores."""
PRESETS = {config.preset: config for config in (PAPER, EDGE, SMALL, TINY)}

_AUDIO_SEMS = {"audio_sem_positions": (2, 4)}
_VISUAL_SEMS = {"visual_sem_positions": (3, 5)}
_NO_SEMS: Mapping[str, Any] = {"audio_sem_positions": (), "visual_sem_positions": ()}
_ALL: Mapping[str, Any] = {**_NO_SEMS, "modalities": MODALITIES}

VARIANTS: dict[str, Mapping[str, Any]] = {
    "mer": {**_ALL, "cross_modal": "none"},
    "mer-sem": {**_ALL, **_AUDIO_SEMS, **_VISUAL_SEMS, "cross_modal": "none"},
    "mer-mbt": {**_ALL, "cross_modal": "mbt"},
    "mer-sem-mbt": {**_ALL, **_AUDIO_SEMS, **_VISUAL_SEMS, "cross_modal": "mbt"},
    "mer-sem-mbt-no-text": {
        **_AUDIO_SEMS,
        **_VISUAL_SEMS,
        "modalities": ("audio", "visual"),
        "cross_modal": "mbt",
    },
    "audio": {**_NO_SEMS, "modalities": ("audio",), "cross_modal": "none"},
    "audio-sem": {
        **_NO_SEMS,
        **_AUDIO_SEMS,
        "modalities": ("audio",),
        "cross_modal": "none",
    },
    "visual": {**_NO_SEMS, "modalities": ("visual",), "cross_modal": "none"},
    "visual-sem": {
        **_NO_SEMS,
        **_VISUAL_SEMS,
        "modalities": ("visual",),
        "cross_modal": "none",
    },
    "text": {**_NO_SEMS, "modalities": ("text",), "cross_modal": "none"},
}
"""The networks the paper measures, and text alone: by name the fields that make them."""


def with_variant(config: ModelConfig, name: str) -> ModelConfig:
    """``config`` as one of :data:`VARIANTS`: its modalities, SEM positions, cross-modal encoder.

    Raises:
        MerEdgeError: no such variant.
    """
    if name not in VARIANTS:
        raise MerEdgeError(f"no variant '{name}'; expected one of {', '.join(VARIANTS)}")
    return replace(config, **VARIANTS[name])


def variant_name(config: ModelConfig) -> str:
    """The paper's name of the network, for manifests and tables.

    MER, MER-SEM, MER-MBT, MER-SEM-MBT; MER-JointAtt and MER-Bi-CrossAtt for the other cross-modal
    encoders; SER and FER for audio and visual alone; what is left out is said behind it.
    """
    if config.modalities == ("text",):
        return "text"
    alone = {"audio": "SER", "visual": "FER"}.get("+".join(config.modalities))
    encoders = {"mbt": "-MBT", "joint": "-JointAtt", "bi_cross": "-Bi-CrossAtt", "none": ""}
    name = f"{alone or 'MER'}{'-SEM' if config.has_sem else ''}{encoders[config.cross_modal]}"
    if alone or config.modalities == MODALITIES:
        return name
    if "text" not in config.modalities:
        return f"{name} without text decision"
    return f"{name} of {' and '.join(config.modalities)}"
