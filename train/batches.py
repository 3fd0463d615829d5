"""From prepared clips to the steps of an epoch: draw frames, pad, mask, hide, all ahead of time.

What is random depends on the seed, the epoch and the clip alone: neither on how many processes
share a step or threads read ahead, nor on where an interrupted run went on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_edge.segments import MODALITIES
from train.augment import augment_faces, augment_sound
from train.collate import Example, LabelledBatch, LabelledClip, collate
from train.prepared import read_clip


@dataclass(frozen=True)
class Drawing:
    """What is random about the clips of an epoch."""

    seed: int
    epoch: int
    augment: bool = False
    modality_dropout: float = 0.0
    """Chance, per clip and modality, of being hidden; one with a decision is always kept."""
    modalities: tuple[str, ...] = MODALITIES
    """Those that have a decision."""

    def order(self, clips: int) -> NDArray[np.int64]:
        """The epoch's order of the clips."""
        return np.random.default_rng((self.seed, self.epoch)).permutation(clips)

    def generator(self, clip: int) -> np.random.Generator:
        """What the clip's frames, changes and hidden modalities are drawn with."""
        return np.random.default_rng((self.seed, self.epoch, clip))


@dataclass(frozen=True)
class Share:
    """Which part of every step is this process's, and in how many parts it computes it."""

    process: int = 0
    processes: int = 1
    parts: int = 1

    def of(self, step: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], bool]]:
        """The clips of each part, and whether they count.

        Every process gets the same number of parts, so that none waits for another for ever;
        where there is no clip left for it, the step's first one stands in and does not count.
        """
        stride = self.processes * min(self.parts, -(-len(step) // self.processes))
        chosen = [step[i::stride] for i in range(self.process, stride, self.processes)]
        return [(part, True) if len(part) else (step[:1], False) for part in chosen]


@dataclass(frozen=True, eq=False)
class Step:
    """What one process computes of one optimiser step."""

    parts: list[LabelledBatch]
    indices: list[NDArray[np.int64]]
    """Which clips are in each part."""
    clips: int
    """Of the whole step, over all processes."""


class Loader:
    """Makes the steps of an epoch in threads, ahead of the model.

    Args:
        batch_size: clips of a step, over all processes and parts.
        threads: that read ahead; each makes one part at a time.
        pin: whether the batches lie where a GPU can fetch them by itself.
    """

    def __init__(
        self,
        clips: Sequence[LabelledClip],
        batch_size: int,
        share: Share = Share(),
        threads: int = 1,
        pin: bool = False,
    ) -> None:
        self.clips, self.batch_size, self.share = clips, batch_size, share
        self.threads, self.pin = threads, pin
        self.waited_s = 0.0
        """How long the model has waited for its batches."""

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return -(-len(self.clips) // self.batch_size)

    def training(self, drawing: Drawing, start: int = 0) -> Iterator[Step]:
        """The epoch's steps from number ``start`` on, in a random order."""
        yield from self._steps(drawing.order(len(self.clips)), drawing, start)

    def in_order(self) -> Iterator[Step]:
        """The clips in their order with the middle frame of each segment, as at inference."""
        yield from self._steps(np.arange(len(self.clips)), None, 0)

    def _steps(
        self, order: NDArray[np.int64], drawing: Drawing | None, start: int
    ) -> Iterator[Step]:
        chunks = [
            order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(start, self.steps)
        ]
        jobs = ((i, part) for i, chunk in enumerate(chunks) for part in self.share.of(chunk))
        pending: deque[tuple[int, Future[LabelledBatch]]] = deque()
        pool = ThreadPoolExecutor(self.threads)
        try:
            for number, chunk in enumerate(chunks):
                for _ in range(2 * self.threads + self.share.parts - len(pending)):
                    job = next(jobs, None)
                    if job is not None:
                        pending.append((job[0], pool.submit(self._load, *job[1], drawing)))
                parts = []
                while pending and pending[0][0] == number:
                    parts.append(self._wait(pending.popleft()[1]))
                indices = [part for part, _ in self.share.of(chunk)]
                yield Step(parts, indices, len(chunk))
        finally:
            pool.shutdown(cancel_futures=True)

    def _wait(self, batch: Future[LabelledBatch]) -> LabelledBatch:
        started = time.perf_counter()
        loaded = batch.result()
        self.waited_s += time.perf_counter() - started
        return loaded

    def _load(
        self, chosen: NDArray[np.int64], counts: bool, drawing: Drawing | None
    ) -> LabelledBatch:
        examples = [
            load_example(self.clips[i], drawing, None if drawing is None else drawing.generator(i))
            for i in chosen.tolist()
        ]
        batch = collate(examples, counts)
        return batch.pinned() if self.pin else batch


def load_example(
    clip: LabelledClip, drawing: Drawing | None, rng: np.random.Generator | None
) -> Example:
    """Read one clip; with ``drawing`` and ``rng`` as training sees it, else as inference does."""
    stored = read_clip(clip.stored)
    frames = draw_frames(stored.crops_present, rng)
    example = Example(
        input_ids=clip.input_ids,
        waveform=stored.waveform,
        faces=stored.faces(frames),
        audio_present=stored.audio_present,
        face_present=stored.crops_present[np.arange(stored.segments), frames],
        targets=clip.targets,
        teacher_ids=clip.teacher_ids,
    )
    if drawing is None or rng is None:
        return example
    hidden = hidden_modalities(example, drawing.modality_dropout, rng, drawing.modalities)
    example = example.without(hidden)
    return augmented(example, rng) if drawing.augment else example


def draw_frames(
    crops_present: NDArray[np.bool_], rng: np.random.Generator | None
) -> NDArray[np.int64]:
    """Which of the K crops of each segment to use, from (S, K) flags; shape = (S,).

    With ``rng`` a random one of those with a face (paper, section 3.1), without it the middle
    one, face or not, as inference does.
    """
    segments, per_segment = crops_present.shape
    middle = np.full(segments, per_segment // 2, np.int64)
    if rng is None:
        return middle
    chances = rng.random(crops_present.shape)
    chances[~crops_present] = -1
    return np.where(crops_present.any(axis=1), chances.argmax(axis=1), middle)


def hidden_modalities(
    example: Example,
    probability: float,
    rng: np.random.Generator,
    deciding: tuple[str, ...] = MODALITIES,
) -> NDArray[np.bool_]:
    """Which of audio, visual and text to hide, each with ``probability``; shape = (3,).

    One of those in ``deciding`` that the clip has always stays, chosen at random where all would
    go: a clip without any decision has nothing to learn from.
    """
    present = np.array(
        [example.audio_present.any(), example.face_present.any(), len(example.input_ids) > 0]
    )
    chances = rng.random(3)
    hidden = present & (chances < probability)
    needed = present & np.array([name in deciding for name in MODALITIES])
    if needed.any() and hidden[needed].all():
        hidden[np.where(needed, chances, -1).argmax()] = False
    return hidden


def augmented(example: Example, rng: np.random.Generator) -> Example:
    """The example with its sound and faces changed; absent segments stay as they are."""
    waveform, faces = example.waveform, example.faces
    if example.audio_present.all():  # a shift would move what is absent
        waveform = augment_sound(waveform, rng)
    if example.face_present.any():
        faces = faces.copy()
        faces[example.face_present] = augment_faces(faces[example.face_present], rng)
    return example.with_signals(waveform, faces)
