"""What of a clip may have a say: a bundle's own rule, the same for training and device."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """What sound and faces need to have a say, beside being there at all.

    As it stands: nothing. All sound but digital silence and every face that is found then has one,
    as in the paper's protocol.
    """

    voice: bool = False
    """A segment of sound in which nobody speaks has none (``mer_edge.media.voice``)."""
    min_face_px: float | None = None
    """A face narrower than this in its source has none; pixels (``mer_edge.faces.quality``)."""
    min_face_sharpness: float | None = None
    """A face more blurred than this has none (``mer_edge.faces.quality``)."""


ANYTHING = Evidence()
MEASURED = Evidence(voice=True, min_face_px=16.0, min_face_sharpness=0.04)
"""The rule of the built-in bundle and of ``--evidence``; docs/clips.md says how it was measured."""


def fault_of(evidence: Evidence) -> str | None:
    """What is wrong with a rule, for the end of a message; None: nothing.

    >>> fault_of(Evidence(min_face_px=-1.0))
    'min_face_px is -1.0; expected more than 0 and finite'
    """
    for name in ("min_face_px", "min_face_sharpness"):
        value = getattr(evidence, name)
        if value is not None and not 0 < value < math.inf:
            return f"{name} is {value}; expected more than 0 and finite"
    return None
