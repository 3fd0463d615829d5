"""A preparing process that is killed: what it wrote is kept, what it left is cleared away."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mer_edge.files import new_file
from mer_edge.samples.manifest import read_manifest
from train.prepare import prepare_samples
from train.prepared import read_clip
from train.progress import Silent

SCRIPT = """
import sys
from pathlib import Path
from train import store
from mer_edge.samples.manifest import read_manifest
from train.prepare import prepare_samples
from train.progress import Silent

class Telling(Silent):
    def step(self, stage, done, total, detail=""):
        print(done, flush=True)

store.SHARD_BYTES = 1  # a shard a clip, also in the processes that are started

if __name__ == "__main__":
    data, folder, workers = sys.argv[1:]
    prepare_samples(read_manifest(Path(data)), Path(folder), 1, int(workers), Telling())
"""


class Counting(Silent):
    def __init__(self) -> None:
        self.begun_with: int | None = None

    def step(self, stage, done, total, detail=""):
        if self.begun_with is None:
            self.begun_with = done


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task")
    return [
        int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()
    ]


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks into /proc")
def test_a_killed_preparation_goes_on_where_it_was(drawn_data, tmp_path):
    script, store = tmp_path / "script.py", tmp_path / "store"
    script.write_text(SCRIPT)
    samples = read_manifest(drawn_data)
    process = subprocess.Popen(
        [sys.executable, str(script), str(drawn_data), str(store), "2"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 5:  # the clip before this one is on disk
            break
    workers = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {shard: shard.read_bytes() for shard in store.glob("shard-*.parquet")}
    assert 4 <= len(kept) < len(samples)
    with pytest.raises(KeyboardInterrupt), new_file(store / "shard-x.parquet", "writing") as half:
        left = half.with_name(f"{half.name}-left")  # as of a kill while a shard is written
        left.write_bytes(b"PAR1")
        raise KeyboardInterrupt
    assert left.name.startswith(".shard-")

    counting = Counting()
    ready, skipped = prepare_samples(samples, store, 1, 1, counting)
    assert not skipped
    assert counting.begun_with == len(kept)
    assert all(shard.read_bytes() == content for shard, content in kept.items())
    assert not left.exists()
    assert len({item.stored for item in ready}) == len(samples)
    assert all(read_clip(item.stored).segments for item in ready)
    ends = time.monotonic() + 20
    while any(running(worker) for worker in workers):  # nobody works for the dead
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert workers
