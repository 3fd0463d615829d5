"""Sizes of the network, and the presets. Plain values: no torch, no configuration framework."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

SemAttention = Literal["spatial", "key", "tokens"]


@dataclass(frozen=True)
class TextSizes:
    """A BERT encoder; the field names are those of Hugging Face's ``BertConfig``."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512


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
    """One MER-SEM-MBT network (Xia, Zhao and Jiang 2022)."""

    labels: tuple[str, ...]
    text: TextSizes
    audio: AudioSizes
    visual: VisualSizes
    audio_sem_positions: tuple[int, ...] = (2, 4)
    """After which convolution groups of VGGish (1 to 4) a SEM stands."""
    visual_sem_positions: tuple[int, ...] = (3, 5)
    """After which stages of the ResNet (1 = stem, 2 to 5 = conv2_x to conv5_x) a SEM stands."""
    sem_attention: SemAttention = "spatial"
    bottleneck_size: int = 64
    """d_m of the bottleneck transformer."""
    bottleneck_tokens: int = 4
    attention_heads: int = 8
    feed_forward_ratio: int = 4
    dropout: float = 0.1
    preset: str = "custom"
    """The preset this came from, for the record."""


IEMOCAP_LABELS = ("ang", "exc", "fru", "hap", "neu", "sad")
MOSEI_LABELS = ("anger", "disgust", "fear", "happy", "sad", "surprise")

PAPER = ModelConfig(
    preset="paper",
    labels=IEMOCAP_LABELS,
    text=TextSizes(30522, 768, 12, 12, 3072),
    audio=AudioSizes((64, 128, 256, 512), 4096, 128),
    visual=VisualSizes((64, 128, 256, 512)),
)
EDGE = replace(
    PAPER,
    preset="edge",
    text=TextSizes(30522, 384, 6, 12, 1536),
    audio=AudioSizes((32, 64, 128, 256), 256, 128),
    visual=VisualSizes((32, 64, 128, 256)),
)
TINY = replace(
    PAPER,
    preset="tiny",
    text=TextSizes(512, 48, 1, 4, 96, max_position_embeddings=128),
    audio=AudioSizes((4, 8, 12, 16), 32, 32),
    visual=VisualSizes((4, 8, 12, 16), (1, 1, 1, 1)),
    bottleneck_size=32,
    attention_heads=4,
    feed_forward_ratio=2,
)
PRESETS = {config.preset: config for config in (PAPER, EDGE, TINY)}
