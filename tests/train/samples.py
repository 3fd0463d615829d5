"""Small prepared clips and models for the training tests."""

from pathlib import Path

import numpy as np

from mer_edge.clip import Clip, PreparedClip
from mer_edge.media.segmenting import segment_waveform
from mer_edge.model.config import AudioSizes, ModelConfig, TextSizes, VisualSizes
from train.collate import LabelledClip
from train.prepared import ClipRef, write_shard
from train.stored_clip import encode_clip

LABELS = ("angry", "happy")
CONFIG = ModelConfig(
    labels=LABELS,
    text=TextSizes(40, 16, 1, 2, 32, max_position_embeddings=32),
    audio=AudioSizes((4, 4, 8, 8), 16, 16),
    visual=VisualSizes((4, 4, 8, 8), (1, 1, 1, 1)),
    bottleneck_size=16,
    attention_heads=2,
    feed_forward_ratio=2,
    dropout=0.0,
)


def prepared_clip(
    rng: np.random.Generator,
    segments: int = 2,
    crops: int = 3,
    crops_present: np.ndarray | None = None,
    audio_present: np.ndarray | None = None,
) -> PreparedClip:
    """Coloured squares and noise where something is present, zeros elsewhere."""
    shape = (segments, crops)
    crops_present = np.ones(shape, bool) if crops_present is None else crops_present
    audio_present = np.ones(segments, bool) if audio_present is None else audio_present
    squares = rng.integers(1, 256, (*shape, 7, 7, 3), np.uint8)
    pictures = squares.repeat(32, axis=2).repeat(32, axis=3)
    pictures[~crops_present] = 0
    noise = rng.uniform(-0.5, 0.5, (segments, 15600)).astype(np.float32)
    signal = np.concatenate([noise[:, :15360].ravel(), noise[-1, 15360:]])
    for segment in np.flatnonzero(~audio_present):
        signal[segment * 15360 : segment * 15360 + 15600] = 0
    waveform = segment_waveform(signal, segments)
    clip = Clip(
        text=None,
        waveform=waveform,
        faces=pictures[:, crops // 2].copy(),
        audio_present=audio_present,
        face_present=crops_present[:, crops // 2].copy(),
        source="noise",
        end_s=segments * 0.96,
    )
    return PreparedClip(clip, pictures, crops_present)


def labelled_clip(
    folder: Path, number: int, prepared: PreparedClip, input_ids: np.ndarray
) -> LabelledClip:
    """A stored clip, happy if its number is odd."""
    file = folder / f"{number}.parquet"
    if not file.exists():
        write_shard(file, [(str(number), encode_clip(prepared))])
    return LabelledClip(ClipRef(file, 0), input_ids, np.array([number % 2 == 0, number % 2 == 1]))


def labelled_clips(folder: Path, count: int, seed: int = 0) -> list[LabelledClip]:
    """``count`` noise clips of 1 to 3 segments, every other one happy."""
    rng = np.random.default_rng(seed)
    return [
        labelled_clip(
            folder, i, prepared_clip(rng, segments=1 + i % 3), rng.integers(5, 40, 3 + i % 4)
        )
        for i in range(count)
    ]
