"""Spans, their trace in Chrome's format, and the picture."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pytest

from mer_edge.bundle import Bundle
from runtime.bench.spans import RecordedChain, Recorder, Span, spans_of_runs, stage_times_ms
from runtime.bench.trace import write_trace
from runtime.bench.waterfall import draw_waterfall, median_run
from runtime.bench.workload import synthetic_clip
from tests.runtime.bundles import make_clip
from tests.runtime.media import face_video

TINY = Path(__file__).parents[2] / "data" / "tiny-bundle"
SPANS = [
    Span("total", 7, 100.0, 130.0, run=1),
    Span("text", 7, 101.0, 111.0, run=1),
    Span("audio", 8, 111.0, 121.0, run=1),
    Span("audio", 8, 122.0, 124.0, run=1),
    Span("visual", 7, 111.5, 128.0, run=1),
    Span("total", 7, 140.0, 190.0, run=2),
    Span("text", 7, 140.0, 165.0, run=2),
]


class Complete(msgspec.Struct, tag_field="ph", tag="X", forbid_unknown_fields=True):
    """Trace Event Format, "Complete Events": these fields, times in microseconds."""

    name: str
    cat: str
    ts: float
    dur: float
    pid: int
    tid: int
    args: dict[str, Any]


class Metadata(msgspec.Struct, tag_field="ph", tag="M", forbid_unknown_fields=True):
    """Trace Event Format, "Metadata Events"."""

    name: Literal["process_name", "thread_name"]
    pid: int
    tid: int
    args: dict[Literal["name"], str]


class Trace(msgspec.Struct, forbid_unknown_fields=True):
    """Trace Event Format, "JSON Object Format"."""

    traceEvents: list[Complete | Metadata]  # noqa: N815
    displayTimeUnit: Literal["ms", "ns"]  # noqa: N815
    otherData: dict[str, str]  # noqa: N815


def test_the_trace_is_what_perfetto_reads(tmp_path: Path) -> None:
    write_trace(SPANS, tmp_path / "t.json", "a bundle", {"engine": "abacus"})
    trace = msgspec.json.decode((tmp_path / "t.json").read_bytes(), type=Trace, strict=True)
    events = [event for event in trace.traceEvents if isinstance(event, Complete)]
    assert [event.name for event in events] == [
        "run 1", "text", "audio", "visual", "audio", "run 2", "text"
    ]  # fmt: skip
    assert (events[2].ts, events[2].dur, events[2].tid) == (111_000.0, 10_000.0, 8)
    names = {(e.name, e.tid): e.args["name"] for e in trace.traceEvents if isinstance(e, Metadata)}
    assert names == {
        ("process_name", 0): "a bundle",
        ("thread_name", 7): "main",
        ("thread_name", 8): "worker 1",
    }
    _check_nesting(events)
    assert trace.otherData == {"engine": "abacus"}


def _check_nesting(events: list[Complete]) -> None:
    """Slices of one thread lie inside each other or apart, or the viewer drops them."""
    for tid in {event.tid for event in events}:
        ends = [float("inf")]
        for event in (event for event in events if event.tid == tid):
            while event.ts >= ends[-1]:
                ends.pop()
            assert event.ts + event.dur <= ends[-1]
            ends.append(event.ts + event.dur)


def test_stages_add_up_per_run_and_begin_with_their_run() -> None:
    times = stage_times_ms(SPANS)
    assert times == {"text": [10.0, 25.0], "audio": [12.0], "visual": [16.5]}
    assert spans_of_runs(SPANS)[1][0] == Span("text", 7, 1.0, 11.0, run=1)
    assert median_run(SPANS) == 2
    assert median_run(SPANS[:5]) == 1


def test_a_stem_is_part_of_its_encoder_s_time() -> None:
    spans = [Span("visual_stem", 1, 0, 4, 1), Span("visual", 1, 5, 7, 1)]
    assert stage_times_ms(spans) == {"visual_stem": [4.0], "visual": [6.0]}


def test_a_recorder_takes_spans_of_any_thread() -> None:
    recorder = Recorder()
    with recorder.record("outer"):

        def work() -> None:
            with recorder.record("inner"):
                pass

        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
    inner, outer = recorder.spans
    assert (inner.name, outer.name) == ("inner", "outer")
    assert inner.thread != outer.thread == threading.get_native_id()
    assert outer.start_ms <= inner.start_ms <= inner.end_ms <= outer.end_ms


def test_the_recorded_chain_has_every_graph_once(bundle: Bundle) -> None:
    chain = RecordedChain(bundle, "cpu", 1)
    for _ in range(2):
        chain.run_clip(make_clip())
    times = stage_times_ms(chain.recorder.spans)
    assert set(times) == {"tokenize", "text", "audio", "visual", "fusion"}
    assert all(len(values) == 2 and min(values) > 0 for values in times.values())
    for spans in spans_of_runs(chain.recorder.spans).values():
        ends = {span.name: span.end_ms for span in spans}
        assert max(ends.values()) == ends["fusion"]


def test_a_file_s_faces_are_inside_its_media(tmp_path: Path) -> None:
    chain = RecordedChain(Bundle.load(TINY), "cpu", 1)
    chain.run_file(face_video(tmp_path / "clip.mp4"))
    times = stage_times_ms(chain.recorder.spans)
    assert 0 < times["faces"][0] < times["media"][0]
    assert {"audio", "visual", "fusion"} <= set(times)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    draw_waterfall(SPANS, tmp_path / "p.svg", "a bundle for $5")
    found = re.findall(r"<!-- (.+?) -->", (tmp_path / "p.svg").read_text())
    assert {"text", "25.0 ms", "ms since the clip was given"} <= set(found)
    assert "50.0 ms in all, the median of 2 runs that were recorded" in " ".join(found)


@pytest.mark.parametrize(("segments", "tokens"), [(1, 3), (4, 8)])
def test_the_synthetic_clip_has_the_sizes_that_were_asked_for(
    bundle: Bundle, segments: int, tokens: int
) -> None:
    from runtime.bench.workload import tokens_of

    clip = synthetic_clip(bundle, segments, tokens)
    assert (clip.segments, tokens_of(bundle, clip)) == (segments, tokens)
    assert clip.audio_present.all()
    assert clip.face_present.all()
    assert np.ptp(clip.faces) == 255
    assert clip.end_s == pytest.approx(0.96 * segments)
