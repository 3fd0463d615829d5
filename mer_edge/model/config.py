"""Sizes of the network, and the presets. Plain values: no torch, no configuration framework."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from mer_edge.errors import MerEdgeError

SemAttention = Literal["spatial", "key", "tokens"]

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


@dataclass(frozen=True)
class VisualSizes:
    """A ResNet of basic blocks; ResNet18 is (64, 128, 256, 512) with two blocks a group."""

    channels: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)

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
    bottleneck_size: int = 64
    """d_m of the bottleneck transformer."""
    bottleneck_tokens: int = 4
    attention_heads: int = 8
    feed_forward_ratio: int = 4
    dropout: float = 0.1
    """Of BERT, the bottleneck transformer and the decisions alike; only while training."""
    preset: str = "custom"
    """The preset this came from, for the record."""

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
        forms = get_args(SemAttention)
        _require(
            self.sem_attention in forms, "sem_attention", self.sem_attention, f"one of {forms}"
        )
        _require(0.0 <= self.dropout < 1.0, "dropout", self.dropout, "a number in [0, 1)")
        for name, size in self._sizes().items():
            _require(size > 0, name, size, "a positive number")
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
PRESETS = {config.preset: config for config in (PAPER, EDGE, TINY)}
