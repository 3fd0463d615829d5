"""What ``mer-edge infer --stream`` tells: a live line, JSON lines as they are made, a summary."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from mer_edge.bundle import Manifest
from mer_edge.cli.main import one_line
from mer_edge.files import check_new_file, disk_errors
from mer_edge.result import Result, decision_text, reason_text
from runtime.audience import Audience
from runtime.introduction import introduce
from runtime.output_paths import check_no_job
from runtime.report import Report
from runtime.result_lines import LineFile, count_lines
from runtime.results import printable
from runtime.stream.counts import StreamCounts


class StreamReport:
    """Takes decisions as they come; a context manager.

    Args:
        json: one JSON object a line on stdout, and nothing else there.
        quiet: one short line a decision, and no summary.
        out: gets the JSON lines as well, each as soon as it is made; a file that is there is
            replaced with the first.

    Raises:
        MerEdgeError: ``out`` cannot be written, or is the results of a folder job.
    """

    def __init__(self, *, json: bool, quiet: bool, out: Path | None) -> None:
        if out is not None:
            check_new_file(out, f"--out {out}")
            check_no_job(out)
        self._lines = Report(json=json, quiet=quiet) if json or quiet else None
        self._json, self._quiet = json, quiet
        self._out = out
        self._file: LineFile | None = None
        self._audience = Audience(out)
        self._live: Any = None
        self._sum = Latencies()
        self.notice = ""
        """The bundle's: printed once, not with every decision."""

    def __enter__(self) -> StreamReport:
        if self._lines is None:
            from rich.console import Console
            from rich.live import Live

            console = Console(highlight=False)
            # A pipe gets a line a decision; a terminal one table that changes in place.
            if console.is_terminal:
                self._live = Live(console=console, auto_refresh=False, transient=True)
                self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
        if self._file is not None:
            self._file.close()

    def begin(self, manifest: Manifest) -> None:
        """Say which model speaks, before its first decision."""
        self.notice = manifest.notice
        introduce(manifest, self._audience, json=self._json, quiet=self._quiet)

    def result(self, result: Result, counts: StreamCounts) -> None:
        """Tell of a decision.

        Raises:
            MerEdgeError: the disk says no.
        """
        self._sum.add(result.timings_ms["latency"])
        if self._out is not None:
            self._write(result, self._out)
        if self._lines is not None:
            with self._audience.told():
                self._lines.result(result)
        elif self._live is not None:
            self._live.update(_view(self._plain(result), counts, self._sum), refresh=True)
        else:
            with self._audience.told():
                print(_line(result), flush=True)

    def end(self) -> None:
        """A signal has come: what is told now waits for nobody who does not read."""
        self._audience.end()

    def interrupted(self, counts: StreamCounts) -> None:
        """What stands after Ctrl-C."""
        told = f"interrupted after {counts.decisions} decisions"
        if self._out is not None and self._file is not None:
            told = f"interrupted: {count_lines(self._out)} decisions are in {self._out}"
        with self._audience.told(sys.stderr):
            print(printable(told), file=sys.stderr, flush=True)

    def close(self, source: str, counts: StreamCounts, next_command: str) -> None:
        """The summary, and what comes next; on stderr where stdout is for results."""
        if self._quiet:
            return
        stream = sys.stderr if self._json else sys.stdout
        with self._audience.told(stream):
            print(printable(summary(source, counts, self._sum)), file=stream, flush=True)
            if self._json:
                return
            if self.notice:
                print(f"notice: {one_line(self.notice)}")
            if self._file is not None:
                print(f"wrote {printable(str(self._out))}")
            print(f"next: {printable(next_command)}", flush=True)

    def _plain(self, result: Result) -> Result:
        return replace(result, notes=[note for note in result.notes if note != self.notice])

    def _write(self, result: Result, out: Path) -> None:
        import msgspec

        with disk_errors(out, "writing a decision", "the decisions before it are in the file"):
            if self._file is None:
                out.absolute().parent.mkdir(parents=True, exist_ok=True)
                self._file = LineFile(out, "wb")
            self._file.add(msgspec.json.encode(result) + b"\n")


class Latencies:
    """How soon decisions come after their segment's end: all of them, in bounded memory."""

    STEP_MS = 1.0
    MOST = 10_000

    def __init__(self) -> None:
        self._counts = [0] * (self.MOST + 1)
        self._number = 0
        self.last_ms = 0.0
        self.most_ms = 0.0

    def add(self, latency_ms: float) -> None:
        """One decision's."""
        self.last_ms = latency_ms
        self.most_ms = max(self.most_ms, latency_ms)
        self._counts[min(self.MOST, int(latency_ms / self.STEP_MS))] += 1
        self._number += 1

    def quantile_ms(self, share: float) -> float:
        """The latency that ``share`` of the decisions do not exceed, to the next full ms."""
        wanted, below = share * self._number, 0
        for step, count in enumerate(self._counts):
            below += count
            if below >= wanted:
                return min((step + 1) * self.STEP_MS, self.most_ms)
        return self.most_ms


def summary(source: str, counts: StreamCounts, latencies: Latencies) -> str:
    """One line on the whole stream."""
    parts = [f"{source}: {counts.decisions} decisions"]
    if counts.decisions:
        parts.append(
            f"after a segment's end p50 {latencies.quantile_ms(0.5):.0f} ms, p99 "
            f"{latencies.quantile_ms(0.99):.0f} ms, most {latencies.most_ms:.0f} ms"
        )
    parts.append(f"{counts.dropped_frames} frames dropped")
    known = [part for part in counts.sentences() if not part.startswith(str(counts.dropped_frames))]
    return "; ".join([*parts, *(sentence.rstrip(".") for sentence in known)])


def _line(result: Result) -> str:
    shown = sorted(result.probabilities.items(), key=lambda item: -item[1])[:3]
    most = " ".join(f"{label} {value:.2f}" for label, value in shown)
    parts = [most if result.has_evidence else "no evidence"]
    if result.has_evidence and result.min_confidence is not None:
        parts.append(f"needs {result.min_confidence:.2f}")
    parts.append(f"{result.timings_ms['latency']:.0f} ms")
    return (
        f"{result.start_s:.2f}-{result.end_s:.2f} s: {decision_text(result)} ({'; '.join(parts)})"
    )


def _view(result: Result, counts: StreamCounts, latencies: Latencies) -> Any:
    """The newest decision as it stands on a terminal."""
    from rich.console import Group
    from rich.text import Text

    from mer_edge.result_table import result_table

    head = (
        f"{result.source} {result.start_s:.2f}-{result.end_s:.2f} s: "
        f"{decision_text(result)} ({reason_text(result)})"
    )
    state = (
        f"{result.audio_segments} of {result.segments} segments with sound, "
        f"{result.face_segments} with a face; latency {latencies.last_ms:.0f} ms "
        f"(p99 {latencies.quantile_ms(0.99):.0f}); {counts.dropped_frames} frames dropped"
    )
    lines = [Text(head, style="bold", no_wrap=True, overflow="ellipsis")]
    if result.text is not None:
        lines.append(Text(f'text: "{result.text}"', no_wrap=True, overflow="ellipsis"))
    notes = [Text(f"note: {note}", style="dim") for note in result.notes]
    return Group(*lines, result_table(result), Text(state, style="dim"), *notes)
