import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mer_edge import files
from mer_edge.errors import MerEdgeError

ROOT = Path(__file__).parents[2]


def names(directory):
    return sorted(p.name for p in directory.iterdir())


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "out"
    with files.new_directory(target, "writing") as temporary:
        (temporary / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    assert names(target.parent) == ["out"]


def test_a_failure_leaves_the_old_directory_and_nothing_else(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("kept")
    with pytest.raises(RuntimeError), files.new_directory(target, "w", overwrite=True) as temporary:
        (temporary / "new").write_text("lost")
        raise RuntimeError
    assert names(tmp_path) == ["out"]
    assert names(target) == ["old"]


def test_an_existing_directory_is_replaced_only_on_request(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("x")
    with pytest.raises(MerEdgeError, match="exists already"), files.new_directory(target, "w"):
        pass
    with files.new_directory(target, "w", overwrite=True) as temporary:
        (temporary / "new").write_text("y")
    assert names(target) == ["new"]
    assert names(tmp_path) == ["out"]


def test_an_empty_directory_may_be_filled(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    files.check_out(target, False, "a run", "report.json")
    with files.new_directory(target, "w") as temporary:
        (temporary / "new").write_text("y")
    assert names(target) == ["new"]
    assert names(tmp_path) == ["out"]


def test_only_what_the_same_command_has_made_is_replaced(tmp_path):
    target = tmp_path / "out"
    files.check_out(target, False, "a run", "report.json")
    target.mkdir()
    (target / "report.json").write_text("{}")
    with pytest.raises(MerEdgeError, match="exists already; name another --out, wait, or add --o"):
        files.check_out(target, False, "a run", "report.json", "wait, ")
    files.check_out(target, True, "a run", "report.json")
    with pytest.raises(MerEdgeError, match=r"out is not a bundle \(manifest.json is not in it\)"):
        files.check_out(target, True, "a bundle", "manifest.json")


def test_what_a_kill_left_of_a_directory_is_mended(tmp_path):
    target = tmp_path / "last"
    aside = tmp_path / ".last.abcd.old"
    (aside / "last").mkdir(parents=True)
    (aside / "last/state").write_text("good")
    (tmp_path / ".last.efgh.tmp").mkdir()
    files.recover_directory(target)
    assert names(target) == ["state"]
    assert names(tmp_path) == ["last"]
    (tmp_path / ".last.abcd.old/last").mkdir(parents=True)
    files.recover_directory(target)
    assert (target / "state").read_text() == "good"
    assert names(tmp_path) == ["last"]


def test_what_a_killed_process_left_is_removed_by_the_next_and_the_living_are_spared(tmp_path):
    target = tmp_path / "out"
    code = (
        "import sys; from pathlib import Path; from mer_edge.files import new_directory\n"
        "with new_directory(Path(sys.argv[1]), 'writing') as folder:\n"
        "    (folder / 'half').touch(); print(folder.name, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(target)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        left = process.stdout.readline().strip()
        with files.new_directory(target, "writing") as mine:
            assert names(tmp_path) == sorted([left, mine.name])
        process.kill()
    assert names(tmp_path) == sorted([left, "out"])
    with files.new_directory(target, "writing", overwrite=True) as mine:
        assert names(tmp_path) == sorted([mine.name, "out"])
    assert names(tmp_path) == ["out"]


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path):
    target = tmp_path / "bundle"
    with pytest.raises(MerEdgeError, match=r"bundle: the disk is full while exporting .*MB free"):
        with files.new_directory(target, "exporting") as temporary:
            (temporary / "graph").write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


def test_a_full_disk_inside_a_foreign_error_is_recognised(tmp_path):
    with pytest.raises(MerEdgeError, match="the disk is full"):
        with files.new_file(tmp_path / "x.safetensors", "saving"):
            raise RuntimeError("I/O error: No space left on device (os error 28)")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.EFBIG, "File too large"),
            "a file has reached the largest size allowed while saving; 3 of them are in y; raise "
            "the limit (ulimit -f) or choose another --out",
        ),
        (
            RuntimeError("I/O error: File too large (os error 27)"),
            "a file has reached the largest size allowed while saving; 3 of them are in y; raise "
            "the limit (ulimit -f) or choose another --out",
        ),
        (
            OSError(errno.EIO, "Input/output error"),
            "cannot write while saving: Input/output error; 3 of them are in y; mend that or "
            "choose another --out",
        ),
    ],
)
def test_other_faults_say_what_is_left_and_what_helps(error, message, tmp_path):
    advice = "3 of them are in y; free some space or choose another --out"
    with pytest.raises(MerEdgeError) as raised, files.disk_errors(tmp_path / "x", "saving", advice):
        raise error
    assert str(raised.value) == f"{tmp_path / 'x'}: {message}"


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "r.json"
    target.write_text("old")
    with pytest.raises(ValueError, match="boom"), files.new_file(target, "saving") as temporary:
        temporary.write_text("half")
        raise ValueError("boom")
    assert target.read_text() == "old"
    with files.new_file(target, "saving") as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert names(tmp_path) == ["r.json"]
    assert target.stat().st_mode & 0o077 == 0o666 & ~files._umask() & 0o077


def test_a_link_stays_and_its_file_is_written(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real" / "r.json")
    with files.new_file(link, "saving") as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "r.json").read_text() == "new"
    assert names(tmp_path / "real") == ["r.json"]


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(MerEdgeError, match="pipe: a device or a pipe"):
        with files.new_file(pipe, "saving"):
            pytest.fail("no temporary file is offered")
    assert pipe.is_fifo()


def test_a_folder_that_may_not_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(MerEdgeError, match=f"--out: the folder {tmp_path} may not be written"):
        files.check_new_file(tmp_path / "new" / "r.json", "--out")
