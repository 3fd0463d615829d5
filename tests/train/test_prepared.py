import numpy as np
import pytest

from mer_edge.errors import MerEdgeError
from tests.train.samples import prepared_clip
from train.prepared import read_clip, store_clip


def test_what_is_stored_comes_back_bit_for_bit(tmp_path):
    crops_present = np.array([[True, False, True], [False, False, False], [True, True, True]])
    audio_present = np.array([True, False, True])
    made = prepared_clip(
        np.random.default_rng(0),
        segments=3,
        crops_present=crops_present,
        audio_present=audio_present,
    )
    store_clip(made, tmp_path / "clip.safetensors")
    stored = read_clip(tmp_path / "clip.safetensors")
    assert stored.segments == 3
    assert np.array_equal(stored.waveform, made.clip.waveform)
    assert np.array_equal(stored.audio_present, audio_present)
    assert np.array_equal(stored.crops_present, crops_present)
    for frame in range(3):
        frames = np.full(3, frame, np.int64)
        assert np.array_equal(stored.faces(frames), made.crops[:, frame])
    assert np.array_equal(stored.faces(np.array([2, 0, 1])), made.crops[[0, 1, 2], [2, 0, 1]])


def test_a_clip_without_any_face(tmp_path):
    made = prepared_clip(np.random.default_rng(0), crops_present=np.zeros((2, 3), bool))
    store_clip(made, tmp_path / "clip.safetensors")
    assert not read_clip(tmp_path / "clip.safetensors").faces(np.zeros(2, np.int64)).any()


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_damaged_file_is_named(tmp_path, damage):
    file = tmp_path / "clip.safetensors"
    store_clip(prepared_clip(np.random.default_rng(0), segments=1, crops=1), file)
    if damage == "gone":
        file.unlink()
    else:
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"hello")
    with pytest.raises(MerEdgeError, match=r"clip\.safetensors: the prepared clip cannot be read"):
        read_clip(file)
