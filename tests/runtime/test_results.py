"""From logits to the Result: probabilities, decisions, presence, notes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from mer_edge.bundle import Bundle
from mer_edge.clip import Clip
from mer_edge.decision import Temperatures
from mer_edge.errors import MerEdgeError
from mer_edge.result import ModelInfo, Result, decision_text, reason_text
from runtime.chain import ChainOutput
from runtime.results import build_results, nothing_present, printable
from tests.runtime.bundles import NOTICE, make_clip


def output(
    logits: list[float], weights: list[float] | None = None, note: str | None = None
) -> ChainOutput:
    return ChainOutput(
        logits=np.array([logits], np.float32),
        decisions=np.array([[[0.0, 1.0], [-1.0, 2.0], [3.0, -3.0]]], np.float32),
        weights=np.array([weights or [0.5, 0.3, 0.2]], np.float32),
        notes=(note,),
        timings_ms={},
        engine="paper CPU",
    )


def exclusive(bundle: Bundle, **changes: Any) -> Bundle:
    """The bundle as if its labels were exclusive."""
    manifest = replace(bundle.manifest, task="multiclass", thresholds=[], **changes)
    return replace(bundle, manifest=manifest)


def build(clip: Clip, said: ChainOutput, bundle: Bundle) -> Result:
    return build_results([clip], said, bundle.manifest, {"total": 1.5})[0]


def test_every_field(bundle: Bundle) -> None:
    clip = replace(make_clip("good day", [0.1, None], [7, 8]), start_s=2.0, end_s=3.92)
    result = build(clip, output([0.0, -1.0], note="the text was cut"), bundle)
    assert result == Result(
        source="clip.mp4",
        start_s=2.0,
        end_s=3.92,
        segments=2,
        audio_segments=1,
        face_segments=2,
        text="good day",
        probabilities={"happy": 0.5, "sad": pytest.approx(1 / (1 + math.e))},
        decision=["sad"],  # 0.5 is not above 0.5; 0.269 is above 0.25
        top="happy",
        modalities=result.modalities,
        timings_ms={"total": 1.5},
        engine="paper CPU",
        notes=["the text was cut", NOTICE],
        model=ModelInfo("MER-SEM-MBT (paper-and-pencil)", NOTICE),
        task="multilabel",
        confidence=0.5,
        uncertain=False,
        min_confidence=None,
        thresholds={"happy": 0.5, "sad": 0.25},
    )
    assert list(result.modalities) == ["audio", "visual", "text"]
    visual = result.modalities["visual"]
    assert visual.present
    assert visual.weight == pytest.approx(0.3)
    assert visual.probabilities == pytest.approx(
        {"happy": 1 / (1 + math.e), "sad": 1 / (1 + math.exp(-2))}
    )


def test_an_absent_modality_says_nothing(bundle: Bundle) -> None:
    clip = make_clip(None, [0.1], [None])
    result = build(clip, output([2.0, 2.0], [1.0, 0.0, 0.0]), bundle)
    assert [say.present for say in result.modalities.values()] == [True, False, False]
    assert result.modalities["visual"].probabilities is None
    assert result.modalities["text"].weight == 0
    assert result.decision == ["happy", "sad"]


def test_a_clip_with_nothing_decides_nothing(bundle: Bundle) -> None:
    result = build(make_clip(None, [None], [None]), output([9.0, 9.0], [0, 0, 0]), bundle)
    assert result.decision == []
    assert result.uncertain
    nothing = nothing_present(("audio", "visual", "text"))
    assert nothing.startswith("no sound, no face and no text in this clip")
    assert nothing in result.notes


def test_json_has_exactly_the_fields_of_result(bundle: Bundle) -> None:
    result = build(make_clip(), output([0.1, 0.2]), bundle)
    encoded = msgspec.json.encode(result)
    assert msgspec.json.decode(encoded, type=Result) == result
    assert list(msgspec.json.decode(encoded)) == list(Result.__dataclass_fields__)


def test_names_that_are_not_utf8_can_be_printed(bundle: Bundle) -> None:
    assert printable("clip\udcff.mp4") == "clip\\udcff.mp4"
    result = build(replace(make_clip(), source="clip\udcff.mp4"), output([0.0, 0.0]), bundle)
    assert b"udcff" in msgspec.json.encode(result)


def test_exclusive_labels_share_one_probability(bundle: Bundle) -> None:
    result = build(make_clip(), output([0.0, math.log(3)]), exclusive(bundle))
    assert result.probabilities == pytest.approx({"happy": 0.25, "sad": 0.75})
    assert (result.task, result.decision, result.top) == ("multiclass", ["sad"], "sad")
    assert result.confidence == pytest.approx(0.75)
    assert (result.uncertain, result.min_confidence, result.thresholds) == (False, None, {})
    for say in result.modalities.values():
        assert sum(say.probabilities.values()) == pytest.approx(1.0)
    # sigmoid would give 0.5: there is no threshold
    assert result.modalities["audio"].probabilities["sad"] == pytest.approx(1 / (1 + math.exp(-1)))
    assert reason_text(result) == "top sad 0.75"


def test_temperatures_change_how_sure_and_not_what(bundle: Bundle) -> None:
    temperatures = Temperatures(audio=2.0, visual=1.0, text=0.5, fused=4.0)
    calibrated = exclusive(bundle, temperatures=temperatures)
    said = output([0.0, 4 * math.log(3)])
    plain, result = (build(make_clip(), said, one) for one in (exclusive(bundle), calibrated))
    assert plain.confidence == pytest.approx(81 / 82)
    assert result.confidence == pytest.approx(0.75)
    assert plain.decision == result.decision == ["sad"]
    assert result.modalities["audio"].probabilities["sad"] == pytest.approx(
        1 / (1 + math.exp(-0.5))
    )
    assert result.modalities["visual"].probabilities == plain.modalities["visual"].probabilities
    assert result.modalities["text"].probabilities["happy"] == pytest.approx(
        1 / (1 + math.exp(-12))
    )


def test_temperatures_hold_for_independent_labels_too(bundle: Bundle) -> None:
    warm = replace(bundle.manifest, temperatures=Temperatures(fused=2.0))
    result = build(make_clip(), output([2.0, -4.0]), replace(bundle, manifest=warm))
    assert result.probabilities["happy"] == pytest.approx(1 / (1 + math.exp(-1)))
    assert result.probabilities["sad"] == pytest.approx(1 / (1 + math.exp(2)))


@pytest.mark.parametrize(
    ("least", "decision", "reason"),
    [
        (0.74, ["sad"], "top sad 0.75, needs 0.74"),
        (0.75, ["sad"], "top sad 0.75, needs 0.75"),
        (0.76, [], "top sad 0.75, needs 0.76"),
    ],
)
def test_below_its_confidence_the_answer_is_uncertain(
    bundle: Bundle, least: float, decision: list[str], reason: str
) -> None:
    said = output([0.0, math.log(3) + 1e-6])
    result = build(make_clip(), said, exclusive(bundle, min_confidence=least))
    assert (result.decision, result.uncertain) == (decision, not decision)
    assert (result.top, result.min_confidence) == ("sad", least)
    assert decision_text(result) == ("sad" if decision else "uncertain")
    assert reason_text(result) == reason


def test_no_evidence_is_uncertain_whatever_the_network_says(bundle: Bundle) -> None:
    empty = make_clip(None, [None], [None])
    for one in (bundle, exclusive(bundle), exclusive(bundle, min_confidence=0.1)):
        result = build(empty, output([9.0, 0.0], [0, 0, 0]), one)
        assert (result.decision, result.uncertain) == ([], True)
        assert nothing_present(("audio", "visual", "text")) in result.notes
        assert (decision_text(result), reason_text(result)) == ("uncertain", "no evidence")


def test_a_user_may_ask_for_another_confidence(bundle: Bundle) -> None:
    own = exclusive(bundle, min_confidence=0.9)
    said = output([0.0, math.log(3)])
    assert build(make_clip(), said, own).uncertain
    for asked, expected in ((0.7, 0.7), (0.0, None)):
        result = build(make_clip(), said, own.with_min_confidence(asked))
        assert (result.decision, result.min_confidence) == (["sad"], expected)
    with pytest.raises(MerEdgeError, match="independent of each other"):
        bundle.with_min_confidence(0.5)


def test_no_label_above_its_threshold_is_no_decision(bundle: Bundle) -> None:
    result = build(make_clip(), output([-1.0, -3.0]), bundle)
    assert (result.decision, result.uncertain) == ([], False)
    assert decision_text(result) == "no decision"
    assert reason_text(result) == "top happy 0.27, needs 0.50"
