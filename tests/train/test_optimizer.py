"""Which parameters learn, how fast, and which do not."""

import copy
from pathlib import Path

import pytest
import torch

from mer_edge.model.build import build_model
from mer_edge.model.mer import MerModel
from tests.train.samples import CONFIG, labelled_clips
from train.batches import Loader
from train.learner import Learner
from train.optimizer import freeze, make_optimizer
from train.options import TrainOptions

LOADED = Path("weights.pth")


def optimizer_of(model: MerModel, options: TrainOptions) -> torch.optim.Optimizer:
    freeze(model, options)
    return make_optimizer(Learner(model, torch.ones(len(CONFIG.labels))), options)


def rates(model: MerModel, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[p]: group["lr"] for group in optimizer.param_groups for p in group["params"]}


@pytest.fixture
def model() -> MerModel:
    return build_model(CONFIG, seed=1)[0]


def test_from_scratch_everything_learns_at_one_rate(model):
    found = rates(model, optimizer_of(model, TrainOptions(learning_rate=0.5)))
    assert set(found) == {name for name, _ in model.named_parameters()}
    assert set(found.values()) == {0.5}


def test_loaded_backbones_are_frozen_below_and_slow_above(model):
    found = rates(model, optimizer_of(model, TrainOptions(vggish=LOADED, resnet=LOADED)))
    frozen = {name for name, _ in model.named_parameters()} - set(found)
    audio, visual = "vggish.backbone.", "resnet.backbone."
    # VGGish groups 1 and 2 are convolutions 0 and 3; ResNet groups 1 to 3 end with conv3_x.
    assert {n for n in frozen if n.startswith(audio)} == {
        f"{audio}features.{i}.{kind}" for i in (0, 3) for kind in ("weight", "bias")
    }
    assert {n.split(".")[2] for n in frozen if n.startswith(visual)} == {
        "conv1",
        "bn1",
        "layer1",
        "layer2",
    }
    assert all(n.startswith((audio, visual)) for n in frozen)
    for name, rate in found.items():
        assert rate == (1e-5 if name.startswith((audio, visual)) else 1e-4), name
    assert any(name.startswith("vggish.sems.2.") for name in found)


def test_a_backbone_from_scratch_beside_a_loaded_one_learns_fully(model):
    found = rates(model, optimizer_of(model, TrainOptions(resnet=LOADED)))
    assert found["vggish.backbone.features.0.weight"] == 1e-4
    assert found["resnet.backbone.layer4.0.conv1.weight"] == 1e-5
    assert "resnet.backbone.conv1.weight" not in found


def test_a_step_changes_what_learns_and_leaves_frozen_layers_and_statistics(model, tmp_path):
    options = TrainOptions(vggish=LOADED, resnet=LOADED)
    optimizer = optimizer_of(model, options)
    before = copy.deepcopy(model.state_dict())
    model.train()
    (step,) = Loader(labelled_clips(tmp_path, 2), 2).in_order()
    model(step.parts[0].inputs).logits.square().sum().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if (value != before[name]).any()}
    still = (
        "resnet.backbone.conv1",
        "resnet.backbone.bn1",
        "resnet.backbone.layer1",
        "resnet.backbone.layer2",
        "vggish.backbone.features.0.",
        "vggish.backbone.features.3.",
    )
    assert not [name for name in changed if name.startswith(still)]
    assert "resnet.backbone.layer3.0.bn1.running_mean" in changed
    assert "vggish.backbone.features.6.weight" in changed
    assert "vggish.sems.2.conv_v.weight" in changed
