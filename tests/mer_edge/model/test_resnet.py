"""The visual backbone against torchvision's own network."""

import pytest
import torch
from torchvision.models import resnet18
from torchvision.transforms import v2

from mer_edge.model.config import PAPER, VisualSizes
from mer_edge.model.resnet import ResNet, VisualEncoder
from mer_edge.model.sem import TextGuide

NO_TEXT = TextGuide(None)


def torchvision_resnet18(seed: int = 0) -> torch.nn.Module:
    """Random weights, and BatchNorm statistics that are not those of a new network."""
    torch.manual_seed(seed)
    network = resnet18(weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


def test_state_dict_is_torchvisions_without_the_classifier() -> None:
    theirs = torchvision_resnet18().state_dict()
    ours = ResNet(PAPER.visual).state_dict()
    expected = {name: tensor.shape for name, tensor in theirs.items() if name[:3] != "fc."}
    assert {name: tensor.shape for name, tensor in ours.items()} == expected


def test_features_are_torchvisions() -> None:
    theirs = torchvision_resnet18()
    encoder = VisualEncoder(PAPER.visual, 768, (), "spatial").eval()
    theirs.fc = torch.nn.Identity()
    encoder.backbone.load_state_dict(theirs.state_dict())
    pixels = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        difference = encoder.feature_maps(pixels, NO_TEXT)[-1].mean(dim=(2, 3)) - theirs(pixels)
    assert float(difference.abs().max()) <= 1e-5


def test_faces_are_normalised_as_torchvision_does() -> None:
    faces = torch.randint(0, 256, (2, 224, 224, 3)).to(torch.uint8)
    transform = v2.Compose(
        [
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    expected = transform(faces.permute(0, 3, 1, 2))
    encoder = VisualEncoder(VisualSizes((8, 8, 8, 8), (1, 1, 1, 1)), 8, (), "spatial")
    pixels = encoder.normalize(faces)
    assert float((pixels - expected).abs().max().detach()) <= 1e-5
    assert pixels.is_contiguous()


@pytest.mark.parametrize("channels", [(8, 12, 16, 24), (12, 20, 28, 36), (16, 16, 32, 32)])
def test_backward_at_odd_widths_leaves_the_heap_alone(channels: tuple[int, int, int, int]) -> None:
    """With channels last in memory, oneDNN crashed the process here."""
    encoder = VisualEncoder(VisualSizes(channels, (1, 1, 1, 1)), 8, (3, 5), "spatial").train()
    text = TextGuide(torch.randn(4, 8))
    for _ in range(3):
        faces = torch.randint(0, 256, (4, 224, 224, 3)).to(torch.uint8)
        encoder(faces, text).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.backbone.parameters())
