"""Class-matched triples of real signals: a voice, a face and a sentence of the same emotion.

RAVDESS sound, a FER2013 face and a GoEmotions sentence; speakers, faces and sentences are disjoint
between the splits. The three are independent given the label, which makes fusion look better than
it is in life: no figure from this data is benchmark accuracy.

    python benchmarks/real_signals/data.py --source FOLDER --out DATA

FOLDER holds ``ravdess_audio/*.flac`` (16 kHz), ``fer2013/fer2013.zip`` and
``goemotions/{train,dev}.tsv``. Writes ``DATA/triples`` and ``DATA/faces`` with a manifest each, and
``DATA/voices``: every recording of RAVDESS under its own name, cut to what is spoken.
"""

from __future__ import annotations

import argparse
import csv
import json
import wave
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from mer_edge.segments import SAMPLE_RATE_HZ, SEGMENT_HOP_SAMPLES, SEGMENT_S

LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
RAVDESS = {1: "neutral", 3: "happy", 4: "sad", 5: "angry", 6: "fear", 7: "disgust", 8: "surprise"}
"""The third field of a file's name; 2, calm, has no counterpart in the other two sets."""
GOEMOTIONS = LABELS
"""In the order of its label numbers: anger disgust fear joy neutral sadness surprise."""
SPLIT_OF_ACTOR = {a: "train" if a <= 14 else "valid" if a <= 17 else "test" for a in range(1, 21)}
VALID_FACES = 60
"""Of each class of FER2013's training part that the validation split takes."""
SEGMENTS = 2
"""Of 0.96 s, around the middle of what is said: the recordings begin and end with silence."""
SEED = 20221


@dataclass(frozen=True)
class Voice:
    file: Path
    label: str
    actor: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    write_voices(args.out / "voices", args.source / "ravdess_audio")
    faces = read_faces(args.source / "fer2013" / "fer2013.zip")
    sentences = read_sentences(args.source / "goemotions")
    write_faces(args.out / "faces", faces)
    write_triples(args.out / "triples", voices(args.source / "ravdess_audio"), faces, sentences)


def voices(folder: Path) -> list[Voice]:
    found = []
    for file in sorted(folder.glob("*.flac")):
        fields = [int(part) for part in file.stem.split("-")]
        if fields[2] in RAVDESS:
            found.append(Voice(file, RAVDESS[fields[2]], fields[6]))
    return found


def read_faces(archive: Path) -> dict[tuple[str, str], list[tuple[str, bytes]]]:
    """Name and JPEG of the faces of each split and class, in a random order."""
    faces: dict[tuple[str, str], list[tuple[str, bytes]]] = defaultdict(list)
    with zipfile.ZipFile(archive) as source:
        for name in sorted(source.namelist()):
            if name.endswith(".jpg"):
                part, label, file = name.split("/")[-3:]
                split = "test" if part == "public_test" else "train"
                faces[split, label].append((Path(file).stem, source.read(name)))
    rng = np.random.default_rng(SEED)
    for label in LABELS:
        for split in ("train", "test"):
            rng.shuffle(faces[split, label])
        faces["valid", label] = faces["train", label][:VALID_FACES]
        faces["train", label] = faces["train", label][VALID_FACES:]
    return faces


def read_sentences(folder: Path) -> dict[tuple[str, str], list[str]]:
    """Sentences of one label each, by split and class; each once, in a random order."""
    sentences: dict[tuple[str, str], list[str]] = defaultdict(list)
    rng = np.random.default_rng(SEED)
    seen: set[str] = set()
    for part in ("dev", "train"):
        with (folder / f"{part}.tsv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        rng.shuffle(rows)
        for text, label, _ in rows:
            if "," not in label and text.strip() and text not in seen:
                seen.add(text)
                split = "test" if part == "dev" else ("valid", "train")[int(rng.random() < 0.9)]
                sentences[split, GOEMOTIONS[int(label)]].append(text)
    return sentences


def write_faces(folder: Path, faces: dict[tuple[str, str], list[tuple[str, bytes]]]) -> None:
    """A data set of faces alone."""
    lines = []
    for (split, label), members in sorted(faces.items()):
        for name, jpeg in members:
            path = folder / "faces" / split / label / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg)
            media = str(path.relative_to(folder))
            lines.append({"media": media, "text": None, "labels": [label], "split": split})
    write_manifest(folder, [{**line, "faces": "aligned"} for line in lines])


def write_voices(folder: Path, recordings: Path) -> None:
    """All 8 emotions, in the layout of ``--dataset ravdess``."""
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(recordings.glob("*.flac"))
    for file in files:
        write_wav(folder / f"{file.stem}.wav", spoken(read_sound(file)))
    print(f"{folder}: {len(files)} clips")


def write_triples(
    folder: Path,
    recordings: list[Voice],
    faces: dict[tuple[str, str], list[tuple[str, bytes]]],
    sentences: dict[tuple[str, str], list[str]],
) -> None:
    """A folder per triple: the sound, and one face that is seen in the first segment."""
    next_face = {key: iter(members) for key, members in faces.items()}
    next_text = {key: iter(members) for key, members in sentences.items()}
    lines = []
    for voice in recordings:
        split = SPLIT_OF_ACTOR[voice.actor]
        name, jpeg = next(next_face[split, voice.label])
        clip = folder / "clips" / voice.file.stem
        clip.mkdir(parents=True, exist_ok=True)
        (clip / f"{name}.jpg").write_bytes(jpeg)
        write_wav(clip / "sound.wav", spoken(read_sound(voice.file)))
        lines.append(
            {
                "media": str(clip.relative_to(folder)),
                "text": next(next_text[split, voice.label]),
                "labels": [voice.label],
                "split": split,
                "group": f"actor-{voice.actor:02d}",
                "frame_rate": 1 / SEGMENT_S,
                "faces": "aligned",
            }
        )
    write_manifest(folder, lines)


def read_sound(file: Path) -> NDArray[np.float32]:
    with av.open(str(file)) as container:
        resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE_HZ)
        parts = [p.to_ndarray()[0] for p in _resampled(container, resampler)]
    return np.concatenate(parts)


def _resampled(
    container: av.container.InputContainer, resampler: av.AudioResampler
) -> Iterator[av.AudioFrame]:
    for frame in container.decode(audio=0):
        yield from resampler.resample(frame)


def spoken(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """``SEGMENTS`` segments with the most energy, padded with silence at the end."""
    length = SEGMENTS * SEGMENT_HOP_SAMPLES
    padded = np.pad(sound, (0, max(0, length - len(sound))))
    energy = np.concatenate([[0.0], np.cumsum(padded.astype(np.float64) ** 2)])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return padded[start : start + length]


def write_wav(path: Path, sound: NDArray[np.float32]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


def write_manifest(folder: Path, lines: list[dict[str, object]]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
    print(f"{folder}: {len(lines)} clips")


if __name__ == "__main__":
    main()
