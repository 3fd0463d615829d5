"""Which segments of a clip's sound have a say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_edge.media.segmenting import covered_segments, sounding_segments
from mer_edge.media.sound import Sound
from mer_edge.media.voice import VoiceListener


@dataclass(frozen=True, eq=False)
class Heard:
    """What a clip's sound has, segment by segment; each is part of the one before."""

    covered: NDArray[np.bool_]
    """shape = (segments,): the stream has sound there, be it digital silence."""
    sounding: NDArray[np.bool_]
    """shape = (segments,): it is not digital silence."""
    voiced: NDArray[np.bool_] | None = None
    """shape = (segments,): somebody speaks; None: that was not asked."""

    @property
    def present(self) -> NDArray[np.bool_]:
        """shape = (segments,): the sound has a say there."""
        return self.sounding if self.voiced is None else self.voiced

    def notes(self) -> list[str]:
        """Why it has none where it has none, one sentence each."""
        segments = len(self.covered)
        notes = []
        if not self.sounding.all():
            notes.append(f"There is sound in {self.sounding.sum()} of {segments} segments.")
        silent = self.covered & ~self.sounding
        if silent.any():
            notes.append(f"The sound of {silent.sum()} of {segments} segments is digital silence.")
        if self.voiced is not None and not self.voiced[self.sounding].all():
            notes.append(
                f"There is a voice in {self.voiced.sum()} of {self.sounding.sum()} segments with "
                "sound."
            )
        return notes


def hear(sound: Sound, segments: int, listener: VoiceListener | None = None) -> Heard:
    """What the sound of a clip of ``segments`` has.

    Args:
        listener: asks for a voice; it has heard what came before, or nothing yet.
    """
    covered = covered_segments(sound.covered, segments)
    sounding = sounding_segments(sound.samples, sound.covered, segments)
    voiced = listener.voiced_segments(sound.samples, sounding) if listener else None
    return Heard(covered, sounding, voiced)
