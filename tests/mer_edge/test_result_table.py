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


EXCLUSIVE = replace(
    RESULT,
    task="multiclass",
    probabilities={"happy": 0.55, "sa$d": 0.45},
    confidence=0.55,
    min_confidence=0.5,
)


def test_exclusive_labels_show_how_sure_they_are_and_have_to_be() -> None:
    assert "confidence 0.550; a decision needs 0.500" in printed(EXCLUSIVE)
    lines = printed(
        replace(EXCLUSIVE, decision=[], uncertain=True, min_confidence=0.6)
    ).splitlines()
    assert lines[0].startswith("clip.mp4 0.00-2.00 s: uncertain (2 segments")
    assert "confidence 0.550: below 0.600, which a decision needs" in lines
    assert not any(line.startswith(">") for line in lines)
    assert "confidence 0.550\n" in printed(replace(EXCLUSIVE, min_confidence=None))


def test_independent_labels_show_what_each_needs() -> None:
    needs = {"happy": 0.95, "sa$d": 0.25}
    lines = printed(replace(RESULT, decision=[], thresholds=needs)).splitlines()
    assert lines[0].startswith("clip.mp4 0.00-2.00 s: no decision")
    happy = next(line for line in lines if line.lstrip().startswith("happy"))
    assert happy.split()[-5:] == ["0.900", "0.95", "0.700", "-", "0.800"]
    assert "no label is above what it needs" in lines


def test_no_evidence_is_said_in_place_of_a_confidence() -> None:
    nothing = {name: ModalitySay(False, 0.0, None) for name in RESULT.modalities}
    text = printed(replace(EXCLUSIVE, decision=[], uncertain=True, modalities=nothing))
    assert "s: uncertain (" in text
    assert "no evidence: nothing of what the network decides by" in text
    assert "confidence" not in text
