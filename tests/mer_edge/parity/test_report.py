"""What is measured held against the limits, shown and written."""

from __future__ import annotations

import math
from io import StringIO
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.console import Console

from mer_edge.decision import DecisionRule
from mer_edge.errors import MerEdgeError
from mer_edge.parity.comparison import compare
from mer_edge.parity.decisions import pooled_decisions
from mer_edge.parity.limits import LIMITS
from mer_edge.parity.picture import MOST_CASES, draw_parity, shares_by_case
from mer_edge.parity.record import Parity
from mer_edge.parity.report import Measured, ParityReport, describe
from mer_edge.parity.table import print_parity

ONES = np.ones((2, 3), np.float32)


def measured(part: str, tensor: str, precision: str, actual, case: str = "a case") -> Measured:
    return Measured(part, case, compare(tensor, ONES, actual), precision)


def report(*found: Measured, precisions=None, decisions=()) -> ParityReport:
    logits = measured("chain", "logits", "fp32", ONES)
    precisions = precisions or {"audio": "fp32", "fusion": "fp32"}
    return ParityReport(precisions, [*found, logits], decisions, cases=1, real_clips=0)


@pytest.mark.parametrize(
    ("tensor", "precision", "add", "share"),
    [
        ("logits", "fp32", 5e-5, 0.5),
        ("weights", "fp32", 2e-4, 2.0),
        ("weights", "int8", 0.02, 0.5),
        ("weights", "fp16", 0.04, 2.0),
        ("logits", "int8", 3.0, None),
        ("decisions", "fp16", 3.0, None),
        ("logits", "int8", math.nan, math.inf),
    ],
)
def test_how_much_of_a_limit_is_used_up(tensor, precision, add, share):
    actual = ONES.astype(np.float64) + add
    found = measured("fusion", tensor, precision, actual).share_of_limit
    assert found == (share if share is None else pytest.approx(share, rel=1e-6))


def test_features_are_held_to_their_size_in_fp32_and_to_their_direction_below():
    reference = 50 * ONES
    scaled = Measured("audio", "c", compare("audio", reference, reference * 1.00001), "fp32")
    assert scaled.share_of_limit == pytest.approx(5e-4 / (1e-4 * 50), rel=1e-2)
    turned = ONES * [[1, 1, 1], [1, 1, 0]]
    expected = (1 - 5 / math.sqrt(6 * 5)) / 0.03
    found = measured("audio", "audio", "int8", turned).share_of_limit
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_map_may_turn_five_times_as_far_as_features():
    turned = ONES + np.array([[0.8, 0, 0]])
    features = measured("visual", "visual", "int8", turned).share_of_limit
    stem = measured("visual_stem", "visual_map", "int8", turned).share_of_limit
    assert features == pytest.approx(5 * stem)
    assert 0 < stem < 1 < features
    exact = measured("visual_stem", "visual_map", "fp32", turned).share_of_limit
    assert exact == pytest.approx(0.8 / 1e-4)


def test_the_first_part_that_fails_comes_before_the_one_that_fails_most():
    late = measured("chain", "decisions", "fp32", ONES + 9)
    early = measured("audio", "audio", "fp32", ONES + 0.5)
    found = report(late, early)
    assert found.failures == [early, late]
    assert found.worst is late
    assert not found.passed
    assert describe(early).startswith("the audio graph alone (fp32), audio: max 0.5 at [0, 0]")


def test_of_each_tensor_the_case_nearest_to_its_limit_is_kept():
    small = measured("audio", "audio", "fp32", ONES + 1e-6, "small")
    large = measured("audio", "audio", "fp32", ONES + 1e-5, "large")
    kept = report(small, large).worst_of_each()
    assert [one.case for one in kept if one.part == "audio"] == ["large"]


def test_decisions_on_what_is_not_finite_are_left_out():
    logits = np.array([[1.0, -1.0], [np.nan, 0.0]])
    limits, rule = LIMITS["fp32"], DecisionRule("multilabel", (0.5, 0.5))
    found = pooled_decisions("chain", "real", [("b", logits, logits)], rule, limits)
    assert found is not None
    assert (found.clips, found.agreement) == (1, 1.0)
    assert pooled_decisions("chain", "real", [], rule, limits) is None


def with_decisions() -> ParityReport:
    logits = np.array([[1.0, -1.0]])
    decisions = pooled_decisions(
        "chain",
        "golden",
        [("g", logits, -logits)],
        DecisionRule("multilabel", (0.5, 0.5)),
        LIMITS["int8"],
    )
    assert decisions is not None
    precisions = {"audio": "int8", "fusion": "fp32"}
    bad = measured("audio", "audio", "int8", ONES * np.nan, "a $case$ " + "long " * 30)
    return report(bad, precisions=precisions, decisions=[decisions])


def test_the_table_says_it_all_in_80_columns():
    console = Console(file=StringIO(), width=80)
    print_parity(with_decisions().to_parity(), console)
    text = console.file.getvalue()
    assert "inf%" in text
    assert "0.00%" in text  # of two decisions none agrees
    assert "1 golden" in text
    assert "allowed, int8: cosine of features 0.97, agreement 98.0%, mean change of" in text
    assert "no real clips" in text
    assert "…" not in text


def test_the_picture_is_drawn_of_failures_too(tmp_path: Path):
    many = [measured("text", "text", "fp32", ONES + 1e-6, f"clip {n}") for n in range(99)]
    found = with_decisions()
    found = ParityReport(
        {"text": "fp32", **found.precisions}, [*found.measured, *many], [], cases=1, real_clips=99
    )
    cases, parts, shares = shares_by_case(found)
    assert parts == ["text", "audio", "chain"]
    assert len(cases) == MOST_CASES
    assert cases[0].startswith("a $case$")
    assert np.isinf(shares[0, 1])
    assert np.isnan(shares[0, 0])
    draw_parity(found, tmp_path / "parity.png", "a title")
    assert (tmp_path / "parity.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(MerEdgeError, match="extension"):
        draw_parity(found, tmp_path / "parity.gif", "a title")


def test_json_of_a_report_that_failed_is_json():
    """Infinity has no number there: it is null."""
    parity = with_decisions().to_parity()
    text = msgspec.json.encode(parity)
    assert b'"max_abs":null' in text
    assert parity.tolerance is None
    assert isinstance(parity, Parity)
