"""``mer-edge infer --stream`` as a user runs it: lines, summary, exit codes, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mer_edge.cli.main import main
from mer_edge.result import Result
from tests.runtime.bundles import NOTICE
from tests.runtime.media import face_video, tone_wav

ROOT = Path(__file__).parents[3]
TS_PACKET = 188


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return face_video(tmp_path_factory.mktemp("video") / "face.mp4", 3.0)


def infer(bundle: Path, *arguments: str | Path) -> int:
    return main(["infer", str(bundle), *map(str, arguments)])


def started(bundle: Path, *arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mer_edge", "infer", str(bundle), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, **options)


def test_json_lines_are_results_and_the_summary_goes_to_stderr(
    bundle_path: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "results.jsonl"
    arguments = ["--stream", video, "--text", "good day", "--window-segments", "2"]
    assert infer(bundle_path, *arguments, "--json", "--out", out) == 0
    shown, err = capsys.readouterr()
    results = [msgspec.json.decode(line, type=Result) for line in shown.splitlines()]
    assert out.read_text() == shown
    assert [result.segments for result in results] == [1, 2, 2]
    assert [result.face_segments for result in results] == [1, 2, 2]
    assert all(result.source == str(video) and result.text == "good day" for result in results)
    assert {"media", "audio", "visual", "fusion", "total", "latency"} <= set(results[0].timings_ms)
    (line,) = err.splitlines()
    assert line.startswith(f"{video}: 3 decisions; after a segment's end p50 ")
    assert line.endswith("0 frames dropped")


def test_a_line_a_decision_where_there_is_no_terminal(
    bundle_path: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    out.write_text("what was there\n")
    assert infer(bundle_path, "--stream", video, "--out", out) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(" s: ")[0] for line in shown[:3]] == ["0.00-0.96", "0.00-1.92", "0.00-2.88"]
    assert shown[3].startswith(f"{video}: 3 decisions")
    assert shown[4] == f"notice: {NOTICE}"
    assert shown[5] == f"wrote {out}"
    assert shown[6].startswith(f"next: mer-edge infer {bundle_path} ")
    assert len(out.read_text().splitlines()) == 3


def test_quiet_is_decisions_alone(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(bundle_path, "--stream", tone_wav(tmp_path / "tone.wav", 2.0), "--quiet") == 0
    shown, err = capsys.readouterr()
    assert (len(shown.splitlines()), err) == (2, "")


def test_a_terminal_has_one_table_that_changes(bundle_path: Path, video: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    process = started(bundle_path, "--stream", video, stdout=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other side has ended
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(30) == 0
    text = shown.decode()
    assert "latency" in text
    assert "frames dropped" in text
    assert "0.00-2.88 s" in text
    assert "\x1b[1A" in text or "\x1b[2K" in text  # what stood there was taken back


def test_ctrl_c_ends_with_a_summary_and_the_decisions_on_disk(
    bundle_path: Path, tmp_path: Path
) -> None:
    video = face_video(tmp_path / "long.mp4", 20.0)
    out = tmp_path / "results.jsonl"
    arguments = ["--stream", video, "--realtime", "--out", out, "--json"]
    # A group of its own: the signal is for it, and not for who runs the tests.
    process = started(
        bundle_path,
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline_s = time.monotonic() + 60
    while not (out.exists() and out.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < deadline_s
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    shown, err = process.communicate(timeout=20)
    assert process.returncode == 130
    lines = out.read_bytes().splitlines()
    assert 2 <= len(lines) < 20
    assert [json.loads(line)["segments"] for line in lines[:2]] == [1, 2]
    assert shown.splitlines() == lines
    assert err.decode().startswith(f"{video}: {len(lines)} decisions")
    assert b"Traceback" not in err


def test_stdin(bundle_path: Path, tmp_path: Path) -> None:
    sound = tone_wav(tmp_path / "tone.wav", 2.0)
    with sound.open("rb") as file:
        process = started(
            bundle_path, "--stream", "-", "--json", stdin=file, stdout=subprocess.PIPE
        )
        shown, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [json.loads(line)["source"] for line in shown.splitlines()] == ["stdin", "stdin"]


def test_a_source_that_breaks_off_is_an_error_after_its_decisions(
    bundle_path: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.runtime.stream.servers import remuxed, serving

    data = remuxed(video, tmp_path / "copy.ts")
    with serving([data], seconds=0.3) as (url, _):
        assert infer(bundle_path, "--stream", url, "--reconnect", "0", "--json") == 2
    shown, err = capsys.readouterr()
    assert len(shown.splitlines()) == 3
    error, summary = err.splitlines()
    assert error.startswith(f"error: {url}: the source was lost (")
    assert summary.startswith(f"{url}: 3 decisions")


def test_damage_in_a_file_is_told_as_offline(
    bundle_path: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.runtime.stream.servers import remuxed

    damaged = tmp_path / "damaged.ts"
    data = bytearray(remuxed(video, tmp_path / "copy.ts"))
    for packet in range(len(data) // TS_PACKET // 3 * TS_PACKET, len(data), 3 * TS_PACKET):
        if not data[packet + 1] & 0x40:  # no frame begins here: its time stamps stay as they are
            data[packet + 40 : packet + TS_PACKET] = bytes(TS_PACKET - 40)
    damaged.write_bytes(data)
    assert infer(bundle_path, damaged, "--json") == 0
    offline = json.loads(capsys.readouterr().out)["notes"]
    told = [note for note in offline if note.startswith("Read so far: ")]
    assert told
    assert infer(bundle_path, "--stream", damaged, "--json") == 0
    shown, summary = capsys.readouterr()
    streamed = [note for line in shown.splitlines() for note in json.loads(line)["notes"]]
    assert set(told) <= set(streamed)
    assert all(note.rstrip(".") in summary for note in told)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clip.mp4", "--stream", "0"], "found --stream 0 and clip.mp4"),
        ([], "found no FILE and no --stream"),
        (["clip.mp4", "--realtime"], "--realtime was given without --stream"),
        (["clip.mp4", "--window-segments", "3"], "--window-segments was given without --stream"),
        (["clip.mp4", "--reconnect", "3"], "--reconnect was given without --stream"),
        (["clip.mp4", "--stream-format", "alsa"], "--stream-format was given without --stream"),
        (["--stream", "missing.mp4"], "missing.mp4: found no such source"),
        (["--stream", "/dev/video96"], "/dev/video96: the device cannot be opened"),
        (["--stream", "-", "--realtime"], "--realtime was given for what is not a file"),
        (["--stream", "{video}", "--window-segments", "9"], "a window of 9 segments"),
        (["--stream", "{video}", "--reconnect", "-1"], "--reconnect -1"),
        (["--stream", "{video}", "--reconnect", "3"], "--reconnect was given for a file"),
        (["--stream", "-", "--reconnect", "forever"], "stdin: --reconnect was given for a pipe"),
        (["--stream", "{video}", "--json", "--quiet"], "--json and --quiet"),
        (["--stream", "{video}", "--plot", "a.png"], "--plot was given with --stream"),
        (["--stream", "{video}", "--batch", "2"], "--batch was given with --stream"),
        (["--stream", "{video}", "--workers", "2"], "--workers was given with --stream"),
        (["--stream", "{video}", "--overwrite"], "--overwrite was given with --stream"),
        (["--stream", "{video}", "--ray"], "--ray was given with --stream"),
        (["--stream", "{video}", "clip.mp4"], "found --stream {video} and clip.mp4"),
        (["--stream", "{video}", "--text", "a", "--no-text"], "--text and --no-text"),
        (["--stream", "{video}", "--frame-rate", "5"], "--frame-rate"),
        (["--stream", "{video}", "--out", "/dev/null"], "--out /dev/null: a device or a pipe"),
        (["--stream", "{video}", "--out", "a/b.Parquet"], "such as a/b.jsonl; take that"),
        (["--stream", "{video}", "--asr", "nowhere"], "--asr nowhere: no such directory"),
        (["--stream", "{video}", "--face", "0"], "--face 0"),
        (["--stream", "{video}", "--device", "npu"], "--device npu"),
    ],
)
def test_what_cannot_be_is_one_line(
    bundle_path: Path,
    video: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert infer(bundle_path, *[word.format(video=video) for word in arguments]) == 2
    shown, err = capsys.readouterr()
    assert shown == ""
    assert err.startswith("error: ")
    assert message.format(video=video) in err
    assert err.count("\n") == 1
