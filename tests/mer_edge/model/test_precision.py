"""Fp32 islands under autocast, and the layout of the ResNet's maps in memory."""

import pytest
import torch

from mer_edge.model.config import VisualSizes
from mer_edge.model.logmel import LogMel
from mer_edge.model.precision import widened
from mer_edge.model.resnet import VisualEncoder
from mer_edge.model.sem import TextGuide

FACES = torch.randint(
    0, 256, (2, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2)
)


def visual_encoder(width: int) -> VisualEncoder:
    torch.manual_seed(1)
    sizes = VisualSizes((width, width, width, width), (1, 1, 1, 1))
    return VisualEncoder(sizes, 16, (3,), "spatial")


def test_log_mel_does_not_see_autocast() -> None:
    front, waveform = LogMel(), 0.1 * torch.randn(2, 15600)
    exact = front(waveform)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(front(waveform), exact)


def test_face_normalisation_does_not_see_autocast() -> None:
    encoder = visual_encoder(8)
    exact = encoder.normalize(FACES)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoder.normalize(FACES), exact)


def test_only_halves_are_widened() -> None:
    for dtype in (torch.float32, torch.float64):
        x = torch.ones(2, dtype=dtype)
        assert widened(x) is x
    assert widened(torch.ones(2, dtype=torch.bfloat16)).dtype == torch.float32


@pytest.mark.parametrize(("width", "training"), [(8, True), (16, False), (16, True)])
def test_channels_come_last_in_memory_only_in_training_of_wide_stems(
    width: int, training: bool
) -> None:
    encoder = visual_encoder(width).train(training)
    maps = encoder.feature_maps(encoder.normalize(FACES), TextGuide(torch.zeros(2, 16)))
    last = [m.is_contiguous(memory_format=torch.channels_last) for m in maps]
    assert last == [width >= 16 and training] * 5
    assert [m.is_contiguous() for m in maps] == [not (width >= 16 and training)] * 5


def test_the_layout_changes_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    text = TextGuide(torch.randn(2, 16))
    found = []
    for channels_last in (True, False):
        encoder = visual_encoder(16).train()
        if not channels_last:
            monkeypatch.setattr("mer_edge.model.resnet.CHANNELS_LAST_STEM", 1000)
        features = encoder(FACES, text)
        features.square().mean().backward()
        found.append((features, encoder.backbone.conv1.weight.grad))
    (x, x_gradient), (y, y_gradient) = found
    assert float((x - y).abs().max().detach()) <= 1e-4 * float(y.abs().max().detach())
    assert float((x_gradient - y_gradient).norm()) <= 0.05 * float(y_gradient.norm())
