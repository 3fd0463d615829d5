"""A clip as one file, to hand it to another process of the same program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError

ARRAYS = ("waveform", "faces", "audio_present", "face_present")


def save_clip(clip: Clip, path: Path) -> None:
    """Write ``clip`` to ``path`` (.npz) without its notes."""
    arrays: dict[str, Any] = {name: getattr(clip, name) for name in ARRAYS}
    arrays |= {"place": np.array([clip.start_s, clip.end_s]), "source": np.array(clip.source)}
    if clip.text is not None:  # an empty one would be a text
        arrays["text"] = np.array(clip.text)
    with path.open("wb") as file:
        np.savez(file, **arrays)


def load_clip(path: Path) -> Clip:
    """The clip of :func:`save_clip`.

    Raises:
        MerEdgeError: the file cannot be read or is not one of those.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            start_s, end_s = stored["place"].tolist()
            return Clip(
                text=str(stored["text"]) if "text" in stored else None,
                **{name: stored[name] for name in ARRAYS},
                source=str(stored["source"]),
                start_s=start_s,
                end_s=end_s,
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MerEdgeError(
            f"{path}: not a clip ({error}); expected a file that save_clip wrote"
        ) from error
