"""The frame that is shown at time t, in every container and at every rate."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.errors import MerEdgeError
from mer_edge.media.frames import VideoFrames
from mer_edge.media.scan import scan_media
from tests.media_files import Picture, Voice, damage, level_of, number_of, write_media

CONTAINERS = [
    ("a.mp4", "libx264"),
    ("b.mkv", "libx264"),
    ("c.webm", "libvpx-vp9"),
    ("d.webm", "libvpx"),
    ("e.mov", "mjpeg"),
    ("f.avi", "mjpeg"),
    ("g.mpg", "mpeg1video"),
    ("h.ts", "mpeg2video"),
    ("i.mkv", "ffv1"),
    ("j.mp4", "mpeg4"),
]


def open_frames(path: Path) -> VideoFrames:
    return VideoFrames(path, scan_media(path))


def numbers_at(path: Path, times_s: list[float]) -> list[int | None]:
    frames = open_frames(path)
    pictures = [frames.picture_at(time_s) for time_s in times_s]
    frames.close()
    return [None if picture is None else number_of(picture.pixels) for picture in pictures]


@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
def test_each_frame_is_shown_at_its_time(tmp_path, name, codec):
    path = write_media(tmp_path / name, Picture(codec=codec))
    assert numbers_at(path, [(i + 0.5) / 25 for i in range(25)]) == list(range(25))
    assert numbers_at(path, [1.5]) == [None]


def test_b_frames_come_in_the_order_they_are_shown(tmp_path):
    path = write_media(
        tmp_path / "b.mp4", Picture(options={"preset": "medium", "bf": "3", "b-pyramid": "normal"})
    )
    with av.open(str(path)) as container:
        stamps = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    assert stamps != sorted(stamps)  # There are B-frames, or the test tests nothing.
    assert numbers_at(path, [(i + 0.5) / 25 for i in range(25)]) == list(range(25))


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_variable_frame_rate_goes_by_presentation_time(tmp_path, name):
    times_s = [0.0, 0.04, 0.5, 0.52, 1.9, 2.0]
    path = write_media(tmp_path / name, Picture(times_s=times_s), Voice(duration_s=2.1))
    asked_s = [0.0, 0.039, 0.041, 0.48, 0.499, 0.501, 0.53, 1.44, 1.899, 1.95, 2.001]
    assert numbers_at(path, asked_s) == [0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 5]


@settings(max_examples=8, deadline=None)
@given(
    gaps_ms=st.lists(st.integers(20, 700), min_size=1, max_size=12),
    asked_ms=st.lists(st.integers(0, 4000), min_size=1, max_size=12),
)
def test_any_variable_rate(tmp_path_factory, gaps_ms, asked_ms):
    shown_ms = np.concatenate([[0], np.cumsum(gaps_ms)])
    path = tmp_path_factory.mktemp("rate") / "v.mkv"
    write_media(path, Picture(codec="ffv1", times_s=(shown_ms / 1000).tolist()))
    asked_ms = sorted(asked_ms)
    numbers = numbers_at(path, [ms / 1000 + 1e-4 for ms in asked_ms])
    for asked, number in zip(asked_ms, numbers, strict=True):
        if asked <= shown_ms[-1]:
            assert number == int(np.searchsorted(shown_ms, asked, side="right")) - 1


def test_nothing_is_shown_before_the_video_begins(tmp_path):
    path = write_media(tmp_path / "late.mkv", Picture(start_s=0.48), Voice(duration_s=2.0))
    assert numbers_at(path, [0.0, 0.47, 0.49, 0.53, 1.47, 1.49]) == [None, None, 0, 1, 24, None]


@pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
def test_time_0_is_the_start_of_the_container(tmp_path, name):
    codec = "mpeg2video" if name.endswith("ts") else "libx264"
    path = write_media(tmp_path / name, Picture(codec=codec, start_s=7.0))
    with av.open(str(path)) as container:
        assert container.start_time / av.time_base > 1
    assert numbers_at(path, [0.0, 0.05, 0.98]) == [0, 1, 24]


def test_a_stream_without_time_stamps_is_counted(tmp_path):
    path = write_media(tmp_path / "raw.h264", Picture(options={"bf": "0"}))
    assert numbers_at(path, [0.01, 0.5, 0.95])[1] == 12


def test_the_same_frame_is_converted_once(tmp_path):
    frames = open_frames(write_media(tmp_path / "a.mp4", Picture()))
    first, again, later = (frames.picture_at(time_s) for time_s in (0.41, 0.42, 0.46))
    assert first is again
    assert first is not None
    assert later is not None
    assert later.key == first.key + 1


def test_colours_survive(tmp_path):
    def red(number, time_s, size):
        return np.full((size[1], size[0], 3), (200, 30, 60), np.uint8)

    picture = open_frames(write_media(tmp_path / "a.mp4", Picture(draw=red))).picture_at(0.5)
    assert picture is not None
    assert picture.pixels.shape == (120, 160, 3)
    assert np.abs(picture.pixels.mean(axis=(0, 1)) - (200, 30, 60)).max() < 5


def noise(number: int, time_s: float, size: tuple[int, int]) -> np.ndarray:
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3))
    return pixels.astype(np.uint8)


def test_damage_in_the_middle_is_passed_and_counted(tmp_path):
    path = write_media(tmp_path / "a.mp4", Picture(frames=100, draw=noise))
    damage(path, 0.4, 0.5)
    frames = open_frames(path)
    shown = [frames.picture_at((i + 0.5) / 25) is not None for i in range(100)]
    assert sum(shown[:35]) == 35
    assert sum(shown[-20:]) == 20
    (note,) = frames.notes()
    assert "video packets could not be decoded" in note
    failed = int(note.split(":")[1].split(" of ")[0])
    assert 5 <= failed <= 20
    frames.check_damage()


def test_a_frame_does_not_stand_for_long_for_lost_ones(tmp_path):
    path = write_media(tmp_path / "a.mp4", Picture(frames=200, draw=noise))
    damage(path, 0.25, 0.6)
    frames = open_frames(path)
    shown = np.array([frames.picture_at((i + 0.5) / 25) is not None for i in range(200)])
    assert shown[:45].all()
    assert shown[130:].all()
    # 70 frames are lost; half a second of them is bridged (the decoder may save a few).
    assert 30 <= (~shown).sum() <= 60


def test_a_tail_that_does_not_decode_is_an_error(tmp_path):
    path = write_media(tmp_path / "a.mp4", Picture(frames=100, draw=noise))
    damage(path, 0.4, 0.97)
    frames = open_frames(path)
    with pytest.raises(MerEdgeError, match=r"decodes only until 1\.\d s of 4\.0 s"):
        [frames.picture_at((i + 0.5) / 25) for i in range(100)]


def test_no_frame_decoded_at_all_is_an_error(tmp_path):
    path = write_media(tmp_path / "a.mp4", Picture(frames=100, draw=noise))
    data = bytearray(path.read_bytes())
    start, end = data.find(b"mdat") + 4, data.find(b"moov") - 4
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    with pytest.raises(MerEdgeError, match="none of the 100 packets of its video stream"):
        open_frames(path).picture_at(0.5)


def test_levels_tell_the_frames_apart():
    assert [number_of(np.full((2, 2, 3), level_of(i) + 3, np.uint8)) for i in range(28)] == list(
        range(28)
    )


def test_frames_are_let_go(tmp_path):
    """No cycle keeps a decoded frame alive: 60 frames of 1.4 MB are looked at, without the GC."""
    code = (
        "import gc, sys\n"
        "from pathlib import Path\n"
        "from mer_edge.media.frames import VideoFrames\n"
        "from mer_edge.media.scan import scan_media\n"
        "gc.disable()\n"
        "path = Path(sys.argv[1])\n"
        "frames = VideoFrames(path, scan_media(path))\n"
        "def resident_mb():\n"
        "    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 1e6\n"
        "for i in range(80):\n"
        "    frames.picture_at((i + 0.5) / 25)\n"
        "    if i == 19:\n"
        "        before = resident_mb()\n"
        "print(resident_mb() - before)\n"
    )
    path = write_media(tmp_path / "a.mp4", Picture("mjpeg", size=(1280, 720), frames=80))
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 30
