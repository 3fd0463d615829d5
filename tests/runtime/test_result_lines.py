"""Lines of ``--out``: on disk as they are made, and nobody's file is lost for them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mer_edge.errors import MerEdgeError
from runtime.output_paths import journal_path
from runtime.result_lines import LineFile, ResultLines, count_lines
from tests.file_limit import limit_of_files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_whole_file_at_the_end_and_what_was_there_until_then(tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    out.write_text("of yesterday\n")
    with ResultLines(out) as lines:
        lines.add(b"1\n")
        assert (tmp_path / "results.part.jsonl").read_bytes() == b"1\n"
        lines.add(b"2\n")
        assert out.read_text() == "of yesterday\n"
        assert lines.count() == 2
        lines.finish()
    assert out.read_bytes() == b"1\n2\n"
    assert names(tmp_path) == ["results.jsonl"]
    assert out.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_run_that_does_not_finish_leaves_its_lines(tmp_path: Path) -> None:
    out = tmp_path / "new" / "results.jsonl"
    with pytest.raises(KeyboardInterrupt), ResultLines(out) as lines:
        lines.add(b"1\n")
        raise KeyboardInterrupt
    assert lines.path == tmp_path / "new" / "results.part.jsonl"
    assert (lines.path.read_bytes(), lines.count()) == (b"1\n", 1)
    with ResultLines(out) as second, ResultLines(out) as third:
        second.add(b"second\n")
        third.add(b"third\n")
        assert names(out.parent) == [
            "results.part-2.jsonl",
            "results.part-3.jsonl",
            "results.part.jsonl",
        ]
        third.finish()
    assert out.read_bytes() == b"third\n"
    assert (out.parent / "results.part-2.jsonl").read_bytes() == b"second\n"
    assert lines.path.read_bytes() == b"1\n"


def test_without_a_line_nothing_is_left(tmp_path: Path) -> None:
    with ResultLines(tmp_path / "results.jsonl") as lines:
        assert (lines.count(), lines.path) == (0, None)
    assert names(tmp_path) == []
    with ResultLines(tmp_path / "results.jsonl") as lines:
        lines.finish()
    assert names(tmp_path) == ["results.jsonl"]


def test_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    target = tmp_path / "disk" / "real.jsonl"
    out = tmp_path / "results.jsonl"
    out.symlink_to(target)
    with ResultLines(out) as lines:
        lines.add(b"1\n")
        assert names(tmp_path / "disk") == ["real.part.jsonl"]
        lines.finish()
    assert out.is_symlink()
    assert target.read_bytes() == b"1\n"


def test_a_full_disk_takes_whole_lines_or_none(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "results.jsonl", "xb")
    with limit_of_files(10):
        file.add(b"1234567\n")
        with pytest.raises(OSError, match="File too large") as raised:
            file.add(b"abcdefg\n")
        assert raised.value.errno == errno.EFBIG
    assert (tmp_path / "results.jsonl").read_bytes() == b"1234567\n"
    file.add(b"more\n")
    file.close()
    assert (tmp_path / "results.jsonl").read_bytes() == b"1234567\nmore\n"


def test_behind_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"1\n")
    file = LineFile(path, "ab")
    file.add(b"2\n3\n")
    file.sync()
    file.close()
    assert path.read_bytes() == b"1\n2\n3\n"


def test_a_full_disk_says_where_the_lines_before_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "results.jsonl"

    def full(self: LineFile, line: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with ResultLines(out) as lines:
        lines.add(b"1\n")
        lines.add(b"2\n")
        monkeypatch.setattr(LineFile, "add", full)
        with pytest.raises(MerEdgeError) as raised:
            lines.add(b"3\n")
    assert "the disk is full while writing the results" in str(raised.value)
    part = tmp_path / "results.part.jsonl"
    assert f"the 2 lines before are in {part}; free some space" in str(raised.value)
    assert part.read_bytes() == b"1\n2\n"


def test_a_limit_on_files_says_where_they_are_too(tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    with ResultLines(out) as lines, limit_of_files(10):
        lines.add(b"1234567\n")
        with pytest.raises(MerEdgeError) as raised:
            lines.add(b"abcdefg\n")
    part = tmp_path / "results.part.jsonl"
    assert str(raised.value) == (
        f"{out}: a file has reached the largest size allowed while writing the results; the 1 "
        f"lines before are in {part}; raise the limit (ulimit -f), or choose another --out"
    )
    assert part.read_bytes() == b"1234567\n"


def test_a_kill_costs_no_line_that_was_added(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path;"
        "from runtime.result_lines import ResultLines;"
        "lines = ResultLines(Path(sys.argv[1]));"
        "[lines.add(b'x' * 5000 + b'\\n') for _ in range(20)];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "a.jsonl"], cwd=root)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "a.part.jsonl").read_bytes() == (b"x" * 5000 + b"\n") * 20


def test_counting_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    assert count_lines(path) == 0
    path.write_bytes(b"1\n" * 600_000 + b"half")
    assert count_lines(path) == 600_000


def test_the_results_of_a_folder_job_are_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    journal_path(out).write_text("{}\n")
    with pytest.raises(MerEdgeError, match=r"found results\.jsonl\.job beside it"):
        ResultLines(out)
    journal_path(out).unlink()
    with ResultLines(out) as lines:
        lines.add(b"1\n")
        journal_path(out).write_text("{}\n")  # a job has begun there
        out.write_text("of the job\n")
        with pytest.raises(MerEdgeError, match=r"found results\.jsonl\.job beside it"):
            lines.finish()
    assert out.read_text() == "of the job\n"
    assert (tmp_path / "results.part.jsonl").read_bytes() == b"1\n"
