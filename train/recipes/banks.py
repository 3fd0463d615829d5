"""What the assembled network says of single voices, faces and sentences that were held out.

The network itself is asked, with everything else hidden: what is measured is what is exported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from mer_edge.model.mer import MerModel
from mer_edge.model.sem import TextGuide
from mer_edge.segments import FACE_SIZE_PX
from train.progress import Progress
from train.recipes import text_scores
from train.recipes.corpora import LABELS, Recording, of_split, speech_recordings
from train.recipes.face_framing import framed
from train.recipes.face_scores import logits_of
from train.recipes.ferplus import held_out, read_ferplus
from train.recipes.fusion import Bank
from train.recipes.sentences import goemotions_test, goemotions_train
from train.recipes.speech_sounds import clip_segments, read_sound, voiced

NO_TEXT = TextGuide(None)


def banks_of(
    model: MerModel,
    tokenizer_json: str,
    data: Path,
    split: Literal["calibration", "test"],
    held_out_share: float,
    seed: int,
    progress: Progress,
) -> dict[str, Bank]:
    """The banks of the people, faces and sentences that calibrate, or of those that test.

    Args:
        held_out_share: of FER+'s training part, which calibrates; as the face encoder's settings.
        seed: of that share.

    Raises:
        MerEdgeError: a corpus is missing.
    """
    voices = [r for r in of_split(speech_recordings(data), split) if r.corpus != "emodb"]
    audio = np.stack([voice_logits(model, read_sound(voice.path)) for voice in voices])
    progress.note(f"{split}: {len(voices)} voices")
    if split == "test":
        faces, sentences = read_ferplus(data, "valid"), goemotions_test(data)
    else:
        everything = read_ferplus(data, "train")
        _, kept = held_out(len(everything), held_out_share, seed)
        faces, (_, sentences) = everything.chosen(kept), goemotions_train(data)
    sentences = sentences.chosen(sentences.single)
    pictures = (framed(picture, FACE_SIZE_PX, "border") for picture in faces.pictures)
    visual = face_logits(model, pictures)
    progress.note(f"{split}: {len(faces)} faces, {len(sentences)} sentences")
    return {
        "audio": Bank(audio, classes_of(voices)),
        "visual": Bank(visual, faces.classes),
        "text": Bank(
            sentence_logits(model, tokenizer_json, sentences.texts), sentences.labels.argmax(1)
        ),
    }


def classes_of(voices: Sequence[Recording]) -> NDArray[np.int64]:
    return np.array([LABELS.index(voice.label) for voice in voices])


@torch.inference_mode()
def voice_logits(model: MerModel, sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of one clip (samples,), by its voiced segments: (7,)."""
    segments = clip_segments(sound)
    segments = segments[voiced(segments)]
    features = model.encode_audio(torch.from_numpy(segments), NO_TEXT)
    return _decision(model, "audio", features.unsqueeze(0))[0].double().numpy()


def face_logits(model: MerModel, faces: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Of faces (224, 224, 3), each on its own: (N, 7)."""

    def decide(batch: Tensor) -> Tensor:
        return _decision(model, "visual", model.encode_visual(batch, NO_TEXT).unsqueeze(1))

    return logits_of(decide, faces)


@torch.inference_mode()
def clip_face_logits(model: MerModel, faces: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Of the faces of one clip together: (7,)."""
    features = model.encode_visual(torch.from_numpy(np.stack(faces)), NO_TEXT)
    return _decision(model, "visual", features.unsqueeze(0))[0].double().numpy()


def sentence_logits(
    model: MerModel, tokenizer_json: str, texts: Sequence[str]
) -> NDArray[np.float64]:
    """(texts, 7)"""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.enable_truncation(model.config.text.max_position_embeddings)

    def decide(ids: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = model.fusion.text_decision(model.encode_text(ids, mask).vector)
        return logits

    return text_scores.sentence_logits(decide, tokenizer, texts)


def _decision(model: MerModel, modality: str, features: Tensor) -> Tensor:
    """Features (B, N, d) of whole clips -> the modality's own logits (B, 7)."""
    projection = getattr(model.fusion.get_submodule("projection"), modality)
    logits: Tensor = getattr(model.fusion, f"{modality}_decision")(projection(features).mean(1))
    return logits
