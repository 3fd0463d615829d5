"""The same job on a Ray cluster of two workers says the same, to the last digit that counts."""

from __future__ import annotations

import importlib.util
import os
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


@needs_ray
def test_no_cluster_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["infer", str(TINY), str(folder), "--ray", "127.0.0.1:1"]) == 2
    assert "--ray 127.0.0.1:1: no cluster there" in capsys.readouterr().err


def test_without_ray(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["infer", str(TINY), str(folder), "--ray"]) == 2
    assert "pip install 'mer-edge[ray]'" in capsys.readouterr().err
