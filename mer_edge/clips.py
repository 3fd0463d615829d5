"""Clips from anything a person has: files, sound alone, silent video, directories of frames.

Training and inference share this code, so that a clip is made the same way for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mer_edge.clip import Clip, PreparedClip
from mer_edge.empty_clips import without_empty
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import ANYTHING, Evidence
from mer_edge.faces.face import FaceDetector
from mer_edge.media.ahead import beside
from mer_edge.media.clip_faces import AlignedFaces, ClipFaces, FaceFinder
from mer_edge.media.directory import check_frame_rate
from mer_edge.media.hardware import check_hwaccel
from mer_edge.media.hearing import Heard, hear
from mer_edge.media.segmenting import segment_waveform
from mer_edge.media.sound import Sound, SoundReader
from mer_edge.media.source import Media, open_media
from mer_edge.media.spans import Span, part_of, plan_spans
from mer_edge.media.voice import VoiceListener
from mer_edge.segments import FACE_SIZE_PX, MODALITIES, SAMPLE_RATE_HZ, SEGMENT_S
from mer_edge.text.source import TextFound, TextOptions, find_text

if TYPE_CHECKING:
    from mer_edge.bundle import Manifest


@dataclass(frozen=True)
class ClipOptions:
    """How clips are made of a source.

    Raises:
        MerEdgeError: a value is out of its range.
    """

    text: TextOptions = field(default_factory=TextOptions)
    face: int = 1
    """Whose face: 1 is the main person of the clip, 2 the next."""
    yunet: Path | None = None
    """A YuNet model file to detect faces with; None uses MTCNN."""
    frame_rate_hz: float | None = None
    """Of a directory of frames; more than 0 and at most 1000."""
    start_s: float | None = None
    """Where the one clip begins in its source; None: at its start."""
    end_s: float | None = None
    """Where it ends; None: at the source's end. Given either, the source's own utterances are
    not asked for: the text is what ``text`` says."""
    frames: str = ""
    """Which images of a directory are its frames, as a pattern (``image_L_*.jpg``); "": all."""
    sound: str = ""
    """The name of a directory's sound file, where it has several; "": the only one."""
    faces_aligned: bool = False
    """Every frame is an aligned face already: scaled to the size of one, not searched."""
    window_s: float = 28.8
    """A source without utterances that is longer is cut into windows; rounded to segments."""
    modalities: tuple[str, ...] = MODALITIES
    """What is wanted of the source: a clip without any of these is left out, pictures are not
    decoded without "visual", and sound without "audio" only to be transcribed. Text is always
    looked for, because subtitles say where an utterance begins and ends."""

    hwaccel: str | None = None
    """Decode a file's video on this kind of device (``cuda``, ``vaapi``, ...); None: the CPU."""
    evidence: Evidence | None = None
    """What sound and faces need to have a say: of a bundle, its own rule; None: to be there."""

    def __post_init__(self) -> None:
        if self.face < 1:
            raise MerEdgeError(
                f"found --face {self.face}; expected 1 for the main person, 2 for the next one, "
                "and so on"
            )
        if "visual" not in self.modalities and (option := self._picture_option()):
            raise MerEdgeError(f"found {option} where no faces are looked for; leave {option} out")
        if self.hwaccel is not None:
            check_hwaccel(self.hwaccel)
        if self.frame_rate_hz is not None:
            check_frame_rate(self.frame_rate_hz)
        start_s, end_s = self.start_s or 0.0, self.end_s
        in_order = end_s is None or start_s < end_s
        if not (math.isfinite(start_s) and start_s >= 0 and in_order):
            raise MerEdgeError(
                f"found a clip from {self.start_s} to {self.end_s} s; expected a start of 0 or "
                "more and an end behind it"
            )
        if not (math.isfinite(self.window_s) and self.window_s >= SEGMENT_S):
            raise MerEdgeError(
                f"found a window of {self.window_s:g} s; expected {SEGMENT_S} s, one segment, or "
                "more"
            )

    def _picture_option(self) -> str | None:
        """The first option given that only pictures need."""
        given = (self.face != 1, self.yunet is not None, self.hwaccel is not None)
        names = ("--face", "--yunet", "--hwaccel")
        return next((name for name, is_given in zip(names, given, strict=True) if is_given), None)


def for_bundle(options: ClipOptions, manifest: Manifest) -> ClipOptions:
    """The options with what a bundle says of its clips: what it decides by, and what has a say."""
    return replace(options, modalities=manifest.modalities, evidence=manifest.evidence)


def load_clips(
    source: Path | str,
    options: ClipOptions = ClipOptions(),
    *,
    detector: FaceDetector | None = None,
) -> Iterator[Clip]:
    """As :func:`prepare_clips`, the clips alone: what inference needs."""
    for prepared in prepare_clips(source, options, detector=detector):
        yield prepared.clip


def prepare_clips(
    source: Path | str,
    options: ClipOptions = ClipOptions(),
    *,
    crops_per_segment: int = 1,
    detector: FaceDetector | None = None,
) -> Iterator[PreparedClip]:
    """Yield the clips of a source one by one, in one pass over it and in bounded memory.

    With subtitles one clip per utterance, else one of the whole, or windows of ``window_s``.

    Args:
        source: a media file, or a directory of frames.
        crops_per_segment: K, odd. Crop k of segment i is the frame shown at
            start + 0.96 i + (k + 0.5) / K of the segment's length inside the clip.
        detector: made once by a caller with many sources; None makes the one of ``options``.

    Raises:
        MerEdgeError: the source is not usable; also after some clips, if the damage lies later.
    """
    if crops_per_segment < 1 or crops_per_segment % 2 == 0:
        raise ValueError(f"crops_per_segment is {crops_per_segment}; expected an odd number")
    path = Path(source)
    # A device is asked for only where pictures are looked at.
    hwaccel = options.hwaccel if "visual" in options.modalities else None
    with open_media(path, options.frame_rate_hz, options.frames, options.sound, hwaccel) as media:
        maker = _ClipMaker(_wanted(media, options), options, crops_per_segment, detector)
        sound = "voice" if (options.evidence or ANYTHING).voice else "sound"
        yield from without_empty(path, maker.clips(), options.modalities, sound)


def _wanted(media: Media, options: ClipOptions) -> Media:
    """The readers that somebody needs; whoever opened ``media`` closes the others too."""
    hears = "audio" in options.modalities or options.text.asr_model is not None
    return replace(
        media,
        frames=media.frames if "visual" in options.modalities else None,
        sound=media.sound if hears else None,
    )


class _ClipMaker:
    """Makes the clips of one opened source."""

    def __init__(
        self, media: Media, options: ClipOptions, per_segment: int, detector: FaceDetector | None
    ) -> None:
        self._media = media
        self._options = options
        self._per_segment = per_segment
        self._finder: FaceFinder | AlignedFaces | None = None
        if media.frames is not None and options.faces_aligned:
            self._finder = AlignedFaces()
        elif media.frames is not None:
            self._finder = FaceFinder(
                media.path, detector or _open_detector(options), options.face, options.evidence
            )
        elif options.face != 1:
            raise MerEdgeError(
                f"{media.path}: found --face {options.face} for a source without a picture; "
                "expected a video; leave --face out"
            )

    def clips(self) -> Iterator[PreparedClip]:
        media, text = self._media, self._options.text
        transcribing = text.asr_model is not None
        # Transcription needs each clip's own sound, so it waits until that is decoded.
        found = TextFound(None, None, "asr")
        if not transcribing:
            found = find_text(media.path, text, None, look_inside=media.has_subtitles)
        spans = self._plan(found)
        notes = () if found.origin in ("none", "asr", "--text") else (f"Text: {found.origin}.",)
        for span in spans:
            with beside(partial(_read, media.sound, span)) as sound_of:
                if transcribing:
                    span = self._transcribe(span, sound_of())
                span = replace(span, notes=(*notes, *span.notes))
                prepared = self._prepare(span, sound_of, len(spans) == 1)
            yield prepared

    def _plan(self, found: TextFound) -> list[Span]:
        media, options = self._media, self._options
        if options.start_s is None and options.end_s is None:
            return list(plan_spans(media.path, media.duration_s, found, options.window_s))
        text = None if found.utterances is not None else found.text
        return [part_of(media.path, media.duration_s, options.start_s, options.end_s, text)]

    def _transcribe(self, span: Span, sound: Sound | None) -> Span:
        heard = sound is not None and sound.covered.any()
        found = find_text(
            self._media.path,
            self._options.text,
            (lambda: sound.samples) if sound is not None and heard else None,
        )
        text = found.text
        if found.utterances is not None:
            text = " ".join(utterance.text for utterance in found.utterances)
        return replace(span, text=text, notes=(*span.notes, f"Text: {found.origin}."))

    def _prepare(
        self, span: Span, sound_of: Callable[[], Sound | None], alone: bool
    ) -> PreparedClip:
        segments = span.segments
        try:
            faces = self._find_faces(span, alone)
        except MerEdgeError:
            sound_of()  # An error of the sound comes first, as if it had been decoded first.
            raise
        sound = sound_of()
        self._media.check_damage()
        shape = (segments, self._per_segment)
        crops = faces.crops.reshape(*shape, FACE_SIZE_PX, FACE_SIZE_PX, 3)
        crops_present = faces.present.reshape(shape)
        middle = self._per_segment // 2
        if sound is None:
            silence = np.zeros(round((span.end_s - span.start_s) * SAMPLE_RATE_HZ))
            sound = Sound(silence.astype(np.float32), silence.astype(np.bool_))
        listens = (self._options.evidence or ANYTHING).voice and "audio" in self._options.modalities
        heard = hear(sound, segments, VoiceListener() if listens else None)
        clip = Clip(
            text=span.text,
            waveform=segment_waveform(sound.samples, segments),
            faces=np.ascontiguousarray(crops[:, middle]),
            audio_present=heard.present,
            face_present=crops_present[:, middle].copy(),
            source=str(self._media.path),
            start_s=span.start_s,
            end_s=span.end_s,
        )
        # Notes of the readers come last: they know of damage only once they have decoded.
        notes = (*span.notes, *self._modality_notes(clip, heard, faces), *self._media.notes())
        return PreparedClip(replace(clip, notes=notes), crops, crops_present)

    def _find_faces(self, span: Span, alone: bool) -> ClipFaces:
        times_s = span.frame_times_s(self._per_segment)
        if self._finder is None or self._media.frames is None:
            crops = np.zeros((len(times_s), FACE_SIZE_PX, FACE_SIZE_PX, 3), np.uint8)
            return ClipFaces(crops, np.zeros(len(times_s), np.bool_), 0)
        return self._finder.find(self._media.frames, times_s, required=alone)

    def _modality_notes(self, clip: Clip, heard: Heard, faces: ClipFaces) -> list[str]:
        notes = []
        wanted = self._options.modalities
        if "audio" not in wanted:
            pass
        elif self._media.sound is None:
            notes.append("There is no sound.")
        else:
            notes += heard.notes()
        if "visual" not in wanted:
            pass
        elif self._media.frames is None:
            notes.append("There is no picture.")
        elif not clip.face_present.all():
            found = clip.face_present.sum()
            notes.append(f"A face was found in {found} of {clip.segments} frames looked at.")
        if faces.doubtful:
            notes.append(
                f"In {faces.doubtful} frames something looks like a face; none is sure enough to "
                "be one."
            )
        if faces.unreadable:
            notes.append(
                f"In {faces.unreadable} of {len(faces.present)} frames looked at the face is too "
                "small or too blurred to be read."
            )
        if faces.most_in_a_frame > 1:
            notes.append(
                f"Up to {faces.most_in_a_frame} faces are in a frame; number {self._options.face} "
                "was taken (--face chooses)."
            )
        return notes


def _read(sound: SoundReader | None, span: Span) -> Sound | None:
    return None if sound is None else sound.read(span.start_s, span.end_s)


def _open_detector(options: ClipOptions) -> FaceDetector:
    from mer_edge.faces.detector import open_detector

    return open_detector(options.yunet)
