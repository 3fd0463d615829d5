"""From logits to the Result: probabilities, decisions, presence, notes."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_edge.bundle import Bundle
from mer_edge.clip import Clip
from mer_edge.result import ModelInfo, Result
from runtime.chain import ChainOutput
from runtime.results import build_results, nothing_present, printable, sigmoid
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
    nothing = nothing_present(("audio", "visual", "text"))
    assert nothing.startswith("no sound, no face and no text in this clip")
    assert nothing in result.notes


def test_json_has_exactly_the_fields_of_result(bundle: Bundle) -> None:
    result = build(make_clip(), output([0.1, 0.2]), bundle)
    encoded = msgspec.json.encode(result)
    assert msgspec.json.decode(encoded, type=Result) == result
    assert list(msgspec.json.decode(encoded)) == list(Result.__dataclass_fields__)


@given(st.floats(-1e30, 1e30))
def test_sigmoid_is_finite_and_symmetric(logit: float) -> None:
    low, high = sigmoid(np.array([logit, -logit], np.float32))
    assert 0 <= low <= 1
    assert low + high == pytest.approx(1)


def test_sigmoid_against_its_definition() -> None:
    logits = np.array([-5.0, -0.5, 0.0, 0.5, 5.0], np.float32)
    np.testing.assert_allclose(sigmoid(logits), 1 / (1 + np.exp(-logits.astype(float))), rtol=1e-12)


def test_names_that_are_not_utf8_can_be_printed(bundle: Bundle) -> None:
    assert printable("clip\udcff.mp4") == "clip\\udcff.mp4"
    result = build(replace(make_clip(), source="clip\udcff.mp4"), output([0.0, 0.0]), bundle)
    assert b"udcff" in msgspec.json.encode(result)
