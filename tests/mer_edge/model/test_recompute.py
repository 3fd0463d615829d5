"""Gradient checkpointing changes the memory and nothing else."""

import pytest
import torch

from mer_edge.model import recompute
from mer_edge.model.config import TINY
from mer_edge.model.mer import MerModel
from tests.mer_edge.model.batches import random_batch, tiny_model


def steps(checkpointing: bool, frozen: tuple[int, int]) -> tuple[list[float], MerModel]:
    """Two training steps with dropout, from the same seed."""
    model = tiny_model(TINY, dropout=0.2)
    model.freeze(*frozen)
    model.set_gradient_checkpointing(checkpointing)
    model.train()
    batch = random_batch(clips=2, segments=2)
    batch.visual_mask[0, 1] = False
    batch.text_mask[1] = False
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.01)
    losses = []
    torch.manual_seed(7)
    for _ in range(2):
        optimizer.zero_grad()
        loss = model(batch).logits.square().sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, model


@pytest.mark.parametrize("frozen", [(0, 0), (2, 3)])
def test_loss_gradients_and_statistics_are_the_same(frozen: tuple[int, int]) -> None:
    plain_losses, plain = steps(False, frozen)
    losses, model = steps(True, frozen)
    assert losses == plain_losses
    state = model.state_dict()
    for name, tensor in plain.state_dict().items():
        assert torch.equal(state[name], tensor), name
    assert int(state["resnet.backbone.layer4.0.bn1.num_batches_tracked"]) == 2
    gradients = dict(plain.named_parameters())
    for name, parameter in model.named_parameters():
        expected = gradients[name].grad
        assert (parameter.grad is None) is (expected is None), name
        assert expected is None or torch.equal(parameter.grad, expected), name


def layers_recomputed(model: MerModel) -> int:
    """Of BERT."""
    layers = model.text_encoder.bert.encoder.layer
    return sum(getattr(layer, "gradient_checkpointing", False) for layer in layers)


def test_groups_are_recomputed_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = recompute.checkpoint

    def counted(*arguments: object, **keywords: object) -> object:
        calls.append(arguments)
        return real(*arguments, **keywords)

    monkeypatch.setattr(recompute, "checkpoint", counted)
    model, batch = tiny_model(), random_batch(clips=1, segments=1)
    model.set_gradient_checkpointing(True)
    model(batch)
    assert not calls
    model.train()
    model(batch)
    assert len(calls) == 4 + 5  # the groups of VGGish and the stages of the ResNet
    assert layers_recomputed(model) == 1
    model.set_gradient_checkpointing(False)
    model(batch)
    assert len(calls) == 9
    assert layers_recomputed(model) == 0
