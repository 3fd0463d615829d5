"""``mer-edge infer`` as a user runs it: output, exit codes, one bad file among good ones."""

from __future__ import annotations

import errno
import json
import math
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from av.codec.hwaccel import hwdevices_available

from mer_edge.cli.main import main
from mer_edge.result import Result
from tests.media_files import Picture, write_media
from tests.runtime.bundles import LABELS, NOTICE, make_bundle
from tests.runtime.media import face_video, tone_wav

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    face_video(folder / "face.mp4")
    tone_wav(folder / "tone.wav")
    (folder / "empty.mp4").touch()
    (folder / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    (folder / "folder").mkdir()
    return folder


def infer(bundle: Path, *arguments: str | Path) -> int:
    return main(["infer", str(bundle), *map(str, arguments)])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_is_exactly_the_result(
    bundle_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(bundle_path, files / "face.mp4", "--json", "--text", "good day") == 0
    out, err = capsys.readouterr()
    assert err == ""
    result = msgspec.json.decode(out, type=Result)
    assert set(json.loads(out)) == set(Result.__dataclass_fields__)
    assert result.source == str(files / "face.mp4")
    assert (result.segments, result.audio_segments, result.face_segments) == (2, 2, 2)
    assert result.text == "good day"
    assert list(result.probabilities) == LABELS
    assert result.notes[-1] == NOTICE
    assert result.engine == "onnxruntime CPUExecutionProvider"


def test_one_bad_file_and_the_rest_go_on(
    bundle_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["empty.mp4", "tone.wav", "noise.mp4", "folder", "missing.mp4", "tone.wav"]
    assert infer(bundle_path, *(files / name for name in names), "--json") == 2
    out, err = capsys.readouterr()
    told = lines(out)
    assert [line["source"] for line in told] == [str(files / name) for name in names]
    assert ["error" in line for line in told] == [True, False, True, True, True, False]
    assert told[1]["probabilities"] == told[5]["probabilities"]
    errors = err.splitlines()
    assert len(errors) == 4
    for line, name in zip(errors, ["empty.mp4", "noise.mp4", "folder", "missing.mp4"], strict=True):
        assert line.startswith("error: ")
        assert name in line
    assert "Traceback" not in err


def test_the_table(bundle_path: Path, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert infer(bundle_path, files / "face.mp4", files / "tone.wav") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "face.mp4 0.00-2.00 s:" in out.replace("\n", "")
    assert out.count("absent") == 3  # the video's text; the sound's face and text
    assert out.count(NOTICE) == 1
    assert out.splitlines()[-1].startswith(f"next: mer-edge infer {bundle_path}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["{tone}", "{face}", "--quiet", "--no-text"],
        ["--quiet", "--no-text", "{tone}", "{face}"],
        ["--quiet", "{tone}", "--no-text", "{face}"],
        ["{tone}", "--quiet", "{face}", "--no-text"],
    ],
)
def test_options_may_stand_anywhere(
    bundle_path: Path, files: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"tone": files / "tone.wav", "face": files / "face.mp4"}
    assert infer(bundle_path, *[word.format(**names) for word in arguments]) == 0
    tone, face = capsys.readouterr().out.splitlines()
    assert tone.startswith(str(names["tone"]))
    assert face.startswith(str(names["face"]))


def test_an_unknown_option_is_no_file(
    bundle_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        infer(bundle_path, files / "tone.wav", "--nope", "x")
    assert "unrecognized arguments: --nope x" in capsys.readouterr().err


def test_quiet_is_one_line_a_clip(
    bundle_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(bundle_path, files / "tone.wav", files / "tone.wav", "--quiet") == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2
    # The tone's mean is 0 and the guide of missing text is -1: 0.27 for sad, above 0.25.
    assert out[0] == f"{files / 'tone.wav'} 0.00-1.00 s: sad (top happy 0.50)"


@pytest.fixture(scope="module")
def exclusive_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose labels are exclusive: of a tone without text "happy" has 0.73."""
    folder = tmp_path_factory.mktemp("exclusive")
    return make_bundle(folder / "bundle", task="multiclass", min_confidence=0.75)


def test_below_the_bundles_confidence_the_answer_is_uncertain(
    exclusive_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tone = files / "tone.wav"
    assert infer(exclusive_path, tone, "--quiet") == 0
    line = f"{tone} 0.00-1.00 s: uncertain (top happy 0.73, needs 0.75)\n"
    assert capsys.readouterr().out == line
    assert infer(exclusive_path, tone, "--json") == 0
    (result,) = lines(capsys.readouterr().out)
    assert (result["task"], result["decision"], result["uncertain"]) == ("multiclass", [], True)
    assert (result["top"], result["min_confidence"]) == ("happy", 0.75)
    assert result["confidence"] == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-4)
    assert sum(result["probabilities"].values()) == pytest.approx(1.0)
    assert infer(exclusive_path, tone) == 0
    shown = capsys.readouterr().out
    assert "below 0.750, which a decision needs" in shown


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("0.7", "happy (top happy 0.73, needs 0.70)"),
        ("0", "happy (top happy 0.73)"),
        ("0.8", "uncertain (top happy 0.73, needs 0.80)"),
    ],
)
def test_min_confidence_takes_the_place_of_the_bundles(
    exclusive_path: Path,
    files: Path,
    tmp_path: Path,
    asked: str,
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tone, option = files / "tone.wav", ("--min-confidence", asked, "--quiet")
    assert infer(exclusive_path, tone, *option) == 0
    assert capsys.readouterr().out.endswith(f" s: {expected}\n")
    assert infer(exclusive_path, "--stream", tone, *option) == 0
    assert f" s: {expected}\n" in capsys.readouterr().out
    out = tmp_path / "results.jsonl"
    assert infer(exclusive_path, tone, "--batch", "1", "--out", out, *option) == 0
    assert capsys.readouterr().out.endswith(f" s: {expected}\n")
    (result,) = lines(out.read_text())
    assert result["uncertain"] is expected.startswith("uncertain")
    assert infer(exclusive_path, tone, "--batch", "1", "--out", out, "--quiet") == 2
    assert f"begun with --min-confidence {asked}" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--stream"], ["--batch", "1"]])
def test_min_confidence_that_cannot_be_is_refused(
    bundle_path: Path,
    exclusive_path: Path,
    files: Path,
    more: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    tone = files / "tone.wav"
    assert infer(bundle_path, *more, tone, "--min-confidence", "0.5") == 2
    assert "labels are independent of each other" in capsys.readouterr().err
    for wrong in ("1.5", "-1", "nan"):
        assert infer(exclusive_path, *more, tone, f"--min-confidence={wrong}") == 2
        assert "expected a probability from 0" in capsys.readouterr().err


def test_out_has_the_same_lines(
    bundle_path: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "results.jsonl"
    arguments = [files / "tone.wav", files / "empty.mp4", "--out", out]
    assert infer(bundle_path, *arguments, "--json") == 2
    assert out.read_text() == capsys.readouterr().out
    assert infer(bundle_path, *arguments) == 2
    shown = capsys.readouterr().out
    assert f"wrote {out}" in shown
    assert "--plot" in shown.splitlines()[-1]
    assert ["error" in line for line in lines(out.read_text())] == [False, True]
    assert [path.name for path in out.parent.iterdir()] == ["results.jsonl"]


def test_a_picture_a_result(
    bundle_path: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "picture.png"
    assert infer(bundle_path, files / "face.mp4", files / "tone.wav", "--plot", plot) == 0
    pictures = [plot, tmp_path / "picture-2.png"]
    assert sorted(tmp_path.iterdir()) == sorted(pictures)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    shown = capsys.readouterr().out
    assert all(f"wrote {path}" in shown for path in pictures)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tone.wav", "tone.wav", "--text", "good"], "--text was given for 2 files"),
        (["tone.wav", "tone.wav", "--text-file", "x.txt"], "--text-file was given for 2 files"),
        (["tone.wav", "--text", "good", "--no-text"], "--text and --no-text"),
        (["tone.wav", "--json", "--quiet"], "--json and --quiet"),
        (["tone.wav", "--device", "npu"], "--device npu: no such device; choose from cpu, cuda"),
        (["tone.wav", "--threads", "0"], "--threads 0"),
        (["tone.wav", "--face", "0"], "--face 0"),
        (["tone.wav", "--out", "folder"], "--out folder: a directory"),
        (["tone.wav", "--out", "/dev/null"], "--out /dev/null: a device or a pipe"),
        (["tone.wav", "--out", "tone.wav/x"], "tone.wav is a file; expected a folder"),
        (["tone.wav", "--plot", "folder"], "--plot folder: a directory"),
        (["tone.wav", "--plot", "picture.doc"], "the extension is '.doc'"),
    ],
)
def test_options_that_cannot_be(
    bundle_path: Path,
    files: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(files)
    before = sorted(files.iterdir())
    assert infer(bundle_path, *arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert message in err
    assert (out, err.count("\n")) == ("", 1)
    assert sorted(files.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", ""], "--text"),
        (["--yunet", "missing.onnx"], "missing.onnx"),
        (["--frame-rate", "5"], "frame rate"),
        (["--face", "2"], "--face 2"),
        (["--text-file", "missing.txt"], "missing.txt"),
    ],
)
def test_options_that_do_not_fit_the_file(
    bundle_path: Path,
    files: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert infer(bundle_path, files / "tone.wav", *arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_broken_bundle_is_told_before_any_file(
    bundle_path: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bundle_path, broken)
    (broken / "audio.onnx").write_bytes(b"")
    out = tmp_path / "results.jsonl"
    assert infer(broken, files / "tone.wav", "--out", out) == 2
    shown, err = capsys.readouterr()
    assert (shown, out.exists()) == ("", False)
    assert "audio.onnx: the file is not the one" in err


def test_when_all_is_bad_the_doctor_is_next(
    bundle_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(bundle_path, files / "empty.mp4") == 2
    assert capsys.readouterr().out.splitlines()[-1] == "next: mer-edge doctor"


def test_a_defect_on_one_file_does_not_stop_the_others(
    bundle_path: Path,
    files: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from runtime.recognizer import Recognizer

    real = Recognizer.recognize_all

    def fails_on_video(self: Recognizer, source: Path, options: Any) -> Any:
        if source.suffix == ".mp4":
            raise ValueError("31 is not a valid Type")
        yield from real(self, source, options)

    monkeypatch.setattr(Recognizer, "recognize_all", fails_on_video)
    assert infer(bundle_path, files / "face.mp4", files / "tone.wav", "--json") == 2
    out, err = capsys.readouterr()
    assert "error" in lines(out)[0]
    assert "probabilities" in lines(out)[1]
    assert "ValueError: 31 is not a valid Type (test_command.py:" in err
    assert "please report it" in err


def test_what_the_system_refuses_is_no_defect_of_ours(
    bundle_path: Path,
    files: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from runtime.recognizer import Recognizer

    def closed_folder(self: Recognizer, source: Path, options: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", "closed/face.mp4")

    monkeypatch.setattr(Recognizer, "recognize_all", closed_folder)
    assert infer(bundle_path, files / "face.mp4", "--quiet") == 2
    (err,) = capsys.readouterr().err.splitlines()
    assert "Permission denied: 'closed/face.mp4'" in err
    assert "defect" not in err


def test_ten_thousand_characters_are_cut_and_told(
    bundle_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "good " * 2000
    assert infer(bundle_path, files / "tone.wav", "--text", text, "--json") == 0
    (line,) = lines(capsys.readouterr().out)
    assert any("2002 tokens" in note for note in line["notes"])


def test_the_bar_leaves_stdout_alone(
    bundle_path: Path,
    files: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    names = ["tone.wav", "empty.mp4", "tone.wav"]
    assert infer(bundle_path, *(files / name for name in names), "--json") == 2
    out, err = capsys.readouterr()
    assert len(lines(out)) == 3
    assert "tone.wav" in err
    assert "error: " in err


def started(bundle: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """A process that a shell would start in the foreground: Ctrl-C reaches it."""
    command = [sys.executable, "-m", "mer_edge", "infer", str(bundle), *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_ctrl_c_leaves_what_is_finished(bundle_path: Path, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    out.write_text("of yesterday\n")
    part = tmp_path / "results.part.jsonl"
    names = [files / "tone.wav", files / "empty.mp4"] + [files / "face.mp4"] * 500
    process = started(bundle_path, *names, "--out", out, "--quiet")
    deadline_s = time.monotonic() + 60
    while not (part.exists() and part.read_bytes().count(b"\n") >= 3):
        assert time.monotonic() < deadline_s
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    shown, err = process.communicate(timeout=30)
    assert process.returncode == 130
    told = lines(part.read_text())
    assert 3 <= len(told) < 502
    assert ["error" in line for line in told[:3]] == [False, True, False]
    assert len(shown.splitlines()) in (len(told) - 1, len(told) - 2)  # on disk before it is shown
    assert err.count("\n") == 2, err
    bad, last = err.splitlines()
    assert bad.startswith("error: ")
    done, rest = last.removeprefix("interrupted: ").split(" of 502 files were done; ")
    assert int(done) in (len(told), len(told) - 1)
    assert rest == f"what was finished, {len(told)} lines, is in {part}"
    assert out.read_text() == "of yesterday\n"


KIND = hwdevices_available()[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["{face}", "--hwaccel", KIND],
        ["{face}", "--hwaccel", KIND, "--batch", "1"],
        ["--stream", "{face}", "--hwaccel", KIND],
    ],
)
def test_a_decoder_that_cannot_be_had_is_an_error_and_never_the_cpu(
    bundle_path: Path, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # No device decodes FFV1: this is refused on a machine with a GPU as well.
    video = write_media(tmp_path / "ffv1.mkv", Picture("ffv1"))
    assert infer(bundle_path, *[word.format(face=video) for word in arguments], "--json") == 2
    out, err = capsys.readouterr()
    assert "probabilities" not in out
    assert err.startswith(f"error: {video}: ")
    assert f"--hwaccel {KIND}" in err
    assert "leave --hwaccel out to decode on the CPU" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{face}", "--hwaccel", "abacus"], f"found --hwaccel abacus; expected .*{KIND}"),
        (["{tone}", "--hwaccel", KIND], f"--hwaccel {KIND} for a file without a picture"),
        (["{tone}", "--hwaccel", KIND, "--batch", "1"], "and no video among the 1 files"),
        (["--stream", "{face}", "--realtime", "--hwaccel", KIND], "is decoded on the CPU"),
        (["--stream", "-", "--hwaccel", KIND], "stdin: --hwaccel was given for a source"),
        (["--stream", "-", "--text", ""], "--text: the text is empty"),
        (["--stream", "nowhere.mp4", "--text", " "], "--text: the text is empty"),
        (["{tone}", "--text", " "], "--text: the text is empty"),
    ],
)
def test_what_is_refused_before_anything_opens(
    bundle_path: Path,
    files: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {"tone": files / "tone.wav", "face": files / "face.mp4"}
    assert infer(bundle_path, *[word.format(**names) for word in arguments], "--json") == 2
    err = capsys.readouterr().err
    assert re.search(message, err)
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_in_a_folder_the_decoder_is_for_the_videos(
    bundle_path: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(files / "tone.wav", tmp_path)
    write_media(tmp_path / "video.mkv", Picture("ffv1"))
    out = tmp_path / "out" / "results.jsonl"
    arguments = [tmp_path, "--hwaccel", KIND, "--out", out, "--json"]
    assert infer(bundle_path, *arguments) == 2
    told = lines(capsys.readouterr().out)
    assert {Path(line["source"]).name: "error" in line for line in told} == {
        "tone.wav": False,
        "video.mkv": True,
    }
    assert infer(bundle_path, tmp_path, "--out", out) == 2
    assert f"was begun with --hwaccel {KIND}, this run has no --hwaccel" in capsys.readouterr().err


def test_a_folder_with_nothing_in_it(
    bundle_path: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "notes.md").write_text("no media")
    assert infer(bundle_path, tmp_path, files / "tone.wav", "--json") == 2
    out, err = capsys.readouterr()
    assert ["error" in line for line in lines(out)] == [True, False]
    assert err.startswith(f"error: {tmp_path}: found a folder without media files and images")
    assert err.count("\n") == 1
