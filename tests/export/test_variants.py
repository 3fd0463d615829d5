"""Every variant of the model: export, parity with PyTorch, and the runtime on what comes out.

Weights depend on their name alone, so that variants share graphs and each is traced once.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import export.exporter
import export.gate
from export.cases import BatchShape, Case, cases_of, subsets_of
from export.exporter import export_bundle
from export.graphs import GraphPlan, trace_graph
from mer_edge import bundle
from mer_edge.bundle import Bundle
from mer_edge.cli.main import main
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.model.build import build_model
from mer_edge.model.checkpoint import Checkpoint
from mer_edge.model.config import TINY, ModelConfig, variant_name
from mer_edge.model.mer import MerModel, ModelBatch
from mer_edge.text.tokenizer import TextTokenizer
from runtime.recognizer import Recognizer
from tests.make_tiny_bundle import SENTENCES
from tests.once import made_once
from tests.variants import CELLS
from train.datasets.tokenizer import build_tokenizer

GRAPHS = {
    "mer": {"text", "audio", "visual", "fusion"},
    "mer-mbt": {"text", "audio", "visual", "fusion"},
    "audio": {"audio", "fusion"},
    "audio-sem": {"text", "audio", "fusion"},
    "visual": {"visual", "fusion"},
    "visual-sem": {"text", "visual_stem", "visual", "fusion"},
    "text": {"text", "fusion"},
}
"""Of the others: all."""


@dataclass(frozen=True)
class Made:
    model: MerModel
    bundle: Bundle


class Workshop:
    """Exports variants on demand and traces no graph twice, in whatever process."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self.factory = factory
        self.folder = folder = factory.mktemp("variants")
        self.made: dict[str, Made] = {}
        self.tokenizer = folder / "tokenizer.json"
        self.tokenizer.write_text(build_tokenizer(SENTENCES, TINY.text.vocab_size))

    def trace_graph(self, plan: GraphPlan, metadata: dict[str, str]) -> onnx.ModelProto:
        key = f"{plan.name} {list(plan.example)} {sorted(plan.module.state_dict())}"

        def trace(folder: Path) -> None:
            onnx.save(trace_graph(plan, metadata), folder / "traced.onnx")

        traced = made_once(self.factory, f"graph-{zlib.crc32(key.encode())}", trace)
        return onnx.load(traced / "traced.onnx")

    def get(self, name: str) -> Made:
        if name not in self.made:
            model, _ = build_model(CELLS[name])
            for key, tensor in model.state_dict().items():
                if tensor.is_floating_point() and not key.endswith("running_var"):
                    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
                    noise = torch.randn(tensor.shape, generator=generator)
                    scale = 0.02 if tensor.dim() < 2 else tensor[0].numel() ** -0.5
                    tensor.copy_(scale * noise + float(key.endswith(("norm.weight", "bn1.weight"))))
            run = Checkpoint(model.eval(), self.tokenizer, [0.5] * 6, "", {})
            self.made[name] = Made(model, export_bundle(run, self.folder / name))
        return self.made[name]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path_factory)

    def some_cases(config: ModelConfig) -> list[object]:
        """One shape with every subset, and the case in which every clip has another one."""
        subsets = subsets_of(config)
        mixed = Case(BatchShape(len(subsets) + 1, 1, 6), subsets)
        return [*cases_of([BatchShape(1, 2, 5)], subsets), mixed]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export.exporter, "trace_graph", workshop.trace_graph)
        patch.setattr(export.gate, "gate_cases", some_cases)
        yield workshop


def a_clip(text: str | None = "I am so happy", sound: bool = True, face: bool = True) -> Clip:
    rng = np.random.default_rng(4)
    return Clip(
        text=text,
        waveform=(0.1 * rng.standard_normal((2, 15600))).astype(np.float32) * sound,
        faces=rng.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8) * np.uint8(face),
        audio_present=np.array([sound, sound]),
        face_present=np.array([False, face]),
    )


def by_pytorch(made: Made, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and weights of one clip."""
    tokens = [0, 0, 0]
    if clip.text is not None and made.model.text_encoder is not None:
        tokenizer = TextTokenizer(made.bundle.tokenizer_path, 128)
        tokens = tokenizer.encode(clip.text).input_ids[0].tolist()
    ids = torch.tensor([tokens])
    batch = ModelBatch(
        ids,
        torch.ones_like(ids),
        torch.from_numpy(clip.waveform)[None],
        torch.from_numpy(clip.faces)[None],
        torch.from_numpy(clip.audio_present)[None],
        torch.from_numpy(clip.face_present)[None],
        torch.tensor([clip.text is not None]),
    )
    with torch.inference_mode():
        fused = made.model(batch)
    return fused.logits.sigmoid()[0].numpy(), fused.weights[0].numpy()


@pytest.mark.parametrize("name", CELLS)
def test_it_exports_agrees_and_runs(name: str, workshop: Workshop) -> None:
    made = workshop.get(name)
    manifest = made.bundle.manifest
    assert manifest.variant == variant_name(CELLS[name])
    assert manifest.modalities == CELLS[name].modalities
    assert set(manifest.graphs) == GRAPHS.get(name, set(bundle.GRAPHS))
    assert ("visual_stem" in manifest.graphs) is (CELLS[name].visual_sem_positions != ())
    assert manifest.parity.cases == len(subsets_of(CELLS[name])) + 1
    assert manifest.parity.max_abs_logit_difference < 1e-5
    has_tokenizer = (made.bundle.path / "tokenizer.json").exists()
    assert has_tokenizer is ("text" in manifest.graphs)
    recognizer = Recognizer(made.bundle)
    for clip in (a_clip(), a_clip(text=None), a_clip(face=False), a_clip(sound=False)):
        if not any(clip.has(modality) for modality in manifest.modalities):
            continue
        result = recognizer.recognize(clip)
        probabilities, weights = by_pytorch(made, clip)
        assert list(result.probabilities.values()) == pytest.approx(probabilities, abs=1e-5)
        said = result.modalities
        assert [say.weight for say in said.values()] == pytest.approx(weights, abs=1e-5)
        for modality, say in said.items():
            assert say.used is (modality in manifest.modalities)
            assert say.present is clip.has(modality)
            assert (say.probabilities is None) is not (say.used and say.present)
        stages = {"media", "total", *manifest.graphs} - {"visual_stem"}  # part of ``visual``
        assert set(result.timings_ms) == stages | ({"tokenize"} if has_tokenizer else set())


@pytest.mark.parametrize(
    ("name", "clip", "message"),
    [
        ("audio", a_clip(sound=False), "no sound; expected it, because SER decides by nothing"),
        ("visual", a_clip(face=False), "no face; expected it, because FER decides"),
        ("text", a_clip(text=None), r"no text; .* say what is spoken with text="),
        (
            "mer-sem-mbt-no-text",
            a_clip(sound=False, face=False),
            "no sound and no face; expected at least one of them",
        ),
    ],
)
def test_a_clip_without_anything_that_is_used(
    name: str, clip: Clip, message: str, workshop: Workshop
) -> None:
    recognizer = Recognizer(workshop.get(name).bundle)
    with pytest.raises(MerEdgeError, match=message):
        recognizer.recognize(clip)
    result = recognizer.run_batch([a_clip(), clip])[1]
    assert result.decision == []
    assert "the network had nothing to go by" in result.notes[-1]
    assert {say.weight for say in result.modalities.values()} == {0.0}


def test_text_is_refused_where_it_is_of_no_use(workshop: Workshop) -> None:
    recognizer = Recognizer(workshop.get("audio").bundle)
    with pytest.raises(MerEdgeError, match=r"text=\.\.\. was given, but SER makes no use"):
        recognizer.recognize(a_clip(), text="hello")


def test_guided_by_text_without_a_decision_of_it(workshop: Workshop) -> None:
    recognizer = Recognizer(workshop.get("audio-sem").bundle)
    first, second = (recognizer.recognize(a_clip(), text=text) for text in ("so sad", "happy"))
    assert first.probabilities != second.probabilities
    assert first.modalities["text"].weight == 0.0
    assert first.modalities["text"].present
    assert not first.modalities["text"].used


def test_a_network_without_faces_decodes_no_picture(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """A video goes in; neither a frame is read nor a detector asked; the table says so."""
    from mer_edge.media import frames
    from tests.media_files import Picture, Voice, write_media

    video = tmp_path / "clip.mp4"
    write_media(video, Picture(), Voice())

    def never(*arguments: object, **keywords: object) -> object:
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(frames.VideoFrames, "picture_at", never)
    bundle = str(workshop.get("audio").bundle.path)
    assert main(["infer", bundle, str(video)]) == 0
    assert "not used" in capsys.readouterr().out
    assert main(["infer", bundle, str(video), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["audio_segments"] > 0
    assert result["face_segments"] == 0
    assert not any("picture" in note or "face" in note for note in result["notes"])
    assert result["modalities"]["visual"] == {
        "present": False,
        "weight": 0.0,
        "probabilities": None,
        "used": False,
    }
    for option, message in (
        (["--face", "2"], "--face was given, but SER looks at no faces"),
        (["--text", "hi"], "--text was given, but SER makes no use of text"),
    ):
        assert main(["infer", bundle, str(video), *option]) == 2
        assert f"error: {message}" in capsys.readouterr().err
