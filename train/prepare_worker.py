"""One clip of a data set made, in one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import cv2

from mer_edge.clips import prepare_clips
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.faces.mtcnn import MtcnnDetector
from mer_edge.media.decode import decode_threads, set_decode_threads
from mer_edge.samples.clips import clip_options
from mer_edge.samples.sample import Sample
from train.store import ShardWriter
from train.stored_clip import StoredClip, encode_clip


@dataclass(frozen=True)
class Job:
    """A clip to make, and the key it is to be kept under."""

    key: str
    sample: Sample
    crops_per_segment: int
    evidence: Evidence | None = None
    """What sound and faces need to have a say; None: to be there."""


def keep_clip(job: Job, writer: ShardWriter) -> str | None:
    """Make a clip and give it to the writer; the reason where it cannot be made.

    Raises:
        MerEdgeError: the disk says no.
    """
    made = make_clip(job)
    if isinstance(made, str):
        return made
    writer.add(job.key, made)
    return None


def make_clip(job: Job) -> StoredClip | str:
    """The clip as it is stored, or why it cannot be made."""
    sample = job.sample
    options = clip_options(sample, job.evidence)
    assert sample.media is not None  # text alone is not prepared
    try:
        clips = prepare_clips(
            sample.media,
            options,
            crops_per_segment=job.crops_per_segment,
            detector=shared_detector(),
        )
        first = next(clips, None)
        another = next(clips, None)
    except MerEdgeError as error:
        return str(error)
    except Exception as error:
        # Decoders meet files that nobody has tried: one of them must not stop the others.
        return f"{sample.media}: {type(error).__name__}: {' '.join(str(error).split())}"
    if first is None or another is not None:
        return (
            f"{sample.media}: {'no' if first is None else 'more than one'} utterance; expected one "
            f"of at most {options.window_s:g} s a line of the manifest; cut the file"
        )
    return encode_clip(first)


@cache
def shared_detector() -> MtcnnDetector:
    """The process's own detector, of one thread as the device's."""
    return MtcnnDetector(threads=1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Make clips in one thread: a process per core is faster than threads that wait."""
    cv2_threads, decoding = cv2.getNumThreads(), decode_threads()
    cv2.setNumThreads(1)
    set_decode_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(cv2_threads)
        set_decode_threads(decoding)
