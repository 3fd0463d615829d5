"""The clip that a sample names, as the device's own code makes it."""

from __future__ import annotations

from mer_edge.clip import Clip, text_clip
from mer_edge.clips import ClipOptions, load_clips
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.faces.face import FaceDetector
from mer_edge.samples.sample import Sample
from mer_edge.text.source import TextOptions


def clip_options(sample: Sample, evidence: Evidence | None = None) -> ClipOptions:
    """How the sample's media is to be read: the data set alone says what the text is, not a file
    beside the media.

    Args:
        evidence: what sound and faces need to have a say.
    """
    return ClipOptions(
        text=TextOptions(text=sample.text, no_text=sample.text is None),
        start_s=sample.start_s,
        end_s=sample.end_s,
        frame_rate_hz=sample.frame_rate_hz,
        frames=sample.frames,
        sound=sample.sound,
        faces_aligned=sample.faces_aligned,
        evidence=evidence,
    )


def load_sample(
    sample: Sample, detector: FaceDetector | None = None, evidence: Evidence | None = None
) -> Clip:
    """The sample's one clip; of text alone one segment without sound and face.

    Raises:
        MerEdgeError: the media cannot be read, or holds no clip or more than one.
    """
    if sample.media is None:
        return text_clip(sample.text or "", sample.id)
    options = clip_options(sample, evidence)
    clips = list(load_clips(sample.media, options, detector=detector))
    if len(clips) != 1:
        raise MerEdgeError(
            f"{sample.media}: {len(clips)} utterances; expected one of at most "
            f"{options.window_s:g} s a line of the manifest; cut the file"
        )
    return clips[0]
