"""Clips of a voice, a face and a sentence of one emotion, as files and as the network gets them.

The three are independent of each other given the emotion, which makes their fusion look better
than it is in life: nothing measured on them is a figure of real videos.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.clip import Clip
from mer_edge.files import new_directory
from mer_edge.media.segmenting import segment_waveform
from mer_edge.segments import FACE_SIZE_PX, SAMPLE_RATE_HZ, SEGMENT_S, segment_count
from train.progress import Progress
from train.recipes.corpora import LABELS, Recording, Split, of_split, speech_recordings
from train.recipes.face_framing import framed
from train.recipes.faces import FacesSettings
from train.recipes.ferplus import LabelledFaces, held_out, read_ferplus
from train.recipes.sentences import Sentences, goemotions_test, goemotions_train
from train.recipes.speech_sounds import read_sound, trimmed

SEED = 11


@dataclass(frozen=True, eq=False)
class Triple:
    """What one clip is put together of."""

    voice: Recording
    picture: NDArray[np.uint8]
    """shape = (48, 48), grey"""
    text: str
    label: str

    def sound(self) -> NDArray[np.float32]:
        """The speech without the silence around it, (samples,)."""
        return trimmed(read_sound(self.voice.path))

    def clip(self) -> Clip:
        """As the network gets it: the same face in every segment."""
        sound = self.sound()
        segments = segment_count(len(sound) / SAMPLE_RATE_HZ)
        face = framed(self.picture, FACE_SIZE_PX, "border")
        there = np.ones(segments, np.bool_)
        return Clip(
            text=self.text,
            waveform=segment_waveform(sound, segments),
            faces=np.repeat(face[None], segments, axis=0),
            audio_present=there,
            face_present=there,
            source=self.voice.path.stem,
            end_s=segments * SEGMENT_S,
        )


def triples(data: Path, split: Split, faces: FacesSettings, count: int) -> list[Triple]:
    """``count`` triples of what trains or of what tests; voices repeat where there are fewer.

    Raises:
        MerEdgeError: a corpus is missing.
    """
    rng = np.random.default_rng(SEED)
    voices = [r for r in of_split(speech_recordings(data), split) if r.corpus != "emodb"]
    pictures, sentences = _pictures(data, split, faces), _sentences(data, split)
    texts = sentences.labels.argmax(1)
    order = np.concatenate([rng.permutation(len(voices)) for _ in range(-(-count // len(voices)))])
    found = []
    for row in order[:count]:
        voice = voices[row]
        label = LABELS.index(voice.label)
        face = rng.choice(np.flatnonzero(pictures.classes == label))
        text = rng.choice(np.flatnonzero(texts == label))
        found.append(Triple(voice, pictures.pictures[face], sentences.texts[text], voice.label))
    return found


def _pictures(data: Path, split: Split, settings: FacesSettings) -> LabelledFaces:
    if split == "test":
        return read_ferplus(data, "valid")
    everything = read_ferplus(data, "train")
    training, kept = held_out(len(everything), settings.held_out_share, settings.seed)
    return everything.chosen(training if split == "train" else kept)


def _sentences(data: Path, split: Split) -> Sentences:
    if split == "test":
        found = goemotions_test(data)
    else:
        found = goemotions_train(data)[0 if split == "train" else 1]
    return found.chosen(found.single)


def write_clips(
    data: Path, out: Path, calibrate: int, faces: FacesSettings, progress: Progress
) -> None:
    """A data set with a manifest: ``calibrate`` clips to calibrate INT8 with, half as many to
    compare on; all of the parts that train.

    Raises:
        MerEdgeError: a corpus is missing.
    """
    count = calibrate + calibrate // 2
    made = triples(data, "train", faces, count)
    with new_directory(out, "writing clips") as folder:
        lines = list(_written(folder, made, calibrate))
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
    progress.note(f"{out}: {count} clips")


def _written(folder: Path, made: list[Triple], calibrate: int) -> Iterator[dict[str, object]]:
    for number, triple in enumerate(made):
        place = folder / f"{number:04d}"
        place.mkdir()
        clip = triple.clip()
        _write_wav(place / "sound.wav", triple.sound())
        for segment, face in enumerate(clip.faces):
            cv2.imwrite(str(place / f"{segment:03d}.png"), face[..., ::-1])
        yield {
            "media": place.name,
            "text": triple.text,
            "labels": [triple.label],
            "split": "train" if number < calibrate else "valid",
            "frame_rate": 1 / SEGMENT_S,
            "faces": "aligned",
        }


def _write_wav(path: Path, sound: NDArray[np.float32]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
