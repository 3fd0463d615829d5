"""From graphs in every precision to the plans they allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.auto.agreement import logits_of_mixes
from export.auto.speed import Candidate, least_latency_ms
from export.chain import absent_text_of, encoder_sizes
from mer_edge.bundle import GraphSpec, PrecisionPlan, ShapeRange
from mer_edge.clip import Clip
from mer_edge.decision import DecisionRule
from mer_edge.model.mer import MerModel
from mer_edge.parity.decisions import same_decisions
from mer_edge.text.tokenizer import TextTokenizer


def measure_plans(
    model: MerModel,
    files: Mapping[Candidate, Path],
    specs: Mapping[str, GraphSpec],
    ranges: Mapping[str, ShapeRange],
    rule: DecisionRule,
    clips: Sequence[Clip],
    tokenizer: TextTokenizer | None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[PrecisionPlan]:
    """Every mix of precisions: how fast it is here, and what it decides on the clips.

    Args:
        files: per graph and precision the ONNX file; fp32 of every graph is among them, against
            which the decisions are counted.
        rule: how logits become a decision.
        specs: per graph what it takes in.
    """
    latency_ms = least_latency_ms(files, specs, ranges, progress)
    logits = logits_of_mixes(
        files, clips, tokenizer, absent_text_of(model), encoder_sizes(model.config), progress
    )
    (reference,) = [
        rule.probabilities(values)
        for mix, values in logits.items()
        if all(precision == "fp32" for _, precision in mix)
    ]
    plans = []
    for mix, values in logits.items():
        agreement, change = judged(reference, rule.probabilities(values), rule)
        plans.append(
            PrecisionPlan(
                precisions=dict(mix),
                latency_ms=sum(latency_ms[candidate] for candidate in mix),
                bytes=sum(files[candidate].stat().st_size for candidate in mix),
                agreement=agreement,
                mean_probability_change=change,
            )
        )
    return plans


def judged(
    reference: NDArray[np.float64], found: NDArray[np.float64], rule: DecisionRule
) -> tuple[float, float]:
    """Share of decisions that agree, and the mean change of a probability, (clips, labels) each.

    What is not a number agrees with nothing and is as far off as a probability can be.
    """
    finite = np.isfinite(found)
    alike = same_decisions(reference, found, rule)
    same = alike & (finite if rule.task == "multilabel" else finite.all(1, keepdims=True))
    change = np.where(finite, np.abs(found - reference), 1.0)
    return float(same.mean()), float(change.mean())
