"""``mer-edge bench`` on a real bundle, run as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mer_edge.cli.main import main
from mer_edge.cli.progress import Bars
from mer_edge.errors import MerEdgeError, MissingExtraError
from runtime.bench import peers
from runtime.bench.partner import Partner
from runtime.bench.report import BENCH_SCHEMA_VERSION, BenchReport
from runtime.bench.rows import warnings
from tests.runtime.bundles import make_bundle
from tests.runtime.media import face_video

TINY = Path(__file__).parents[2] / "data" / "tiny-bundle"
FEW = ["--rounds", "4", "--warm-ups", "1", "--batch", "2", "--threads", "1"]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("bench")
    files = ["--out", "r.json", "--trace", "t.json", "--plot", "p.png"]
    command = [sys.executable, "-m", "mer_edge", "bench", str(TINY), *FEW, "--cold-runs", "1"]
    done = subprocess.run(
        [*command, "--against", str(TINY), "--json", *files],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_every_figure_is_there(outcome: tuple[Path, dict[str, object]]) -> None:
    import msgspec

    report = msgspec.convert(outcome[1], BenchReport, strict=True)
    assert outcome[1]["warnings"] == warnings(report)
    assert "p99 of 4 runs is the slowest of them; --rounds 100 tells more" in warnings(report)
    assert report.schema_version == BENCH_SCHEMA_VERSION == 1
    assert report.engine == "onnxruntime CPUExecutionProvider"
    assert report.end_to_end_ms is not None
    assert report.end_to_end_ms.runs == 4
    assert report.end_to_end_ms.min_ms <= report.end_to_end_ms.p50_ms <= report.end_to_end_ms.p99_ms
    assert {"tokenize", "text", "audio", "visual", "fusion"} <= set(report.stages_ms)
    assert "media" not in report.stages_ms
    sequential = sum(report.stages_ms[s].min_ms for s in ("text", "audio", "fusion"))
    assert sequential < report.end_to_end_ms.max_ms
    assert report.real_time_factor == pytest.approx(report.end_to_end_ms.p50_ms / 4800)
    assert report.throughput is not None
    assert report.throughput.clips_per_s == pytest.approx(2e3 / report.throughput.batch_ms.p50_ms)
    assert report.energy is None
    assert report.stability is not None
    assert report.stability.loops == 8
    assert not report.interrupted


def test_a_cold_start_is_the_sum_of_its_parts(outcome: tuple[Path, dict[str, object]]) -> None:
    import msgspec

    report = msgspec.convert(outcome[1], BenchReport)
    assert report.cold_start is not None
    phases = report.cold_start.phases_ms
    assert list(phases) == ["start", "import", "bundle", "sessions", "input", "first run"]
    assert all(spent > 0 for spent in phases.values())
    assert sum(phases.values()) == pytest.approx(report.cold_start.first_decision_ms.p50_ms)
    assert report.memory is not None
    assert 30e6 < report.memory.peak_bytes < 400e6


def test_a_ratio_that_may_be_anything_is_told(outcome: tuple[Path, dict[str, object]]) -> None:
    import msgspec

    report = msgspec.convert(outcome[1], BenchReport, strict=True)
    assert report.peer is not None
    for low, told in ((2.0, False), (0.5, True)):
        ratio = replace(report.peer.ratio, low=low, high=2.5)
        found = warnings(replace(report, peer=replace(report.peer, ratio=ratio)))
        assert ("anywhere between 0.50 and 2.50" in " ".join(found)) is told


def test_the_peer_took_turns_with_us(outcome: tuple[Path, dict[str, object]]) -> None:
    import msgspec

    report = msgspec.convert(outcome[1], BenchReport)
    assert report.peer is not None
    assert report.peer.latency_ms.runs == report.peer.ratio.rounds == 4
    assert 0.2 < report.peer.ratio.of_medians < 5
    assert report.peer.memory_ratio is not None


def test_the_files_are_written(outcome: tuple[Path, dict[str, object]]) -> None:
    folder, report = outcome
    assert json.loads((folder / "r.json").read_text()) == report
    assert (folder / "p.png").read_bytes()[1:4] == b"PNG"
    names = {event["name"] for event in json.loads((folder / "t.json").read_text())["traceEvents"]}
    assert {"run 2", "text", "audio", "fusion", "thread_name"} <= names


def test_a_file_is_measured_from_its_bytes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = face_video(tmp_path / "clip.mp4")
    page = tmp_path / "page.md"
    arguments = ["bench", str(TINY), *FEW, "--cold-runs", "0", "--clip", str(video)]
    assert main([*arguments, "--out", str(page)]) == 0
    printed = capsys.readouterr().out
    for text in (printed, page.read_text()):
        for part in ("media", "faces", "real-time factor", "not reported by this machine"):
            assert part in text
    assert printed.splitlines()[-1].startswith(("next: mer-edge bench ", "next: close other"))
    assert "| end to end |" in page.read_text()


def test_ctrl_c_tells_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real signal after the third round."""
    # A shell that starts a job in the background has it ignore the signal; Python then keeps that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def step(self: Bars, stage: str, done: int, total: int, detail: str = "") -> None:
        if (stage, done) == ("in turns", 3):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Bars, "step", step)
    arguments = ["bench", str(TINY), "--threads", "1", "--cold-runs", "0", "--against", str(TINY)]
    try:
        assert main([*arguments, "--out", str(tmp_path / "r.json")]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["interrupted"] is True
    assert report["end_to_end_ms"]["runs"] == report["peer"]["latency_ms"]["runs"] == 3
    assert report["throughput"] is None
    shown, err = capsys.readouterr()
    assert "warning: interrupted" in shown
    assert err == f"interrupted: what was measured is in {tmp_path / 'r.json'}\n"


def test_ctrl_c_in_the_batches_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from runtime.bench.session import Session

    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def step(self: Bars, stage: str, done: int, total: int, detail: str = "") -> None:
        if stage == "batches":
            os.kill(os.getpid(), signal.SIGINT)

    def later(self: Session, *_: object) -> None:
        raise AssertionError("it went on")

    monkeypatch.setattr(Bars, "step", step)
    monkeypatch.setattr(Session, "_energy", later)
    try:
        assert main(["bench", str(TINY), *FEW, "--cold-runs", "0", "--quiet"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr() == ("", "interrupted: nothing was kept\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rounds", "0"], "--rounds 0: expected 1 to"),
        (["--batch", "0"], "--batch 0"),
        (["--batch", "999"], "takes at most 16 clips at once"),
        (["--segments", "300"], "--segments 300: this bundle takes 1 to 256"),
        (["--tokens", "2"], "--tokens 2: this bundle takes 3 to 128"),
        (["--clip", "x.mp4", "--tokens", "9"], "found --tokens with --clip"),
        (["--against", "caffe"], "--against caffe: neither a bundle nor one of pytorch"),
        (["--run", "somewhere"], "--run somewhere without --against"),
        (["--against", str(TINY), "--run", "x"], "a bundle with weights already"),
        (["--against", "pytorch", "--run", "x"], "--run x: no directory"),
        (["--against", "openvino", "--device", "cuda"], "runs on cpu; found --device cuda"),
        (["--device", "tpu"], "--device tpu: no such device"),
        (["--out", "report.txt"], "the extension is '.txt'; expected .json or .md"),
        (["--plot", "p.gif"], "the extension is '.gif'"),
        (["--json", "--quiet"], "--json and --quiet were given together"),
        (["--clip", "none.mp4"], "none.mp4"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(TINY), "--cold-runs", "0", *arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("error: ")
    assert says in said[-1]


def test_what_a_peer_lacks_is_named_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n in ("torch",) else found(n, *a)
    )
    with pytest.raises(MissingExtraError, match=r"needs the package torch.*mer-edge\[export\]"):
        peers.check_peer("pytorch", None, "cpu")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "openvino" else found(n, *a)
    )
    with pytest.raises(MerEdgeError, match="pip install 'openvino"):
        peers.check_peer("openvino", None, "cpu")


def test_a_partner_that_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    request = {"bundle": str(tmp_path), "clip": "none.npz", "device": "cpu", "threads": 1}
    with pytest.raises(MerEdgeError, match="no manifest"):
        Partner("runtime.bench.bundle_peer", request, "--against x")
    with pytest.raises(MerEdgeError, match=r"ended with 1.*AttributeError"):
        Partner("runtime.bench.report", {}, "--against x")


def test_quiet_is_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_bundle(tmp_path / "b")
    arguments = ["--segments", "2", "--tokens", "4", "--cold-runs", "0", "--quiet", *FEW]
    assert main(["bench", str(tmp_path / "b"), *arguments, "--out", str(tmp_path / "r.json")]) == 0
    assert capfd.readouterr() == ("", "")
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["workload"]["segments"], report["workload"]["tokens"]) == (2, 4)


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (["--out", "b.md", "--trace", "b.md"], "--trace b.md: that is --out, too"),
        (["--plot", "p.png", "--trace", "link.json"], "--trace link.json: that is --plot, too"),
        (["--clip", "a.json", "--out", "./a.json"], "--out a.json: that is what is read, too"),
        (["--clip", "a.mp4", "--trace", "a.txt"], "--trace a.txt: that is what is read, too"),
        (["--out", f"{TINY}/manifest.json"], "manifest.json: that is what is read, too"),
        (
            ["--against", str(TINY), "--trace", f"{TINY}/text.onnx"],
            "text.onnx: that is what is read, too",
        ),
        (
            ["--against", "pytorch", "--run", "run", "--out", "run/config.json"],
            "--out run/config.json: that is what is read, too",
        ),
    ],
)
def test_no_output_takes_the_place_of_another_or_of_an_input(
    arguments: list[str],
    refused: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link.json").symlink_to("p.png")
    Path("a.json").write_bytes(b"media of that name")
    assert main(["bench", str(TINY), *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert refused in err
    assert Path("a.json").read_bytes() == b"media of that name"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "link.json"]
