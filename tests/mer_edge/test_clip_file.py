"""A clip through a file and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mer_edge.clip_file import ARRAYS, load_clip, save_clip
from mer_edge.errors import MerEdgeError
from tests.runtime.bundles import make_clip


@pytest.mark.parametrize("text", ["grüß dich", None])
def test_what_goes_in_comes_out(text: str | None, tmp_path: Path) -> None:
    clip = make_clip(text, audio=[0.25, None], faces=[None, 7])
    save_clip(clip, tmp_path / "c.npz")
    found = load_clip(tmp_path / "c.npz")
    assert (found.text, found.source, found.end_s) == (text, "clip.mp4", clip.end_s)
    for name in ARRAYS:
        assert np.array_equal(getattr(found, name), getattr(clip, name))


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match="not a clip"):
        load_clip(tmp_path / "none.npz")
    (tmp_path / "c.npz").write_bytes(b"PK nonsense")
    with pytest.raises(MerEdgeError, match="not a clip"):
        load_clip(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", waveform=np.zeros(3))
    with pytest.raises(MerEdgeError, match="not a clip"):
        load_clip(tmp_path / "d.npz")
