"""A new model: what the seed decides and what files decide."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mer_edge.errors import MerEdgeError
from mer_edge.model.build import build_model
from mer_edge.model.checkpoint import save_checkpoint
from mer_edge.model.config import MOSEI_LABELS, TINY, ModelConfig, with_variant
from mer_edge.model.resnet import ResNet
from mer_edge.model.vggish import Vggish


def test_seed_decides() -> None:
    states = [build_model(TINY, seed=seed)[0].state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["absent_text"], states[2]["absent_text"])


def test_global_random_state_stays() -> None:
    torch.manual_seed(9)
    expected = torch.rand(2)
    torch.manual_seed(9)
    build_model(TINY, seed=4)
    assert torch.equal(torch.rand(2), expected)


def test_pretrained_parts_replace_random_ones(tmp_path: Path) -> None:
    torch.manual_seed(11)
    vggish, resnet = Vggish(TINY.audio), ResNet(TINY.visual)
    torch.save(vggish.state_dict(), tmp_path / "vggish.pth")
    torch.save(resnet.state_dict(), tmp_path / "resnet.pth")
    plain, _ = build_model(TINY, seed=0)
    model, tokenizer_json = build_model(
        TINY, vggish=tmp_path / "vggish.pth", resnet=tmp_path / "resnet.pth", seed=0
    )
    assert tokenizer_json is None
    files = {"vggish.backbone.": vggish.state_dict(), "resnet.backbone.": resnet.state_dict()}
    for prefix, state in files.items():
        for name, tensor in state.items():
            assert torch.equal(model.state_dict()[prefix + name], tensor)
    assert torch.equal(model.absent_text, plain.absent_text)


def test_new_features_are_neither_dead_nor_exploding() -> None:
    """Kaiming's scale carries through: unit-sized input gives features of a sane size."""
    model, _ = build_model(TINY, seed=0)
    model.eval()
    text = torch.randn(8, TINY.text.hidden_size)
    with torch.no_grad():
        audio = model.encode_audio(0.1 * torch.randn(8, 15600), text)
        faces = torch.randint(0, 256, (8, 224, 224, 3)).to(torch.uint8)
        visual = model.encode_visual(faces, text)
    for features in (audio, visual):
        assert 0.05 < float(features.std()) < 50.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ()}, "at least one label"),
        ({"labels": ("a", "a")}, "no label twice"),
        ({"audio_sem_positions": (0,)}, "different numbers from 1 to 4"),
        ({"visual_sem_positions": (3, 3)}, "different numbers from 1 to 5"),
        ({"sem_attention": "both"}, "sem_attention is 'both'"),
        ({"dropout": 1.0}, r"a number in \[0, 1\)"),
        ({"bottleneck_size": 21, "attention_heads": 3}, "an even number"),
        ({"attention_heads": 0}, "attention_heads is 0; expected a positive number"),
        ({"text": replace(TINY.text, num_attention_heads=5)}, "text.hidden_size is 32"),
    ],
)
def test_values_that_make_no_network(changes: dict[str, object], message: str) -> None:
    with pytest.raises(MerEdgeError, match=message):
        replace(TINY, **changes)


@pytest.mark.parametrize(
    "config",
    [
        replace(TINY, audio_sem_positions=(), visual_sem_positions=()),
        replace(TINY, audio_sem_positions=(1, 2, 3, 4), visual_sem_positions=(1, 2, 3, 4, 5)),
        replace(TINY, labels=MOSEI_LABELS[:1], bottleneck_tokens=1),
    ],
    ids=["no SEM", "SEM everywhere", "one label"],
)
def test_other_configurations_build_and_run(config: ModelConfig) -> None:
    model, _ = build_model(config)
    text = torch.randn(2, config.text.hidden_size)
    assert len(model.vggish.sems) == len(config.audio_sem_positions)
    assert len(model.resnet.sems) == len(config.visual_sem_positions)
    assert model.encode_audio(torch.randn(2, 15600), text).shape == (2, 24)
    faces = torch.zeros(2, 224, 224, 3, dtype=torch.uint8)
    assert model.encode_visual(faces, text).shape == (2, 24)


def test_backbones_come_from_another_run(tmp_path: Path) -> None:
    """From a run (its best epoch) as from a checkpoint, whatever the variants of the two."""
    source, _ = build_model(TINY, seed=3)
    save_checkpoint(tmp_path / "run" / "best", source, "{}", [0.5] * 6)
    model, _ = build_model(
        with_variant(TINY, "mer"), vggish=tmp_path / "run", resnet=tmp_path / "run" / "best"
    )
    state = source.state_dict()
    for name, tensor in model.state_dict().items():
        if ".backbone." in name:
            assert torch.equal(tensor, state[name]), name
    assert not torch.equal(model.fusion.attention_vector, source.fusion.attention_vector)


def test_a_run_that_does_not_fit_is_one_clear_error(tmp_path: Path) -> None:
    source, _ = build_model(with_variant(TINY, "audio"))
    save_checkpoint(tmp_path / "run", source, "{}", [0.5] * 6)
    with pytest.raises(MerEdgeError, match=r"no weights named resnet\.backbone\.\*"):
        build_model(TINY, resnet=tmp_path / "run")
    other = replace(TINY, audio=replace(TINY.audio, hidden_size=20))
    with pytest.raises(MerEdgeError, match="the sizes of the network differ"):
        build_model(other, vggish=tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MerEdgeError, match=r"model\.safetensors: no such file"):
        build_model(TINY, vggish=tmp_path / "empty")


@pytest.mark.parametrize(
    ("variant", "part"), [("visual", "vggish"), ("text", "resnet"), ("audio", "bert")]
)
def test_weights_for_an_encoder_that_is_not_there(variant: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match="does not have; leave them out"):
        build_model(with_variant(TINY, variant), **{part: tmp_path / "weights"})
