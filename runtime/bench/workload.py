"""What is run: a clip made up for the purpose, or a user's file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_edge.bundle import Bundle
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.segments import FACE_SIZE_PX, SEGMENT_S, SEGMENT_SAMPLES
from mer_edge.text.tokenizer import TextTokenizer

WORDS = ("the", "a", "good", "day", "and", "i", "you", ".")
"""Candidates for a word that is one token; each of them is one in BERT's English vocabulary."""
SEED = 0


@dataclass(frozen=True)
class Workload:
    """What every run is given."""

    source: str
    """The file, or ``synthetic``."""
    segments: int
    """Of the clip that the stages, the batches and the peer are measured on."""
    tokens: int
    """With [CLS] and [SEP]; 0 where the clip has no text or the bundle reads none."""
    audio_s: float
    """What real time is counted against: the clips' length, of a file with several their sum."""
    clips: int = 1
    """Utterances of the file."""


def synthetic_clip(bundle: Bundle, segments: int, tokens: int) -> Clip:
    """Noise, everything present: what a run costs does not depend on the values.

    Args:
        tokens: of the text, [CLS] and [SEP] counted; passed over where the bundle reads no text.

    Raises:
        MerEdgeError: more than the bundle takes, or no text has that many tokens.
    """
    _check_ranges(bundle, segments, tokens)
    rng = np.random.default_rng(SEED)
    present = np.ones(segments, np.bool_)
    faces = rng.integers(0, 256, (segments, FACE_SIZE_PX, FACE_SIZE_PX, 3), np.uint8)
    return Clip(
        text=text_of_tokens(bundle, tokens) if "text" in bundle.manifest.graphs else None,
        waveform=rng.uniform(-0.5, 0.5, (segments, SEGMENT_SAMPLES)).astype(np.float32),
        faces=faces,
        audio_present=present,
        face_present=present,
        source="synthetic",
        end_s=segments * SEGMENT_S,
    )


def text_of_tokens(bundle: Bundle, tokens: int) -> str:
    """Words that the bundle's tokenizer makes ``tokens`` of, [CLS] and [SEP] counted."""
    tokenizer = TextTokenizer(bundle.tokenizer_path, bundle.manifest.max_tokens)
    for word in WORDS:
        text = " ".join([word] * (tokens - 2))
        if tokenizer.encode(text).input_ids.shape[1] == tokens:
            return text
    raise MerEdgeError(
        f"--tokens {tokens}: no text of that many tokens was found with this bundle's tokenizer; "
        "give a real clip with --clip"
    )


def tokens_of(bundle: Bundle, clip: Clip) -> int:
    """Tokens that the text encoder reads of the clip; 0 without a text or a text encoder."""
    if clip.text is None or "text" not in bundle.manifest.graphs:
        return 0
    tokenizer = TextTokenizer(bundle.tokenizer_path, bundle.manifest.max_tokens)
    return int(tokenizer.encode(clip.text).input_ids.shape[1])


def file_clips(bundle: Bundle, file: Path) -> list[Clip]:
    """The file's clips as ``mer-edge infer`` makes them.

    Raises:
        MerEdgeError: the file cannot be read, or has nothing that the bundle decides by.
    """
    from mer_edge.clips import ClipOptions, for_bundle, load_clips

    clips = list(load_clips(file, for_bundle(ClipOptions(), bundle.manifest)))
    if not clips:
        raise MerEdgeError(f"{file}: no clip in it; name another --clip")
    return clips


def file_workload(bundle: Bundle, clips: list[Clip], file: Path) -> Workload:
    """What of a file is measured: its longest clip stands for the stages and the peer."""
    clip = longest(clips)
    audio_s = math.fsum(clip.end_s - clip.start_s for clip in clips)
    return Workload(str(file), clip.segments, tokens_of(bundle, clip), audio_s, len(clips))


def longest(clips: list[Clip]) -> Clip:
    """The clip of most segments, the first of them."""
    return max(clips, key=lambda clip: clip.segments)


def _check_ranges(bundle: Bundle, segments: int, tokens: int) -> None:
    ranges = bundle.manifest.shape_ranges
    least_tokens = max(3, ranges["tokens"].minimum) if "tokens" in ranges else 0
    most_tokens = bundle.manifest.max_tokens if "tokens" in ranges else 0
    clip_segments = ranges.get("clip_segments", ranges.get("segments"))
    most_segments = clip_segments.maximum if clip_segments else 256
    if not 1 <= segments <= most_segments:
        raise MerEdgeError(f"--segments {segments}: this bundle takes 1 to {most_segments}")
    if "tokens" in ranges and not least_tokens <= tokens <= most_tokens:
        raise MerEdgeError(f"--tokens {tokens}: this bundle takes {least_tokens} to {most_tokens}")
