"""The face encoder cut where its first SEM stands: both halves together are the whole."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from mer_edge.model.config import SemAttention, VisualSizes
from mer_edge.model.resnet import VISUAL_GROUPS, VisualEncoder
from mer_edge.model.sem import TextGuide

SIZES = VisualSizes((16, 18, 20, 22), (1, 1, 1, 1))
TEXT_SIZE = 6
SEGMENTS, TOKENS = 3, 4
POSITIONS = ((), (1,), (3, 5), (5,))
MAPS = {(): (22, 2, 2), (1,): (16, 16, 16), (3, 5): (18, 8, 8), (5,): (22, 2, 2)}
"""Per positions the channels, height and width of what a stem gives of 64 x 64 pixels."""


def make_encoder(positions: tuple[int, ...], attention: SemAttention = "spatial") -> VisualEncoder:
    torch.manual_seed(2)
    encoder = VisualEncoder(SIZES, TEXT_SIZE, positions, attention)
    for name, buffer in encoder.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.2)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    return encoder


def some_faces() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (SEGMENTS, 64, 64, 3), generator=generator).to(torch.uint8)


def some_text(seed: int = 4) -> TextGuide:
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(SEGMENTS, TEXT_SIZE, generator=generator)
    tokens = torch.randn(SEGMENTS, TOKENS, TEXT_SIZE, generator=generator)
    return TextGuide(vector, tokens, torch.ones(SEGMENTS, TOKENS, dtype=torch.bool))


def stage_by_stage(encoder: VisualEncoder, faces: Tensor, text: TextGuide) -> list[Tensor]:
    """The maps after each stage, as the paper describes them: nothing is cut anywhere."""
    feature_map, maps = encoder.normalize(faces), []
    channels_last = encoder.training  # SIZES are wide enough for it
    for number in range(1, VISUAL_GROUPS + 1):
        feature_map = encoder.backbone.group(number)(feature_map)
        if str(number) in encoder.sems:
            feature_map = encoder.sems[str(number)](feature_map, text, channels_last)
        maps.append(feature_map)
    return maps


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("positions", POSITIONS)
def test_stem_then_tail_is_the_whole_bit_for_bit(
    positions: tuple[int, ...], training: bool
) -> None:
    whole, cut, staged = (make_encoder(positions).train(training) for _ in range(3))
    faces, text = some_faces(), some_text()
    expected = whole(faces, text)
    stem_map = cut.stem(faces)
    actual = cut.tail(stem_map, text)
    maps = stage_by_stage(staged, faces, text)
    assert stem_map.shape[1:] == MAPS[positions]
    assert torch.equal(actual, expected)
    assert torch.equal(actual, maps[-1].mean(dim=(2, 3)))
    # In training mode BatchNorm has learned the same of them, and each stage once.
    states = [model.state_dict() for model in (whole, cut, staged)]
    for name, value in states[0].items():
        assert torch.equal(states[1][name], value), name
        assert torch.equal(states[2][name], value), name
    expected.square().sum().backward()
    actual.square().sum().backward()
    for (name, one), two in zip(whole.named_parameters(), cut.parameters(), strict=True):
        assert (one.grad is None) == (two.grad is None), name
        assert one.grad is None or torch.equal(one.grad, two.grad), name


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_maps_of_all_stages_are_those_of_no_cut(positions: tuple[int, ...]) -> None:
    encoder = make_encoder(positions).eval()
    faces, text = some_faces(), some_text()
    found = encoder.feature_maps(encoder.normalize(faces), text)
    expected = stage_by_stage(encoder, faces, text)
    assert len(found) == len(expected) == VISUAL_GROUPS
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("attention", ["spatial", "key", "tokens"])
@pytest.mark.parametrize("positions", POSITIONS[1:])
def test_all_that_the_text_changes_is_behind_the_stem(
    positions: tuple[int, ...], attention: SemAttention
) -> None:
    encoder = make_encoder(positions, attention).eval()
    with torch.no_grad():
        stem_map = encoder.stem(some_faces())
        first, second = (encoder.tail(stem_map, some_text(seed)) for seed in (4, 5))
        assert not torch.allclose(first, second)
        for seed, kept in ((4, first), (5, second)):
            assert torch.equal(encoder(some_faces(), some_text(seed)), kept)
    changed = deepcopy(encoder)
    for parameter in changed.sems.parameters():
        torch.nn.init.constant_(parameter, 0.5)
    assert torch.equal(changed.stem(some_faces()), stem_map)
    assert not torch.allclose(changed.tail(stem_map, some_text()), first)


def test_without_sems_the_tail_is_the_mean_of_the_last_map() -> None:
    encoder = make_encoder(()).eval()
    stem_map = encoder.stem(some_faces())
    assert torch.equal(encoder.tail(stem_map, TextGuide(None)), stem_map.mean(dim=(2, 3)))
