"""Media that is cut, damaged, or declares more than it holds."""

import errno
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.errors import MerEdgeError
from mer_edge.media.decode import DecodeCount, decode_packet
from mer_edge.media.scan import scan_media
from mer_edge.media.source import open_media
from tests.media_files import Picture, Voice, damage, declare_duration, write_media
from tests.mer_edge.media.refusal import refused


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, Path]:
    """Ten seconds in several containers; their picture is noise, so that their size is real."""
    folder = tmp_path_factory.mktemp("whole")
    frames = np.random.default_rng(0).integers(0, 256, (8, 60, 80, 3)).astype(np.uint8)
    picture = Picture(size=(80, 60), frames=250, draw=lambda n, t, size: frames[n % 8])
    voice = Voice(duration_s=10)
    made = {
        "mp4": write_media(folder / "a.mp4", picture, voice),
        "faststart": write_media(
            folder / "fast.mp4", picture, voice, options={"movflags": "faststart"}
        ),
        "mkv": write_media(folder / "a.mkv", picture, Voice("flac", duration_s=10)),
        "avi": write_media(
            folder / "a.avi",
            Picture("mpeg4", (80, 60), 250, draw=picture.draw),
            Voice("libmp3lame", duration_s=10),
        ),
    }
    for suffix, codec in (("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "libmp3lame")):
        made[suffix] = write_media(folder / f"a.{suffix}", None, Voice(codec, duration_s=10))
    return made


def cut(whole: Path, tmp_path: Path, share: float) -> Path:
    path = tmp_path / f"cut{whole.suffix}"
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def test_an_mp4_cut_before_its_index(whole, tmp_path):
    assert "without a readable index ('moov')" in refused(cut(whole["mp4"], tmp_path, 0.9))


@pytest.mark.parametrize("kind", ["faststart", "mkv", "avi", "wav", "flac"])
def test_a_container_that_breaks_its_promise(whole, tmp_path, kind):
    message = refused(cut(whole[kind], tmp_path, 0.6))
    found_s, declared_s = map(float, re.findall(r"([\d.]+) s\b", message))
    assert found_s == pytest.approx(6, abs=0.6)
    assert declared_s == pytest.approx(10, abs=0.6)


@pytest.mark.parametrize("kind", ["faststart", "mkv", "avi", "wav", "flac", "mp3"])
def test_a_little_missing_at_the_end_is_borne(whole, tmp_path, kind):
    scan = scan_media(cut(whole[kind], tmp_path, 0.95))
    assert scan.duration_s == pytest.approx(9.5, abs=0.4)


def test_a_format_that_promises_nothing_may_end_anywhere(whole, tmp_path):
    scan = scan_media(cut(whole["mp3"], tmp_path, 0.5))
    assert scan.duration_s == pytest.approx(5, abs=0.2)


@pytest.mark.parametrize("kind", ["mp4", "faststart", "mkv", "avi", "wav", "flac", "mp3"])
def test_whole_files_are_whole(whole, kind):
    scan = scan_media(whole[kind])
    assert scan.duration_s == pytest.approx(10, abs=0.06)
    assert scan.origin_s == pytest.approx(0, abs=0.03)


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1), kind=st.sampled_from(["mp4", "faststart", "mkv", "avi", "wav"]))
def test_a_file_cut_anywhere_is_read_or_refused(whole, tmp_path_factory, share, kind):
    path = cut(whole[kind], tmp_path_factory.mktemp("cut"), share)
    try:
        scan = scan_media(path)
    except MerEdgeError:
        return
    assert scan.duration_s >= 8.9


@settings(max_examples=12, deadline=None)
@given(start=st.floats(0, 1), length=st.floats(0, 0.3), seed=st.integers(0, 99))
def test_noise_anywhere_is_borne_or_refused(whole, tmp_path_factory, start, length, seed):
    """Nothing but a MerEdgeError, and nothing that is not a number."""
    path = tmp_path_factory.mktemp("noise") / "a.mp4"
    shutil.copy(whole["mp4"], path)
    damage(path, start, min(1.0, start + length), seed)
    try:
        with open_media(path) as media:
            if media.sound is not None:
                assert np.isfinite(media.sound.read(0, min(12.0, media.duration_s)).samples).all()
            if media.frames is not None:
                [media.frames.picture_at(i / 2) for i in range(20)]
    except MerEdgeError:
        pass


def test_ten_hours_in_the_header(whole, tmp_path):
    path = tmp_path / "long.mp4"
    shutil.copy(whole["mp4"], path)
    declare_duration(path, 36_000)
    assert "found 10.0 s of media where its header declares 36000.0 s" in refused(path)


def test_ten_hours_in_the_header_of_a_wav_and_an_mkv(whole, tmp_path):
    data = bytearray(whole["wav"].read_bytes())
    position = data.find(b"data") + 4
    declared = 36_000 * 16_000 * 2  # The rate of the file is 48 kHz: 3.3 hours.
    data[position : position + 4] = struct.pack("<I", declared)
    (tmp_path / "long.wav").write_bytes(data)
    message = refused(tmp_path / "long.wav")
    assert "found 10.0 s of media where its header declares 12000" in message

    data = bytearray(whole["mkv"].read_bytes())
    position = data.find(b"\x44\x89\x88") + 3  # Duration, a float of 8 bytes, in ms.
    (duration_ms,) = struct.unpack(">d", data[position : position + 8])
    assert duration_ms == pytest.approx(10_000, abs=50)
    data[position : position + 8] = struct.pack(">d", 36_000_000.0)
    (tmp_path / "long.mkv").write_bytes(data)
    assert "found 10.0 s of media where its header declares 36000.0 s" in refused(
        tmp_path / "long.mkv"
    )


def test_time_stamps_of_a_century(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for second in (0, 100 * 365 * 86_400):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), "s16", "mono")
            frame.sample_rate = 16_000
            frame.pts = second * 16_000
            container.mux(stream.encode(frame))
    assert "time stamps that reach over 876000 hours" in refused(path)


def test_a_subtitle_longer_than_the_film_is_not_missing_film(tmp_path):
    path = write_media(tmp_path / "a.mkv", Picture(), Voice("flac"), cues=[(0, 30, "Hello")])
    assert scan_media(path).duration_s == pytest.approx(1, abs=0.01)


def test_a_recorder_that_could_not_write_the_size(whole, tmp_path):
    for size in (0xFFFFFFFF, 0x7FFFFFFF - 44, 0x80000000):
        data = bytearray(whole["wav"].read_bytes())
        data[4:8] = struct.pack("<I", size)
        position = data.find(b"data") + 4
        data[position : position + 4] = struct.pack("<I", size)
        path = tmp_path / "stream.wav"
        path.write_bytes(data)
        assert scan_media(path).duration_s == pytest.approx(10, abs=0.01)


def test_ffmpeg_keeps_silent(whole, tmp_path):
    """Neither FFmpeg nor OpenCV writes on stderr, whatever they are given."""
    broken = tmp_path / "broken.mp4"
    shutil.copy(whole["mp4"], broken)
    damage(broken, 0.3, 0.5)
    (tmp_path / "frames").mkdir()
    image = write_media(tmp_path / "one.mjpeg", Picture("mjpeg", frames=1)).read_bytes()
    (tmp_path / "frames" / "1.jpg").write_bytes(image[: len(image) // 2])
    (tmp_path / "frames" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    paths = [broken, cut(whole["mp4"], tmp_path, 0.5), tmp_path / "frames"]
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mer_edge.errors import MerEdgeError\n"
        "from mer_edge.media.source import open_media\n"
        "for name in sys.argv[1:]:\n"
        "    for time_s in (0.0, 0.05):\n"
        "        try:\n"
        "            with open_media(Path(name)) as media:\n"
        "                media.frames.picture_at(time_s)\n"
        "                media.sound and media.sound.read(0, 10)\n"
        "        except MerEdgeError as error:\n"
        "            print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, paths)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "moov" in done.stdout
    assert "2.png: found 108 bytes that are not an image" in done.stdout


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.EAGAIN])
def test_a_lack_of_memory_is_no_damage_of_the_file(code: int) -> None:
    """What FFmpeg says where it gets no buffer, or no thread, through PyAV's own exceptions."""
    container = SimpleNamespace(name="a.mp4")

    def decode() -> list[object]:
        av.error.err_check(-code, "a.mp4")
        raise AssertionError

    packet = SimpleNamespace(size=9, stream=SimpleNamespace(container=container), decode=decode)
    count = DecodeCount()
    with pytest.raises(MerEdgeError, match=r"^a\.mp4: the system has no memory, or no thread"):
        decode_packet(packet, count)
    assert count.failed == 0
