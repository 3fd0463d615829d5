"""``mer-edge infer DIR`` as a user runs it: killed, interrupted, continued, refused."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mer_edge.cli.main import main
from runtime.output_paths import journal_path
from tests.runtime.bundles import NOTICE, make_bundle
from tests.runtime.media import tone_wav

FILES = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    for number in range(FILES):
        tone_wav(folder / f"{number}.wav", 0.5 + 0.05 * number)
    (folder / "7.wav").write_bytes(b"no sound")
    return folder


def infer(bundle: Path, *arguments: str | Path) -> int:
    return main(["infer", str(bundle), *map(str, arguments)])


def lines(text: str) -> list[dict[str, Any]]:
    """JSON lines without what differs from run to run."""
    told = [json.loads(line) for line in text.splitlines()]
    for line in told:
        line.pop("timings_ms", None)
    return told


def by_source(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(told, key=lambda line: str(line["source"]))


@pytest.fixture(scope="module")
def whole(bundle_path: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The results of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "results.jsonl"
    assert infer(bundle_path, folder, "--out", out, "--quiet") == 2
    return out.read_text()


def test_a_folder(
    bundle_path: Path, folder: Path, whole: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(bundle_path, folder, "--json") == 2
    out, err = capsys.readouterr()
    assert lines(out) == lines(whole)
    told = lines(out)
    assert [line["source"] for line in told] == [str(folder / f"{n}.wav") for n in range(FILES)]
    assert ["error" in line for line in told] == [n == 7 for n in range(FILES)]
    (error,) = err.splitlines()
    assert error.startswith(f"error: {folder / '7.wav'}: ")


def test_as_the_files_one_by_one(
    bundle_path: Path, folder: Path, whole: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(bundle_path, *(folder / f"{n}.wav" for n in range(FILES)), "--json") == 2
    assert lines(capsys.readouterr().out) == lines(whole)


def test_what_it_says_at_the_end(
    bundle_path: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "results.jsonl"
    assert infer(bundle_path, folder, "--out", out) == 2
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{FILES - 1} clips of {FILES} files (")
    assert said[0].endswith("; 1 of the files failed")
    assert said[1:] == [
        f"notice: {NOTICE}",
        f"wrote {out}",
        "next: the same command tries again what failed",
    ]
    assert infer(bundle_path, folder, "--out", out) == 2
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith(f"1 of the files failed; {FILES - 1} files were done before")
    assert infer(bundle_path, folder / "1.wav", folder / "2.wav", "--batch", "2") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{folder / '1.wav'} 0.00-0.55 s: ")


def command(bundle: Path, *arguments: str | Path) -> list[str]:
    slow = (
        "import sys, time; import runtime.batch.store as s; from mer_edge.cli.main import main;"
        "add = s.Store.add;"
        "s.Store.add = lambda self, record: (time.sleep(0.04), add(self, record))[1];"
        "sys.exit(main(sys.argv[1:]))"
    )
    return [sys.executable, "-c", slow, "infer", str(bundle), *map(str, arguments)]


def wait_for(path: Path, size: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and not (path.exists() and path.stat().st_size >= size):
        time.sleep(0.005)


@pytest.mark.parametrize("name", ["results.jsonl", "results.parquet"])
def test_killed_at_random_moments(
    bundle_path: Path, folder: Path, whole: str, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    journal = tmp_path / f"{name}.job"
    moments = random.Random(name)
    killed = 0
    for size in (1, 600, 1500):
        process = subprocess.Popen(
            command(bundle_path, folder, "--out", out, "--quiet"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(journal, size, process)
        time.sleep(moments.uniform(0, 0.05))
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert killed >= 2
    assert infer(bundle_path, folder, "--out", out, "--quiet") == 2
    told = out.read_text() if name.endswith("jsonl") else table_lines(out)
    assert by_source(lines(told)) == by_source(lines(whole))
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}.job"]


def table_lines(out: Path) -> str:
    from runtime.batch.table import read_table

    target = out.parent.parent / "table.jsonl"
    read_table(out, target)
    return target.read_text()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_interrupted(
    bundle_path: Path, folder: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    out = tmp_path / "results.jsonl"
    process = subprocess.Popen(
        command(bundle_path, folder, "--out", out),
        stderr=subprocess.PIPE,
        text=False,
        # Who is started in the background by a shell ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(out, 3000, process)
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    told = lines(out.read_text())
    complete = sum("file" in entry for entry in lines(journal_path(out).read_text()))
    assert 0 < complete < FILES
    assert len(told) - complete in (0, 1)  # the signal may fall between a line and its entry
    last = err.decode().splitlines()[-1]
    expected = f"interrupted: {complete} of {FILES} files are in {out}; the same command goes on"
    assert last.startswith(expected)


def test_a_mended_file_and_a_new_one(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    tone_wav(folder / "a.wav")
    (folder / "b.wav").touch()
    out = tmp_path / "results.parquet"
    assert infer(bundle_path, folder, "--out", out, "--quiet") == 2
    tone_wav(folder / "b.wav", 2.0)
    tone_wav(folder / "c.wav", 3.0)
    capsys.readouterr()
    assert infer(bundle_path, folder, "--out", out, "--quiet") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        str(folder / "b.wav"),
        str(folder / "c.wav"),
    ]
    told = lines(table_lines(out))
    assert [(line["source"], line["end_s"]) for line in told] == [
        (str(folder / "a.wav"), 1.0),
        (str(folder / "b.wav"), 2.0),
        (str(folder / "c.wav"), 3.0),
    ]


def test_another_bundle_is_refused(
    bundle_path: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    one = folder / "1.wav"
    assert infer(bundle_path, one, "--batch", "1", "--out", out, "--quiet") == 0
    other = make_bundle(tmp_path / "other", notice="another")
    capsys.readouterr()
    assert infer(other, one, "--batch", "1", "--out", out, "--quiet") == 2
    err = capsys.readouterr().err
    assert f"was begun with the bundle {bundle_path} (" in err
    assert f"this is {other} (" in err
    assert infer(bundle_path, one, "--batch", "2", "--out", out, "--quiet", "--no-text") == 2
    assert "was begun with no --no-text, this run has --no-text" in capsys.readouterr().err
    assert infer(other, one, "--out", out, "--quiet", "--overwrite") == 0
    assert lines(out.read_text())[0]["notes"][-1] == "another"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "good"], "--text was given for a folder or many files"),
        (["--plot", "p.png"], "--plot was given for a batch job"),
        (["--overwrite"], "--overwrite was given without --out"),
        (["--batch", "99"], "takes at most 3 clips at once"),
        (["--workers", "0"], "--workers 0: expected a whole number from 1 to"),
        (["--json", "--quiet"], "--json and --quiet"),
        (["--device", "npu"], "--device npu: no such device"),
    ],
)
def test_options_that_cannot_be(
    bundle_path: Path,
    folder: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert infer(bundle_path, folder, *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_table_needs_its_extra(
    bundle_path: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert infer(bundle_path, folder, "--out", tmp_path / "r.parquet") == 2
    assert "pip install 'mer-edge[batch]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_interrupted_before_the_first_result(
    bundle_path: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from runtime.batch import command

    def interrupts(*_: object) -> Any:
        raise KeyboardInterrupt

    real = command._records
    monkeypatch.setattr(command, "_records", interrupts)
    for name in ("results.jsonl", "results.parquet"):
        assert infer(bundle_path, folder, "--out", tmp_path / name) == 130
        assert capsys.readouterr().err == f"interrupted: 0 of {FILES} files were done\n"
        assert list(tmp_path.iterdir()) == []
    # What is complete in a table is in the table, until more is added to it.
    monkeypatch.setattr(command, "_records", real)
    table = tmp_path / "results.parquet"
    assert infer(bundle_path, folder / "1.wav", "--out", table, "--quiet") == 0
    monkeypatch.setattr(command, "_records", interrupts)
    capsys.readouterr()
    assert infer(bundle_path, folder, "--out", table) == 130
    said = f"interrupted: 1 of {FILES} files are in {table}; the same command goes on from there\n"
    assert capsys.readouterr().err == said
