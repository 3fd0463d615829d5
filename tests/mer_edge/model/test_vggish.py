"""VGGish against its definition, written out with plain functions."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mer_edge.model.config import AudioSizes
from mer_edge.model.logmel import LogMel
from mer_edge.model.sem import TextGuide
from mer_edge.model.vggish import AudioEncoder, Vggish

SIZES = AudioSizes((3, 5, 7, 9), 11, 13)


def plain_vggish(weights: dict[str, Tensor], example: Tensor) -> Tensor:
    """(S, 96, 64) -> (S, 13): pools after the convolutions 1, 2, 4 and 6; NHWC when flattened."""
    x = example.unsqueeze(1)
    for index, pooled in ((0, 1), (3, 1), (6, 0), (8, 1), (11, 0), (13, 1)):
        weight, bias = weights[f"features.{index}.weight"], weights[f"features.{index}.bias"]
        x = F.relu(F.conv2d(x, weight, bias, padding=1))
        x = F.max_pool2d(x, 2) if pooled else x
    rows = [x[:, :, i, j] for i in range(6) for j in range(4)]
    x = torch.cat(rows, dim=1)
    for index in (0, 2, 4):
        weight, bias = weights[f"embeddings.{index}.weight"], weights[f"embeddings.{index}.bias"]
        x = F.relu(F.linear(x, weight, bias))
    return x


def test_keys_are_those_of_the_common_port() -> None:
    layers = [f"features.{i}" for i in (0, 3, 6, 8, 11, 13)]
    layers += [f"embeddings.{i}" for i in (0, 2, 4)]
    assert list(Vggish(SIZES).state_dict()) == [
        f"{n}.{k}" for n in layers for k in ("weight", "bias")
    ]


def test_features_follow_the_definition() -> None:
    torch.manual_seed(0)
    encoder = AudioEncoder(SIZES, 8, (), "spatial")
    waveform = 0.1 * torch.randn(3, 15600)
    ours = encoder(waveform, TextGuide(None))
    theirs = plain_vggish(encoder.backbone.state_dict(), LogMel()(waveform))
    assert ours.shape == (3, 13)
    assert float(ours.detach().abs().max()) > 0.1
    assert float((ours - theirs).abs().max().detach()) <= 1e-5


def test_sem_positions_are_after_the_groups_named() -> None:
    encoder = AudioEncoder(SIZES, 8, (1, 3, 4), "spatial")
    assert {name: sem.norm.normalized_shape for name, sem in encoder.sems.items()} == {
        "1": (3,),
        "3": (7,),
        "4": (9,),
    }
    text = TextGuide(torch.randn(2, 8))
    maps = encoder.feature_maps(torch.randn(2, 96, 64), text)
    plain = AudioEncoder(SIZES, 8, (), "spatial")
    plain.backbone.load_state_dict(encoder.backbone.state_dict())
    first = plain.feature_maps(torch.zeros(2, 96, 64), TextGuide(None))[0]
    assert maps[0].shape == first.shape
    assert not torch.allclose(maps[0], first)
