"""The committed tiny bundle, made by the real exporter: its golden tensors come out again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mer_edge.bundle import Bundle, load_golden
from mer_edge.clip import Clip
from mer_edge.segments import MODALITIES
from runtime.backend import open_backend
from runtime.recognizer import Recognizer

TINY = Path(__file__).parents[1] / "data" / "tiny-bundle"
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def tiny() -> Bundle:
    return Bundle.load(TINY)


@pytest.mark.parametrize("case", ["full", "audio_only"])
def test_every_graph_gives_its_golden_outputs(tiny: Bundle, case: str) -> None:
    backend = open_backend("cpu", tiny, 1)
    graphs = load_golden(tiny)[case]
    assert {"audio", "fusion"} <= set(graphs)
    for name, tensors in graphs.items():
        spec = tiny.manifest.graphs[name]
        graph = backend.load(tiny.graph_path(name), spec)
        outputs = graph.run({tensor.name: tensors[tensor.name] for tensor in spec.inputs})
        for output, actual in outputs.items():
            np.testing.assert_allclose(actual, tensors[output], atol=TOLERANCE, rtol=TOLERANCE)


def golden_clip(tiny: Bundle, case: str, text: str | None) -> Clip:
    """The clip whose tensors the exporter recorded, with its absent segments filled with zeros."""
    golden = load_golden(tiny)[case]
    audio_present, face_present = (
        golden["fusion"][f"{name}_mask"][0] for name in ("audio", "visual")
    )
    segments = len(audio_present)
    waveform = np.zeros((segments, 15_600), np.float32)
    faces = np.zeros((segments, 224, 224, 3), np.uint8)
    waveform[audio_present] = golden["audio"]["waveform"]
    if face_present.any():
        faces[face_present] = golden["visual_stem"]["faces"]
    return Clip(text, waveform, faces, audio_present, face_present, source=case)


def test_recognize_gives_the_golden_decision_without_text(tiny: Bundle) -> None:
    result = Recognizer(tiny, threads=1).recognize(golden_clip(tiny, "audio_only", None))
    golden = load_golden(tiny)["audio_only"]["fusion"]
    expected = 1 / (1 + np.exp(-golden["logits"][0].astype(np.float64)))
    np.testing.assert_allclose(list(result.probabilities.values()), expected, atol=TOLERANCE)
    weights = [result.modalities[name].weight for name in MODALITIES]
    assert weights == [1, 0, 0]
    assert result.modalities["text"].probabilities is None


def test_recognize_gives_the_golden_decision_with_all_three(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The golden tokens are random ids, which no text gives: they take the tokenizer's place."""
    from runtime import texts
    from runtime.texts import TokenBatch

    golden = load_golden(tiny)["full"]
    ids, mask = golden["text"]["input_ids"], golden["text"]["attention_mask"]
    batch = TokenBatch(np.array([True]), ids, mask, (None,))
    monkeypatch.setattr(texts.Texts, "tokenize", lambda self, clips: batch)
    result = Recognizer(tiny, threads=1).recognize(golden_clip(tiny, "full", "any"))
    for row, name in enumerate(MODALITIES):
        say = result.modalities[name]
        assert say.weight == pytest.approx(golden["fusion"]["weights"][0, row], abs=TOLERANCE)
        expected = 1 / (1 + np.exp(-golden["fusion"]["decisions"][0, row].astype(np.float64)))
        assert say.probabilities is not None
        np.testing.assert_allclose(list(say.probabilities.values()), expected, atol=TOLERANCE)
    expected = 1 / (1 + np.exp(-golden["fusion"]["logits"][0].astype(np.float64)))
    np.testing.assert_allclose(list(result.probabilities.values()), expected, atol=TOLERANCE)
    assert result.segments == 2
    assert result.face_segments == 1
