"""The same job on a Ray cluster of two workers says the same, to the last digit that counts."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mer_edge.bundle import Bundle
from mer_edge.cli.main import main
from mer_edge.clips import ClipOptions
from runtime.batch.job import JobOptions, infer_files
from runtime.batch.sources import find_sources
from tests.runtime.media import face_video, tone_wav

TINY = Path(__file__).parents[2] / "data" / "tiny-bundle"
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="ray is not installed; pip install 'mer-edge[ray]'",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray-media")
    face_video(folder / "face.mp4")
    for number in range(6):
        tone_wav(folder / f"{number}.wav", 1.0 + 0.4 * number)
        (folder / f"{number}.txt").write_text("a good day")
    (folder / "3.wav").write_bytes(b"no sound")
    return folder


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import ray
    from ray.cluster_utils import Cluster

    from runtime.batch.on_ray import connect

    # Workers come from this checkout, whatever is installed.
    path = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    try:
        connect(nodes.address)
        yield
    finally:
        ray.shutdown()
        nodes.shutdown()


@needs_ray
@pytest.mark.slow
def test_two_nodes_say_what_one_machine_says(
    folder: Path, cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from runtime.batch.on_ray import infer_dataset, infer_records

    bundle = Bundle.load(TINY)
    alone = list(infer_files(bundle, [folder], JobOptions(threads=1)))
    sources = list(find_sources([folder], ClipOptions()).sources)
    there = list(infer_records(bundle, sources, JobOptions()))
    assert [record.key for record in there] == [record.key for record in alone]
    assert [record.error for record in there] == [record.error for record in alone]
    assert sum(record.error is not None for record in there) == 1
    for one, other in zip(alone, there, strict=True):
        assert len(one.results) == len(other.results)
        for expected, got in zip(one.results, other.results, strict=True):
            assert got.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
            assert got.source == expected.source
            assert got.notes == expected.notes
            assert set(got.timings_ms) == set(expected.timings_ms)

    rows = infer_dataset([folder], TINY).take_all()
    assert [row["source"] for row in rows] == [str(source.path) for source in sources]
    assert sum(row["error"] is not None for row in rows) == 1
    assert "file" not in rows[0]

    out = tmp_path / "results.jsonl"
    assert main(["infer", str(TINY), str(folder), "--out", str(out), "--quiet", "--ray"]) == 2
    assert out.read_text().count("\n") == len(alone)
    capsys.readouterr()


INTERRUPTED = """
import os, sys, ray
from mer_edge.cli.start import main
{where}
sys.exit(main())
"""
IN_IT = """
init = ray.init
def interrupted(**options):
    {before}
    init(**options)
    {after}
ray.init = interrupted
"""
KILL = "os.kill(os.getpid(), {0:d})"
MOMENTS = {
    "before": IN_IT.format(before=KILL, after="pass"),
    "after": IN_IT.format(before="pass", after=KILL),
    "first actors": "import runtime.batch.on_ray as on_ray; rows = on_ray._dataset\n"
    f"on_ray._dataset = lambda *a: ({KILL}, rows(*a))[1]",
}


@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_while_a_cluster_is_started(
    moment: str, number: signal.Signals, folder: Path
) -> None:
    program = INTERRUPTED.format(where=MOMENTS[moment].format(number))
    mark = f"TEST_OF_{os.getpid()}_{time.monotonic_ns()}"
    done = subprocess.run(
        [sys.executable, "-c", program, "infer", str(TINY), str(folder), "--ray", "--quiet"],
        cwd=Path(__file__).parents[3],
        env={**os.environ, mark: "1"},
        capture_output=True,
        text=True,
        timeout=90,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr.splitlines()[-1] == "interrupted: 0 of 7 files were done"
    assert "Traceback" not in done.stderr
    end_s = time.monotonic() + 20
    while processes_with(mark) and time.monotonic() < end_s:
        time.sleep(0.1)
    assert processes_with(mark) == []


def processes_with(variable: str) -> list[str]:
    """Command lines of the processes that have inherited it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:  # gone, or not ours
            continue
    return found


@needs_ray
def test_no_cluster_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["infer", str(TINY), str(folder), "--ray", "127.0.0.1:1"]) == 2
    assert "--ray 127.0.0.1:1: no cluster there" in capsys.readouterr().err


def test_without_ray(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["infer", str(TINY), str(folder), "--ray"]) == 2
    assert "pip install 'mer-edge[ray]'" in capsys.readouterr().err
