"""Processes that make clips: interrupted, ended from outside, with a full disk."""

import errno
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import pytest

from mer_edge.errors import MerEdgeError
from mer_edge.samples.sample import Sample
from train import prepare_pool
from train.prepare_pool import make_in_processes
from train.prepare_worker import Job
from train.store import open_store

SCRIPT = """
import signal
import sys
from pathlib import Path
from tests.train.test_prepare_pool import jobs_in
from train.prepare_pool import make_in_processes

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # nohup and cron ignore it
    data, store = map(Path, sys.argv[1:])
    for job, reason in make_in_processes(jobs_in(data), store, 2):
        print(job.key, flush=True)
"""


def jobs_in(folder: Path) -> list[Job]:
    files = sorted(folder.glob("*.wav"))
    return [Job(file.stem, Sample(file, None, (), "train"), 1) for file in files]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for number in range(40):
        with wave.open(str(folder / f"{number:03}.wav"), "wb") as out:
            out.setparams((1, 2, 16000, 0, "NONE", ""))
            out.writeframes(b"\x00\x10\x00\xf0" * 8000)  # no digital silence
    return folder


def test_all_are_made_each_process_its_shard(folder, tmp_path):
    jobs = jobs_in(folder)
    made = dict(make_in_processes(jobs, tmp_path, 2))
    assert made == dict.fromkeys(jobs)
    assert set(open_store(tmp_path)) == {job.key for job in jobs}
    assert 1 <= len(list(tmp_path.glob("shard-*"))) <= 2


def test_short_clips_are_given_out_many_at_a_time(folder):
    jobs = jobs_in(folder)
    assert [len(part) for part in prepare_pool._parts(jobs, 2)] == [1] * 40
    sizes = [len(part) for part in prepare_pool._parts(jobs * 100, 2)]
    assert sizes == [16] * 250
    assert [job for part in prepare_pool._parts(jobs * 5, 1) for job in part] == jobs * 5


def test_what_a_caller_that_stops_has_got_is_kept(folder, tmp_path):
    making = make_in_processes(jobs_in(folder), tmp_path, 2)
    got = [next(making)[0].key for _ in range(5)]
    making.close()
    assert set(got) <= set(open_store(tmp_path))
    assert len(open_store(tmp_path)) <= 5 + 2 * prepare_pool.PARTS_AHEAD


def test_a_process_ended_from_outside_is_told_and_the_other_keeps_its_clips(folder, tmp_path):
    making = make_in_processes(jobs_in(folder), tmp_path, 2)
    next(making)
    victim = prepare_pool.multiprocessing.active_children()[0]
    victim.kill()
    victim.join()
    with pytest.raises(MerEdgeError, match=r"ended from outside.* fewer --workers"):
        list(making)
    assert not prepare_pool.multiprocessing.active_children()


def test_a_full_disk_in_a_process_is_told(folder, tmp_path):
    class Full:
        def __init__(self, *arguments):
            pass

        def add(self, key, clip):
            raise MerEdgeError(f"{os.strerror(errno.ENOSPC)}: make room")

        def flush(self):
            pass

    # Here and not in a process, which would import the real writer.
    connection, theirs = prepare_pool.multiprocessing.Pipe()
    connection.send(jobs_in(folder)[:1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare_pool, "ShardWriter", Full)
        patch.setattr(prepare_pool.signal, "signal", lambda *_: None)
        prepare_pool._work(theirs, tmp_path)
    said = connection.recv()
    assert isinstance(said, MerEdgeError)
    assert "make room" in str(said)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_ctrl_c_keeps_what_is_made_and_leaves_nobody_behind(folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), str(tmp_path / "store")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        start_new_session=True,
    )
    assert process.stdout is not None
    got = [process.stdout.readline().strip() for _ in range(3)]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, said = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    assert set(got) <= set(open_store(tmp_path / "store"))
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("a process is left")
