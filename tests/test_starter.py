"""The built-in bundle: whole, small, licensed, and honest about itself."""

import json
from pathlib import Path

import pytest

from mer_edge import starter_bundle
from mer_edge.bundle import MANIFEST, Bundle
from mer_edge.cli.main import main
from mer_edge.doctor.probes import starter

STARTER = starter_bundle.STARTER
LABELS = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
MOST_BYTES = 25_000_000
CLIP = Path(__file__).parent.parent / "demo-data" / "portrait.mp4"

pytestmark = pytest.mark.skipif(
    not (STARTER / MANIFEST).is_file(), reason=f"there is no built-in bundle yet: {STARTER}"
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load()


def test_it_is_small_and_has_the_seven_labels(bundle: Bundle) -> None:
    assert bundle.manifest.labels == LABELS
    assert sum(file.stat().st_size for file in STARTER.iterdir()) <= MOST_BYTES


def test_its_card_says_what_it_is(bundle: Bundle) -> None:
    card = bundle.manifest.card
    assert card is not None
    assert card.licence == "CC BY-NC-SA 4.0"
    text = (STARTER / starter_bundle.MODEL_CARD).read_text()
    assert "FIGURE:" not in text  # every figure was filled in
    for word in ("GoEmotions", "FER+", "RAVDESS", "nEMO", "MiniLM", "2024/1689"):
        assert word in text


def test_its_golden_clips_come_out_right() -> None:
    status, detail, _, _ = starter(str(STARTER))
    assert status == "ok", detail


def test_it_recognises_the_clip_of_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["infer", str(CLIP), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["face_segments"] == result["audio_segments"] == result["segments"] == 3
    assert set(result["probabilities"]) == set(LABELS)
