"""A run that is killed at any moment goes on to the bits of one that was not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mer_edge.errors import MerEdgeError
from train.options import options_for
from train.run import train

OPTIONS = options_for("tiny", epochs=4, workers=1)


@pytest.fixture(scope="module")
def uninterrupted(drawn_data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(drawn_data, out, OPTIONS)
    return out


def start(data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mer_edge", "train", str(data), "--out", str(out)]
    options = ["--preset", "tiny", "--epochs", "4", "--resume", "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [*command, *options, *more], stderr=subprocess.PIPE, text=True, env=environment
    )


def wait_for(path: Path, process: subprocess.Popen[str], limit_s: float = 60) -> None:
    until = time.monotonic() + limit_s
    while not path.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    assert path.exists(), process.communicate()


def curve(run: Path) -> list[tuple[float, float, bool]]:
    records = json.loads((run / "history.json").read_text())
    return [(record["train_loss"], record["valid_loss"], record["best"]) for record in records]


def same(run: Path, whole: Path) -> bool:
    weights = [(folder / "best/model.safetensors").read_bytes() for folder in (run, whole)]
    return weights[0] == weights[1] and curve(run) == curve(whole)


def test_kill_9_at_random_moments_changes_no_bit(drawn_data, uninterrupted, tmp_path):
    """Two kills after the first state is there, wherever they fall: in a step, while saving."""
    out = tmp_path / "run"
    moments = random.Random(2022)
    # The first while the three epochs that are left take a fast machine a second, the second from
    # the start of the process on.
    for most_s in (0.3, 1.5):
        process = start(drawn_data, out)
        wait_for(out / "last/state.json", process)
        time.sleep(moments.uniform(0, most_s))
        assert process.poll() is None
        process.kill()
        process.wait()
    finished = start(drawn_data, out)
    assert finished.wait(120) == 0, finished.communicate()
    assert same(out, uninterrupted)
    assert not (out / "last").exists()
    assert not list(out.glob(".*"))


def test_sigterm_saves_within_an_epoch_and_says_how_to_go_on(drawn_data, uninterrupted, tmp_path):
    out = tmp_path / "run"
    process = start(drawn_data, out)
    wait_for(out / "last/state.json", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    (line,) = process.communicate()[1].splitlines()
    assert line.startswith("stopped by SIGTERM in epoch ")
    assert line.endswith(f"{out} is saved; go on with the same command and --resume")
    standing = json.loads((out / "last/state.json").read_text())["standing"]
    assert standing["epoch"] >= 2
    report = train(drawn_data, out, OPTIONS, resume=True)
    assert report.finished
    assert same(out, uninterrupted)


def test_resume_begins_where_there_is_nothing_and_does_nothing_where_all_is_done(
    drawn_data, tmp_path
):
    options = replace(OPTIONS, epochs=1)
    first = train(drawn_data, tmp_path / "run", options, resume=True)
    before = (tmp_path / "run/report.json").read_bytes()
    assert train(drawn_data, tmp_path / "run", options, resume=True) == first
    with pytest.raises(MerEdgeError, match="begun with seed 0 and is asked for with 1 now; exp"):
        train(drawn_data, tmp_path / "run", replace(options, seed=1), resume=True)
    assert (tmp_path / "run/report.json").read_bytes() == before


@pytest.fixture
def interrupted(drawn_data, tmp_path, monkeypatch) -> Path:
    """A run that ends in its second epoch, as if the process had died."""
    from train import loop

    original = loop.predict
    calls = []

    def predict(*arguments, **named):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("died")
        return original(*arguments, **named)

    monkeypatch.setattr(loop, "predict", predict)
    with pytest.raises(RuntimeError, match="died"):
        train(drawn_data, tmp_path / "run", OPTIONS)
    monkeypatch.setattr(loop, "predict", original)
    return tmp_path / "run"


def test_another_run_is_not_taken_up(interrupted, drawn_data, few_clips):
    with pytest.raises(MerEdgeError, match="begun with seed 0 and is asked for with 1 now; exp"):
        train(drawn_data, interrupted, replace(OPTIONS, seed=1), resume=True)
    manifest = few_clips / "manifest.jsonl"
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(lines[:-1]))
    other = replace(OPTIONS, cache=drawn_data / ".prepared")
    with pytest.raises(MerEdgeError, match="the data has changed since the run was begun"):
        train(few_clips, interrupted, other, resume=True)
    assert (interrupted / "last/state.json").is_file()


def test_a_damaged_state_is_named(interrupted, drawn_data):
    state = interrupted / "last/state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(MerEdgeError, match=r"state.safetensors: cannot go on from it"):
        train(drawn_data, interrupted, OPTIONS, resume=True)
    (interrupted / "last/state.json").write_text("{}")
    with pytest.raises(MerEdgeError, match=r"state.json: not the state of a run"):
        train(drawn_data, interrupted, OPTIONS, resume=True)


def test_what_a_kill_between_two_renames_leaves_is_mended(interrupted, uninterrupted, drawn_data):
    aside = interrupted / ".last.abcd.old"
    aside.mkdir()
    (interrupted / "last").rename(aside / "last")
    (interrupted / ".best.efgh.tmp").mkdir()
    train(drawn_data, interrupted, OPTIONS, resume=True)
    assert same(interrupted, uninterrupted)
    assert not list(interrupted.glob(".*"))


def test_a_full_disk_stops_the_run_and_leaves_the_last_good_state(
    drawn_data, uninterrupted, tmp_path, monkeypatch
):
    from train import folder

    original = folder.write_state
    calls = []

    def write_state(*arguments):
        calls.append(1)
        original(*arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "write_state", write_state)
    with pytest.raises(
        MerEdgeError,
        match=r"run/last: the disk is full while saving the state .* go on with --resume",
    ):
        train(drawn_data, tmp_path / "run", OPTIONS)
    assert (tmp_path / "run/last/state.json").is_file()
    monkeypatch.setattr(folder, "write_state", original)
    train(drawn_data, tmp_path / "run", OPTIONS, resume=True)
    assert same(tmp_path / "run", uninterrupted)
