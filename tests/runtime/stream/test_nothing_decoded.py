"""A stream of which nothing can be decoded is an error; a short one is decided on."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from mer_edge.cli.main import main
from tests.media_files import Voice, write_media
from tests.runtime.stream.media import clip_file, swell
from tests.runtime.stream.servers import piped, remuxed

TS_PACKET = 188


def garbage(folder: Path) -> bytes:
    """An MPEG-TS whose headers say that H.264 and AAC follow, which they do not."""
    data = bytearray(remuxed(clip_file(folder / "clip.mp4", 2.0), folder / "clip.ts"))
    noise = np.random.default_rng(0).bytes(TS_PACKET)
    for start in range(3 * TS_PACKET, len(data), TS_PACKET):
        kept = 34 if data[start + 1] & 0x40 else 4  # where a frame begins: its time stamps, too
        data[start + kept : start + TS_PACKET] = noise[kept:]
    return bytes(data)


def infer(bundle: Path, *arguments: str | Path) -> int:
    return main(["infer", str(bundle), *map(str, arguments)])


def test_garbage_from_a_pipe(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with piped(tmp_path, garbage(tmp_path)) as path:
        assert infer(bundle_path, "--stream", path, "--json") == 2
    shown, err = capsys.readouterr()
    error, summary = err.splitlines()
    assert shown == ""
    assert error.startswith(f"error: {path}: there is nothing to decide on (none of ")
    assert "packets of video (h264), audio (aac) in mpegts could be decoded)" in error
    assert summary.startswith(f"{path}: 0 decisions")


def test_noise_that_looks_like_a_format(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """FFmpeg takes one of twenty files of random bytes for H.263: this is such a one."""
    with piped(tmp_path, random.Random(37).randbytes(300_000)) as path:
        assert infer(bundle_path, "--stream", path, "--quiet") == 2
    shown, err = capsys.readouterr()
    assert shown == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_garbage_in_a_file_in_real_time(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "garbage.ts"
    path.write_bytes(garbage(tmp_path))
    assert infer(bundle_path, "--stream", path, "--realtime", "--quiet") == 2
    assert "nothing to decide on (none of " in capsys.readouterr().err


def test_raw_sound_without_a_sample(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with piped(tmp_path, b"") as path:
        assert infer(bundle_path, "--stream", path, "--stream-format", "s16le", "--quiet") == 2
    err = capsys.readouterr().err
    assert "nothing to decide on (audio (pcm_s16le) in s16le without a packet)" in err


@pytest.mark.parametrize("duration_s", [0.001, 0.3])
def test_less_than_a_segment_is_decided_on(
    bundle_path: Path, tmp_path: Path, duration_s: float, capsys: pytest.CaptureFixture[str]
) -> None:
    voice = Voice("pcm_s16le", 16_000, duration_s=duration_s, wave=swell)
    data = write_media(tmp_path / "short.wav", voice=voice).read_bytes()
    with piped(tmp_path, data) as path:
        assert infer(bundle_path, "--stream", path, "--quiet") == 0
    shown, err = capsys.readouterr()
    assert shown.count("\n") == 1
    assert err == ""
