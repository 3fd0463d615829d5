"""Prepared clips on disk: what is written comes back, to any thread, and damage is told."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.errors import MerEdgeError
from tests.train.samples import prepared_clip
from train import prepared as prepared_module
from train.prepared import ClipRef, contiguous, read_clip, read_keys, write_shard
from train.stored_clip import StoredClip, encode_clip


def same(one: StoredClip, two: StoredClip) -> bool:
    # The PNGs are compared as bytes, the sound as bits: no tolerance, and -0.0 is not 0.0.
    return (
        one.waveform.tobytes() == two.waveform.tobytes()
        and np.array_equal(one.audio_present, two.audio_present)
        and np.array_equal(one.crops_present, two.crops_present)
        and np.array_equal(one.png, two.png)
        and np.array_equal(one.png_ends, two.png_ends)
    )


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    segments=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    crops=st.sampled_from([1, 3]),
    present=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_what_is_stored_comes_back_bit_for_bit(seed, segments, crops, present):
    rng = np.random.default_rng(seed)
    made = [
        prepared_clip(
            rng, count, crops, rng.random((count, crops)) < present, rng.random(count) < 0.7
        )
        for count in segments
    ]
    encoded = [(f"key {i}", encode_clip(clip)) for i, clip in enumerate(made)]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "shard.parquet"
        write_shard(file, encoded)
        assert read_keys(file) == [key for key, _ in encoded]
        for row, (clip, (_, kept)) in enumerate(zip(made, encoded, strict=True)):
            stored = read_clip(ClipRef(file, row))
            assert same(stored, kept)
            assert stored.waveform.tobytes() == clip.clip.waveform.tobytes()
            assert np.array_equal(stored.audio_present, clip.clip.audio_present)
            assert np.array_equal(stored.crops_present, clip.crops_present)
            for frame in range(crops):
                frames = np.full(clip.clip.segments, frame, np.int64)
                assert np.array_equal(stored.faces(frames), clip.crops[:, frame])
            drawn = rng.integers(0, crops, clip.clip.segments)
            expected = clip.crops[np.arange(clip.clip.segments), drawn]
            assert np.array_equal(stored.faces(drawn), expected)


def test_unusual_samples_keep_their_bits(tmp_path):
    clip = encode_clip(prepared_clip(np.random.default_rng(0), 1, 1))
    clip.waveform[0, :4] = [-0.0, np.nan, np.inf, 1e-45]
    write_shard(tmp_path / "a.parquet", [("a", clip)])
    assert read_clip(ClipRef(tmp_path / "a.parquet", 0)).waveform.tobytes() == (
        clip.waveform.tobytes()
    )


def test_segments_that_do_not_overlap_are_no_signal():
    rng = np.random.default_rng(0)
    waveform = rng.uniform(-1, 1, (2, 15600)).astype(np.float32)
    with pytest.raises(ValueError, match="do not overlap"):
        contiguous(waveform)
    waveform[1, :240] = waveform[0, 15360:]
    assert contiguous(waveform).shape == (2 * 15360 + 240,)


def test_threads_read_what_one_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared_module, "MOST_OPEN_FILES", 3)  # so that some are closed
    rng = np.random.default_rng(0)
    made = [encode_clip(prepared_clip(rng, 1 + i % 3, 1)) for i in range(10)]
    refs = []
    for shard in range(5):
        file = tmp_path / f"{shard}.parquet"
        write_shard(file, [(str(i), made[i]) for i in (2 * shard, 2 * shard + 1)])
        refs += [ClipRef(file, 0), ClipRef(file, 1)]
    order = rng.integers(0, 10, 400).tolist()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda i: read_clip(refs[i]), order))
    assert all(same(clip, made[i]) for clip, i in zip(read, order, strict=True))


@pytest.mark.parametrize("damage", ["gone", "cut", "other", "row"])
def test_damage_is_told_with_the_file(tmp_path, damage):
    file = tmp_path / "shard.parquet"
    write_shard(file, [("a", encode_clip(prepared_clip(np.random.default_rng(0), 1, 1)))])
    if damage == "gone":
        file.unlink()
    elif damage != "row":
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"hello")
    with pytest.raises(MerEdgeError, match=r"shard\.parquet: the prepared clips cannot be read"):
        read_clip(ClipRef(file, 1 if damage == "row" else 0))
    if damage != "row":
        with pytest.raises(MerEdgeError, match="remove the file and run mer-edge prepare again"):
            read_keys(file)


def test_a_full_disk_names_the_option_of_the_store(tmp_path, monkeypatch):
    def write_table(self, table):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepared_module.pq.ParquetWriter, "write_table", write_table)
    clip = encode_clip(prepared_clip(np.random.default_rng(0), 1, 1))
    with pytest.raises(
        MerEdgeError, match=r"full while preparing clips .* before are kept; .*--ca"
    ):
        write_shard(tmp_path / "shard.parquet", [("key", clip)])
    assert list(tmp_path.iterdir()) == []
