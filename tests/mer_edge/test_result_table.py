"""The table for people."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from mer_edge.result import ModalitySay
from mer_edge.result_table import print_result
from tests.mer_edge.test_pictures import RESULT


def printed(result: object = RESULT, width: int = 100) -> str:
    stream = io.StringIO()
    print_result(result, Console(file=stream, width=width))  # type: ignore[arg-type]
    return stream.getvalue()


def test_everything_a_person_asks_for() -> None:
    lines = printed(replace(RESULT, notes=["the text was cut"])).splitlines()
    assert lines[0].startswith("clip.mp4 0.00-2.00 s: happy (2 segments, 2 with sound, 0 with a")
    assert 'text: "a $5 day"' in lines[1]
    happy = next(line for line in lines if line.lstrip().startswith("> happy"))
    assert happy.split()[-4:] == ["0.900", "0.700", "-", "0.800"]
    weight = next(line for line in lines if line.lstrip().startswith("weight"))
    assert weight.split() == ["weight", "0.600", "absent", "0.400"]
    assert any("media 80.0, tokenize 0.1" in line and "CPUExec" in line for line in lines)
    assert lines[-1] == "note: the text was cut"


def test_bars_are_as_long_as_the_probabilities() -> None:
    bars = [line.count("█") for line in printed().splitlines() if "0." in line and "█" in line]
    assert bars == [21, 4]  # of 24


def test_markup_in_names_is_only_text() -> None:
    text = printed(replace(RESULT, source="[red]clip[/red].mp4", notes=["[/]"], text=None))
    assert "[red]clip[/red].mp4" in text
    assert "note: [/]" in text


def test_what_is_not_used_is_not_called_absent() -> None:
    unused = ModalitySay(present=True, weight=0.0, probabilities=None, used=False)
    result = replace(RESULT, modalities={**RESULT.modalities, "visual": unused})
    weight = next(line for line in printed(result).splitlines() if "weight" in line)
    assert weight.split() == ["weight", "0.600", "not", "used", "0.400"]


def test_no_decision() -> None:
    assert "no decision" in printed(replace(RESULT, decision=[]))
