"""One measurement of one bundle: cold starts, stages, runs in turn, batches, energy."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from mer_edge.bundle import Bundle
from mer_edge.checkout import commit
from mer_edge.clip import Clip
from mer_edge.clip_file import save_clip
from runtime.bench.cold import cold_run, measure_cold
from runtime.bench.energy import open_meter
from runtime.bench.machine import read_machine
from runtime.bench.options import BenchOptions
from runtime.bench.own_runs import OwnRuns
from runtime.bench.partner import Partner
from runtime.bench.peer_figures import peer_figures
from runtime.bench.peers import start_peer
from runtime.bench.report import BenchReport, Settings, Throughput, bundle_facts
from runtime.bench.rounds import Rounds, Step, run_rounds
from runtime.bench.spans import RecordedChain, Span, stage_times_ms
from runtime.bench.stability import Watch
from runtime.bench.summary import Latency
from runtime.bench.workload import (
    Workload,
    file_clips,
    file_workload,
    longest,
    synthetic_clip,
    tokens_of,
)
from runtime.recognizer import Recognizer

OWN, OWN_CLIP, PEER = "own", "own clip", "peer"
LEAST_RECORDED = 5
LEAST_ENERGY_S = 2.0
STAGES = ("media", "faces", "tokenize", "text", "audio", "visual_stem", "visual", "fusion")


@dataclass
class Measurement:
    """What has been found so far; Ctrl-C leaves the rest as it is."""

    report: BenchReport
    spans: list[Span] = field(default_factory=list)
    """Of the recorded runs."""

    def add(self, **found: object) -> None:
        """Put figures into the report."""
        self.report = replace(self.report, **found)  # type: ignore[arg-type]


class Session:
    """Measures a bundle step by step.

    Args:
        step: told of progress.

    Raises:
        MerEdgeError: the bundle, the clip, the device or the peer.
    """

    def __init__(self, bundle: Bundle, options: BenchOptions, step: Step) -> None:
        self._bundle, self._options, self._step = bundle, options, step
        self._batch = options.clips_at_once(bundle)
        self._clips = self._make_clips()
        self._clip = longest(self._clips)
        workload = self._workload()
        self.found = Measurement(
            BenchReport(
                bundle=bundle_facts(bundle),
                workload=workload,
                settings=_settings(options, self._batch),
                machine=read_machine(options.device),
                engine="",
                measured=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                commit=commit(),
            )
        )

    def run(self) -> Measurement:
        """Everything; after Ctrl-C what was measured until then."""
        try:
            with tempfile.TemporaryDirectory(prefix="mer-edge-bench-") as folder:
                clip_file = Path(folder) / "clip.npz"
                save_clip(self._clip, clip_file)
                self._cold_starts(clip_file)
                if not self.found.report.interrupted:
                    self._warm(clip_file)
        except KeyboardInterrupt:
            self.found.add(interrupted=True)
        return self.found

    def _cold_starts(self, clip_file: Path) -> None:
        options = self._options
        cold, memory, interrupted = measure_cold(
            options.cold_runs,
            lambda: cold_run(
                self._bundle.path, options.device, options.threads, clip_file, options.clip
            ),
            lambda done: self._step("cold starts", done, options.cold_runs),
        )
        self.found.add(cold_start=cold, memory=memory, interrupted=interrupted)

    def _warm(self, clip_file: Path) -> None:
        options = self._options
        with ExitStack() as stack:
            partner: Partner | None = None
            if options.against is not None:
                self._step(f"starting {options.against}", 0, 1)
                partner = stack.enter_context(
                    start_peer(
                        options.against,
                        self._bundle,
                        clip_file,
                        options.device,
                        options.threads,
                        options.run,
                    )
                )
                self._step(f"starting {options.against}", 1, 1)
            recognizer = Recognizer(self._bundle, options.device, options.threads)
            self._in_turns(recognizer, partner)
        if self.found.report.interrupted:
            return
        self._batches(recognizer)
        if self.found.report.interrupted:
            return
        self._energy(recognizer)
        del recognizer
        self._record()

    def _in_turns(self, recognizer: Recognizer, partner: Partner | None) -> None:
        options, found = self._options, self.found
        own = OwnRuns(recognizer, self._clip, options.clip)
        subjects: dict[str, Callable[[], float]] = {OWN: own.run}
        if partner is not None:
            if options.clip is not None:
                subjects[OWN_CLIP] = own.run_clip
            subjects[PEER] = partner.run
        watch = Watch()
        rounds = run_rounds(subjects, options.rounds, options.warm_ups, watch, self._step)
        found.add(interrupted=rounds.interrupted, engine=own.engine)
        times_ms = rounds.times_ms[OWN]
        if not times_ms:
            return
        latency = Latency.of(times_ms)
        found.add(
            end_to_end_ms=latency,
            stages_ms=own.stages(len(times_ms)) if options.device == "cpu" else {},
            real_time_factor=latency.p50_ms / 1e3 / found.report.workload.audio_s,
            stability=watch.judge(
                {
                    whose: Latency.of(series).tail
                    for whose, series in (("ours", times_ms), ("theirs", rounds.times_ms.get(PEER)))
                    if series
                }
            ),
        )
        if partner is not None:
            self._add_peer(partner, rounds, own)

    def _add_peer(self, partner: Partner, rounds: Rounds, own: OwnRuns) -> None:
        own_ms = rounds.times_ms[OWN_CLIP if OWN_CLIP in rounds.times_ms else OWN]
        same = self._options.run is not None or self._options.against == "onnxruntime-merged"
        figures = peer_figures(
            self._options.against or "",
            partner,
            own_ms,
            rounds.times_ms[PEER],
            own.logits if same else None,
            self.found.report.memory if self._options.clip is None else None,
        )
        self.found.add(peer=figures)

    def _batches(self, recognizer: Recognizer) -> None:
        options = self._options
        clips = [self._clip] * self._batch

        def run() -> float:
            started = time.perf_counter()
            recognizer.run_batch(clips)
            return (time.perf_counter() - started) * 1e3

        step: Step = lambda what, done, total: self._step("batches", done, total)  # noqa: E731
        rounds = run_rounds({"batch": run}, options.batch_rounds, 1, None, step)
        times_ms = rounds.times_ms["batch"]
        self.found.add(interrupted=rounds.interrupted)
        if times_ms:
            batch_ms = Latency.of(times_ms)
            rate = self._batch / batch_ms.p50_ms * 1e3
            self.found.add(throughput=Throughput(self._batch, rate, batch_ms))

    def _energy(self, recognizer: Recognizer) -> None:
        meter = open_meter(self._options.device)
        if meter is None:
            return
        own = OwnRuns(recognizer, self._clip, self._options.clip)
        runs, started = 0, time.perf_counter()
        meter.start()
        while time.perf_counter() - started < LEAST_ENERGY_S:
            own.run()
            runs += 1
        self.found.add(energy=meter.stop(runs))

    def _record(self) -> None:
        """Runs whose stages are recorded, apart from those that were timed."""
        chain = RecordedChain(self._bundle, self._options.device, self._options.threads)
        count = max(LEAST_RECORDED, self._options.rounds // 10)
        for number in range(1 + count):
            if self._options.clip is not None:
                chain.run_file(self._options.clip)
            else:
                chain.run_clip(self._clip)
            if number == 0:  # warms up
                chain.recorder.spans.clear()
            self._step("stages", number, count)
        self.found.spans = chain.recorder.spans
        recorded = {k: Latency.of(v) for k, v in stage_times_ms(chain.recorder.spans).items()}
        stages = {**recorded, **self.found.report.stages_ms}
        self.found.add(stages_ms={name: stages[name] for name in STAGES if name in stages})

    def _make_clips(self) -> list[Clip]:
        options = self._options
        if options.clip is not None:
            return file_clips(self._bundle, options.clip)
        return [synthetic_clip(self._bundle, options.segments, options.tokens)]

    def _workload(self) -> Workload:
        if self._options.clip is not None:
            return file_workload(self._bundle, self._clips, self._options.clip)
        clip = self._clip
        return Workload("synthetic", clip.segments, tokens_of(self._bundle, clip), clip.end_s)


def _settings(options: BenchOptions, batch: int) -> Settings:
    return Settings(
        device=options.device,
        threads=options.threads,
        rounds=options.rounds,
        warm_ups=options.warm_ups,
        batch=batch,
        cold_runs=options.cold_runs,
        against=options.against,
    )
