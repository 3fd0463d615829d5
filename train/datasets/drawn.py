"""The generated data set: drawn people who speak in a generated voice, in four emotions.

Nobody real is seen or heard in it, and a model that learned from it recognises nothing real: it
shows that the whole path works. Each modality alone is imperfect: with a chance of
``VAGUE_CHANCE`` it hardly shows the clip's emotion, so that looking at all of them pays. People
and sentences of one split never appear in another.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.files import new_directory
from mer_edge.samples.manifest import MANIFEST_NAME
from train.datasets.appearance import random_appearance
from train.datasets.encode import write_mp4
from train.datasets.expression import expression_of
from train.datasets.prosody import prosody_of, random_speaker
from train.datasets.scene import FRAME_RATE_HZ, draw_frames
from train.datasets.sentences import EMOTIONS, ambiguous_sentences, sentences_of, split_pools
from train.datasets.voice import FRAME_RATE_HZ as VOICE_FRAME_RATE_HZ
from train.datasets.voice import speak

SHARES = {"train": 2 / 3, "valid": 1 / 6, "test": 1 / 6}
"""Of the people, and of the sentences."""
CLIPS_PER_PERSON = len(EMOTIONS)
FEWEST_CLIPS = CLIPS_PER_PERSON * len(SHARES)
"""One person a split, each in every emotion."""
VAGUE_CHANCE = {"audio": 0.15, "visual": 0.15, "text": 0.25}
CLEAR_STRENGTH = (0.45, 1.0)
VAGUE_STRENGTH = (0.0, 0.2)
_PERSON_STREAM, _CLIP_STREAM, _SENTENCE_STREAM = range(3)
"""Independent random numbers from one seed: adding clips leaves the earlier people as they are."""

Progress = Callable[[int, int], None]
"""Called with the clips done and the clips in all."""


@dataclass(frozen=True)
class Shown:
    """How one modality of a clip shows an emotion."""

    emotion: str
    strength: float
    """0 (nothing of it) to 1."""


@dataclass(frozen=True)
class ClipPlan:
    """What a clip is about; with the seed it decides every pixel and sample."""

    index: int
    emotion: str
    split: str
    person: int
    text: str
    shown: dict[str, Shown]
    """By modality: audio, visual, text."""

    @property
    def media(self) -> str:
        return f"clips/{self.index:04d}.mp4"

    def line(self) -> dict[str, object]:
        """Its object in the manifest; person and shown are beyond what training needs."""
        return {
            "media": self.media,
            "text": self.text,
            "labels": [self.emotion],
            "split": self.split,
            "person": self.person,
            "shown": {modality: asdict(shown) for modality, shown in self.shown.items()},
        }


@dataclass(frozen=True, eq=False)
class DrawnClip:
    """A clip before it is encoded."""

    frames: Iterator[NDArray[np.uint8]]
    """RGB, shape = (240, 320, 3) each, 15 a second, drawn when asked for."""
    waveform: NDArray[np.float32]
    """shape = (samples,), 16 kHz mono in [-1, 1]."""


def generate(
    out: Path,
    clips: int,
    seed: int,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
    workers: int | None = None,
) -> None:
    """Write ``out/manifest.jsonl`` and ``out/clips/*.mp4``; the same seed gives the same clips.

    Labels and splits are balanced where ``clips`` is a multiple of 4; two thirds of the people
    are for training. ``workers`` is the number of threads, by default one a processor.

    Raises:
        MerEdgeError: fewer than 12 clips, a negative seed, ``out`` exists, or the disk is full.
    """
    plans = plan_clips(clips, seed)
    # A process takes about as long to start as a few clips to draw.
    workers = workers or min(_processors(), math.ceil(clips / 8))
    with new_directory(out, "drawing the data set", overwrite=overwrite) as directory:
        (directory / "clips").mkdir()
        _write_clips(plans, seed, directory, workers, progress)
        lines = [json.dumps(plan.line(), ensure_ascii=False) for plan in plans]
        (directory / MANIFEST_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")


def plan_clips(clips: int, seed: int) -> list[ClipPlan]:
    """Who says what in which mood, and in which split.

    Raises:
        MerEdgeError: too few clips for one person a split, or a negative seed.
    """
    if seed < 0:
        raise MerEdgeError(f"seed {seed}; expected 0 or more")
    if clips < FEWEST_CLIPS:
        raise MerEdgeError(
            f"{clips} clips asked for; expected at least {FEWEST_CLIPS}: one person a split, "
            "each in every emotion"
        )
    rng = np.random.default_rng([seed, _SENTENCE_STREAM])
    clear = {emotion: split_pools(sentences_of(emotion), SHARES, rng) for emotion in EMOTIONS}
    vague = split_pools(ambiguous_sentences(), SHARES, rng)
    splits = _splits_of_people(math.ceil(clips / CLIPS_PER_PERSON))
    plans = []
    for index in range(clips):
        person, position = divmod(index, CLIPS_PER_PERSON)
        emotion, split = EMOTIONS[position], splits[person]
        shown = {modality: _shown(emotion, modality, rng) for modality in ("audio", "visual")}
        ambiguous = rng.random() < VAGUE_CHANCE["text"]
        shown["text"] = Shown(emotion, 0.0 if ambiguous else 1.0)
        text = (vague if ambiguous else clear[emotion])[split].draw()
        plans.append(ClipPlan(index, emotion, split, person, text, shown))
    return plans


def draw_clip(plan: ClipPlan, seed: int) -> DrawnClip:
    """The pixels and samples of a planned clip."""
    person = np.random.default_rng([seed, _PERSON_STREAM, plan.person])
    look, speaker = random_appearance(person), random_speaker(person)
    rng = np.random.default_rng([seed, _CLIP_STREAM, plan.index])
    audio, visual = plan.shown["audio"], plan.shown["visual"]
    prosody = prosody_of(audio.emotion, audio.strength, rng)
    speech = speak(plan.text, speaker, prosody, rng)
    expression = expression_of(visual.emotion, visual.strength, rng)
    frame_s = np.arange(round(speech.duration_s * FRAME_RATE_HZ)) / FRAME_RATE_HZ
    spoken_s = np.arange(len(speech.loudness)) / VOICE_FRAME_RATE_HZ
    loudness = np.interp(frame_s, spoken_s, speech.loudness)
    return DrawnClip(draw_frames(look, expression, loudness, rng), speech.waveform)


def _shown(emotion: str, modality: str, rng: np.random.Generator) -> Shown:
    """Mostly the clip's emotion; sometimes next to nothing, of any emotion."""
    if rng.random() < VAGUE_CHANCE[modality]:
        return Shown(EMOTIONS[rng.integers(len(EMOTIONS))], float(rng.uniform(*VAGUE_STRENGTH)))
    return Shown(emotion, float(rng.uniform(*CLEAR_STRENGTH)))


def _splits_of_people(people: int) -> list[str]:
    counts = {split: max(1, round(people * SHARES[split])) for split in ("valid", "test")}
    counts = {"train": people - sum(counts.values()), **counts}
    return [split for split, count in counts.items() for _ in range(count)]


def _write_clips(
    plans: list[ClipPlan], seed: int, directory: Path, workers: int, progress: Progress | None
) -> None:
    for done, _ in enumerate(_written(plans, seed, directory, workers), start=1):
        if progress is not None:
            progress(done, len(plans))


def _written(plans: list[ClipPlan], seed: int, directory: Path, workers: int) -> Iterator[None]:
    """Yields once a clip that is written, in any order."""
    write = partial(_write_clip, seed=seed, directory=directory)
    if workers == 1:
        yield from map(write, plans)
        return
    # Fresh processes, not forked ones: the caller may have loaded libraries that run threads.
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    )
    try:
        for future in as_completed([pool.submit(write, plan) for plan in plans]):
            yield future.result()
    except BrokenProcessPool as error:
        raise MerEdgeError(
            "a process that drew clips was ended from outside, probably for want of memory; "
            "free some and run it again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _write_clip(plan: ClipPlan, seed: int, directory: Path) -> None:
    clip = draw_clip(plan, seed)
    write_mp4(directory / plan.media, clip.frames, FRAME_RATE_HZ, clip.waveform)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
