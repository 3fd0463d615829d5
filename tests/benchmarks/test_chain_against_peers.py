"""What counts as reached, and that the page shows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from benchmarks.chain_against_peers import SPEED, claim_row, claims, import_ms
from benchmarks.chain_page import ALSO, ENGINES, FP32, INT8, as_markdown
from runtime.bench.machine import Machine
from runtime.bench.stability import judge
from runtime.bench.summary import Latency, Ratio


@pytest.mark.parametrize(
    ("ratio", "reached"), [(1.79, "missed"), (1.8, "must"), (2.19, "must"), (2.2, "aim")]
)
def test_a_ratio_is_held_against_must_and_aim(ratio: float, reached: str) -> None:
    found = asdict(Ratio.of([100.0] * 4, [100 * ratio] * 4))
    row = claim_row("x", found, 1.8, 2.2)
    assert (row["reached"], row["rounds"]) == (reached, 4)
    assert row["value"] == pytest.approx(ratio)


def outcome() -> dict[str, Any]:
    times = {name: [10.0 * (1 + number)] * 5 for number, name in enumerate((INT8, FP32, *ENGINES))}
    pairs = [(claim.what, claim.own, claim.other) for claim in SPEED] + list(ALSO)
    cold = {name: asdict(Latency.of([1000.0])) for name in ("import", FP32, INT8)}
    found: dict[str, Any] = {
        "measured": "today",
        "commit": "0123456789abcdef",
        "machine": asdict(Machine("abacus", 2, "none", versions={"numpy": "2"})),
        "bundles": {FP32: {"preset": "paper"}},
        "clip": {"segments": 5, "tokens": 32, "threads": 2},
        "latency_ms": {name: asdict(Latency.of(values)) for name, values in times.items()},
        "engines": dict.fromkeys(times, "an engine"),
        "versions": {"torch": "2"},
        "ratios": {what: asdict(Ratio.of(times[a], times[b])) for what, a, b in pairs},
        "stability": asdict(judge([4.0] * 9, 0.5)),
        "cold_ms": cold,
        "cold_phases_ms": {FP32: {"start": 10.0}, INT8: {"start": 12.0}},
        "cold_ratios": {name: asdict(Ratio.of([1000.0], [2500.0])) for name in (FP32, INT8)},
        "memory_of": "a media file",
        "memory_bytes": {FP32: 900e6, INT8: 300e6, "pytorch": 1000e6},
    }
    return found | {"claims": claims(found)}


def test_every_row_of_the_table_is_on_the_page() -> None:
    found = outcome()
    assert [row["reached"] for row in found["claims"]] == [
        "missed", "aim", "missed", "aim", "must", "must"
    ]  # fmt: skip
    assert found["claims"][2]["value"] == pytest.approx(3.0)
    assert found["claims"][5]["value"] == pytest.approx(0.3)
    page = as_markdown(found)
    for row in found["claims"]:
        assert f"| {row['what']} | **{row['value']:.2f} x**" in page
    assert "noisy: the hypervisor gave 50.0%" in page
    assert "| INT8 chain | 300 |" in page
    assert all(len(line.split("|")) == 9 for line in page.splitlines() if "**3.00 x**" in line)


@pytest.mark.slow
def test_an_import_takes_time() -> None:
    assert import_ms() > 100
