"""What is left out of decoding changes nothing of what is seen."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.media import lookahead
from mer_edge.media.frames import VideoFrames
from mer_edge.media.restarts import Restarts
from mer_edge.media.scan import scan_media
from tests.media_files import Picture, damage, write_media

FRAMES = 75
MIDDLES_S = [0.48, 1.44, 2.4]
X264 = "keyint=15:min-keyint=15:scenecut=0:bframes=3"
STREAMS = {
    "one group.mp4": ("libx264", {"bf": "3", "g": "250"}),
    "closed groups.mp4": ("libx264", {"x264-params": X264}),
    "closed groups.mkv": ("libx264", {"x264-params": X264}),
    "closed groups.ts": ("libx264", {"x264-params": X264}),
    "pyramid.mp4": ("libx264", {"x264-params": "keyint=250:bframes=8:b-pyramid=normal:ref=4"}),
    "open groups.mp4": ("libx264", {"x264-params": X264 + ":open-gop=1"}),
    "intra refresh.mp4": ("libx264", {"x264-params": "intra-refresh=1:keyint=15:bframes=0"}),
    "interlaced.mp4": ("libx264", {"x264-params": X264 + ":interlaced=1"}),
    "raw.h264": ("libx264", {"x264-params": X264}),
    "b.mp4": ("mpeg4", {"g": "12", "bf": "2"}),
    "b.avi": ("mpeg4", {"g": "12", "bf": "2"}),
    "b.mpg": ("mpeg2video", {"g": "12", "bf": "2"}),
    "b.ts": ("mpeg2video", {"g": "12", "bf": "2"}),
    "hidden frames.webm": ("libvpx", {"g": "20", "auto-alt-ref": "1", "lag-in-frames": "12"}),
    "vp9.webm": ("libvpx-vp9", {"g": "20", "auto-alt-ref": "1", "lag-in-frames": "12"}),
    "intra.mov": ("mjpeg", {}),
    "intra.mkv": ("ffv1", {"g": "1"}),
    "x265.mp4": ("libx265", {"x265-params": "log-level=0:keyint=15:bframes=3:open-gop=1"}),
}


def moving(number: int, time_s: float, size: tuple[int, int]) -> np.ndarray:
    """A square on its way over noise: neighbouring frames differ, and refer to each other."""
    width, height = size
    pixels = np.random.default_rng(0).integers(60, 120, (height, width, 3)).astype(np.uint8)
    x = 2 * number % (width - 30)
    pixels[40:70, x : x + 30] = 160 + number % 90
    return pixels


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("streams")
    made = {}
    for name, (codec, options) in STREAMS.items():
        if codec not in av.codecs_available:
            continue
        if codec == "libx264":
            options = {"preset": "veryfast", **options}
        picture = Picture(codec=codec, frames=FRAMES, draw=moving, options=options)
        made[name] = write_media(folder / name, picture)
    return made


def decoded_all(path: Path) -> list[tuple[float, np.ndarray]]:
    """Every frame and its time, decoded by FFmpeg without leaving anything out."""
    origin_s = scan_media(path).origin_s
    with av.open(str(path)) as container:
        shown = [
            (frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]
    start_s = [
        number / 25 if time_s is None else time_s - origin_s
        for number, (time_s, _) in enumerate(shown)
    ]
    return list(zip(start_s, (pixels for _, pixels in shown), strict=True))


def check_pictures(path: Path, times_s: list[float]) -> VideoFrames:
    everything = decoded_all(path)
    frames = VideoFrames(path, scan_media(path))
    for time_s, picture in zip(times_s, frames.pictures_at(times_s), strict=True):
        shown = [pixels for start_s, pixels in everything if start_s <= time_s + 1e-6]
        if not shown:  # B-frames in avi, which has no time stamps for them
            assert picture is None
            continue
        assert picture is not None, time_s
        assert np.array_equal(picture.pixels, shown[-1]), time_s
    frames.close()
    return frames


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("times_s", [MIDDLES_S, [0.0, 0.05, 0.59, 0.61, 1.9, 1.92, 1.94, 2.95]])
def test_the_frames_are_those_of_decoding_everything(files, name, times_s):
    if name not in files:
        pytest.skip(f"FFmpeg here lacks the encoder {STREAMS[name][0]}")
    check_pictures(files[name], times_s)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["closed groups.mkv", "pyramid.mp4", "open groups.mp4", "b.ts"]),
    asked_ms=st.lists(st.integers(0, 2990), min_size=1, max_size=8),
)
def test_any_times(files, name, asked_ms):
    check_pictures(files[name], [ms / 1000 for ms in sorted(asked_ms)])


@pytest.mark.parametrize(
    ("name", "most_fed", "most_decoded"),
    [
        ("one group.mp4", 70, 40),
        ("closed groups.mp4", 45, 20),
        ("closed groups.mkv", 45, 20),
        ("closed groups.ts", 45, 20),
        ("b.ts", 50, 30),
        ("intra.mov", 3, 3),
        ("intra.mkv", 3, 3),
    ],
)
def test_what_nobody_looks_at_is_not_decoded(files, name, most_fed, most_decoded):
    frames = check_pictures(files[name], MIDDLES_S)
    assert frames._count.packets <= most_fed
    assert frames._count.frames <= most_decoded


def test_only_idr_pictures_of_h264_are_restarts(files):
    restarts = {}
    for name in ("closed groups.mp4", "closed groups.ts", "open groups.mp4", "intra refresh.mp4"):
        with av.open(str(files[name])) as container:
            stream = container.streams.video[0]
            at = Restarts(stream)
            packets = [packet for packet in container.demux(stream) if packet.size]
            restarts[name] = sum(at.at(packet) for packet in packets)
    assert restarts == {
        "closed groups.mp4": 5,
        "closed groups.ts": 5,
        "open groups.mp4": 1,
        "intra refresh.mp4": 1,
    }


def test_a_far_time_holds_only_so_many_packets(files, monkeypatch):
    monkeypatch.setattr(lookahead, "MAX_HELD_BYTES", 3000)
    path = files["one group.mp4"]
    frames = VideoFrames(path, scan_media(path))
    held = []
    read = lookahead.Lookahead._read

    def watched(self):
        read(self)
        held.append(self._held_bytes - max((item.packet.size for item in self._held), default=0))

    monkeypatch.setattr(lookahead.Lookahead, "_read", watched)
    everything = decoded_all(path)
    picture = frames.picture_at(2.9)
    assert picture is not None
    assert np.array_equal(picture.pixels, everything[72][1])
    assert max(held) <= 3000


def test_a_damaged_frame_is_bridged_by_the_one_before(tmp_path):
    def noise(number: int, time_s: float, size: tuple[int, int]) -> np.ndarray:
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3))
        return pixels.astype(np.uint8)

    path = write_media(tmp_path / "a.mp4", Picture(frames=100, draw=noise))
    damage(path, 0.36, 0.37)
    frames = VideoFrames(path, scan_media(path))
    shown = [picture is not None for picture in frames.pictures_at([0.48, 1.44, 2.4, 3.36])]
    assert shown == [True] * 4
    frames.check_damage()
