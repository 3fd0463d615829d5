"""Where the time of a training step goes; writes results/training-step.{json,md}.

Real clips from a prepared data set, the whole model, one step after the other as in
``mer-edge train``: waiting for the batch, each encoder forward, fusion and loss, backward,
clipping and Adam. The operators that take most come from PyTorch's profiler, in further steps of
their own because profiling slows them.

    python benchmarks/training_step.py --data DATA --preset small --bert DIR
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mer_edge.checkout import commit
from mer_edge.cli.progress import Bars
from mer_edge.files import new_file
from mer_edge.text.tokenizer import TextTokenizer
from runtime.bench.machine import described_processor
from runtime.bench.stability import load_average
from train.batches import Drawing, Loader, Step
from train.datasets.registry import open_dataset
from train.learner import Learner
from train.losses import positive_weights
from train.optimizer import freeze, make_optimizer
from train.options import PRECISIONS, TrainOptions, options_for
from train.prepare import prepare_samples
from train.provenance import versions
from train.setup import make_model, reproducible
from train.splits import label_splits

RESULTS = Path(__file__).resolve().parent / "results"
WARM_UP = 3
TOP = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bert", required=True)
    parser.add_argument("--vggish", type=Path)
    parser.add_argument("--resnet", type=Path)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--precision", default="bf16", choices=PRECISIONS)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS / "training-step.json")
    args = parser.parse_args()
    options = options_for(
        args.preset,
        bert=args.bert,
        vggish=args.vggish,
        resnet=args.resnet,
        precision=args.precision,
        threads=args.threads,
        augment=True,
        clip_norm=1.0,
    )
    with Bars() as bars, reproducible(options):
        learner, loader = set_up(args.data, options, bars)
        found = measure(learner, loader, options, args.steps)
    found |= {
        "preset": args.preset,
        "precision": args.precision,
        "threads": args.threads,
        "batch_size": options.batch_size,
        "frozen": bool(args.vggish and args.resnet),
        "processor": described_processor(),
        "cores": os.cpu_count(),
        "load_1min": round(load_average()[0], 2),
        "commit": commit(),
        "versions": versions(),
    }
    for path, text in (
        (args.out, json.dumps(found, indent=1) + "\n"),
        (args.out.with_suffix(".md"), table(found)),
    ):
        with new_file(path, "writing the results") as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(table(found))


def set_up(data: Path, options: TrainOptions, bars: Bars) -> tuple[Learner, Loader]:
    dataset = open_dataset(data)
    ready, _ = prepare_samples(dataset.samples, data / ".prepared", 3, None, bars)
    model, tokenizer_json = make_model([], dataset.labels, options)
    freeze(model, options)
    tokenizer = TextTokenizer(tokenizer_json, model.config.text.max_position_embeddings)
    clips = label_splits(ready, dataset.labels, tokenizer)["train"]
    learner = Learner(model, positive_weights(np.stack([c.targets for c in clips]), dataset.labels))
    return learner.train(), Loader(clips, options.batch_size, threads=options.loaders)


def measure(learner: Learner, loader: Loader, options: TrainOptions, count: int) -> dict[str, Any]:
    """Medians over ``count`` steps, milliseconds, and the operators of five more."""
    optimizer = make_optimizer(learner, options)
    stages: dict[str, list[float]] = defaultdict(list)
    steps = loader.training(Drawing(0, 1, augment=True))
    with timed_modules(learner, stages):
        for number in range(WARM_UP + count):
            if number == WARM_UP:
                stages.clear()
            with stage(stages, "waiting for the batch"):
                step = next(steps)
            with stage(stages, "step"):
                one_step(learner, optimizer, step, options, stages)
    medians = {name: float(np.median(values)) * 1e3 for name, values in stages.items()}
    medians["fusion and loss forward"] = medians.pop("forward") - sum(
        medians[f"{name} forward"] for name in ("text", "audio", "visual")
    )
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(5):
            one_step(learner, optimizer, next(steps), options, defaultdict(list))
    events = [e for e in profile.key_averages() if e.self_cpu_time_total > 0]
    total = sum(e.self_cpu_time_total for e in events)
    events.sort(key=lambda event: -event.self_cpu_time_total)
    shares = {event.key: event.self_cpu_time_total / total for event in events[:TOP]}
    return {"median_ms": medians, "operators": shares, "steps": count}


def one_step(
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    step: Step,
    options: TrainOptions,
    stages: dict[str, list[float]],
) -> None:
    """What the loop does of a step, in one process and one part."""
    optimizer.zero_grad(set_to_none=True)
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16")
    with stage(stages, "forward"), mixed:
        loss = learner(step.parts[0]).total.mean()
    with stage(stages, "backward"):
        loss.backward()
    with stage(stages, "clipping and Adam"):
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()


@contextmanager
def stage(stages: dict[str, list[float]], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    stages[name].append(time.perf_counter() - started)


@contextmanager
def timed_modules(learner: Learner, stages: dict[str, list[float]]) -> Iterator[None]:
    """Time the encoders' forward passes from inside the model."""
    model = learner.model
    started: dict[str, float] = {}
    handles = []
    for name, module in (
        ("text", model.text_encoder),
        ("audio", model.vggish),
        ("visual", model.resnet),
    ):
        assert module is not None

        def before(*_: object, name: str = name) -> None:
            started[name] = time.perf_counter()

        def after(*_: object, name: str = name) -> None:
            stages[f"{name} forward"].append(time.perf_counter() - started[name])

        handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def table(found: dict[str, Any]) -> str:
    medians = found["median_ms"]
    whole = medians["step"] + medians["waiting for the batch"]
    order = sorted((name for name in medians if name != "step"), key=lambda name: -medians[name])
    frozen = "the paper's groups frozen" if found["frozen"] else "nothing frozen"
    lines = [
        f"Training step, preset {found['preset']}, {found['precision']}, batch of "
        f"{found['batch_size']}, {found['threads']} threads of {found['cores']} cores, {frozen}; "
        f"medians of {found['steps']} steps, {whole:.0f} ms together; load {found['load_1min']}, "
        f"commit {found['commit'][:12]}.",
        "",
        "| part | ms | share |",
        "|---|---|---|",
        *(f"| {name} | {medians[name]:.1f} | {medians[name] / whole:.1%} |" for name in order),
        "",
        "| operator (PyTorch's profiler, self time) | share |",
        "|---|---|",
        *(f"| `{name}` | {share:.1%} |" for name, share in found["operators"].items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
