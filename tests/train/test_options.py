from pathlib import Path

import pytest

from mer_edge.errors import MerEdgeError
from train.options import PRESET_OPTIONS, TrainOptions, model_config, options_for


def test_the_defaults_are_the_papers():
    options = options_for("paper")
    assert (options.learning_rate, options.backbone_learning_rate) == (1e-4, 1e-5)
    assert options.batch_size == 8


def test_a_preset_has_its_own_rate_and_what_is_given_wins():
    assert PRESET_OPTIONS["tiny"].learning_rate > options_for("paper").learning_rate
    changed = options_for("tiny", learning_rate=0.5, epochs=None, seed=7, resnet=Path("r.pth"))
    assert (changed.learning_rate, changed.seed, changed.resnet) == (0.5, 7, Path("r.pth"))
    assert changed.epochs == PRESET_OPTIONS["tiny"].epochs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0; expected at least 1"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"crops_per_segment": 2}, "expected an odd number"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; expected more than 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"modality_dropout": 1.0}, "modality_dropout is 1.0"),
        ({"modality_loss_weight": -1.0}, "modality_loss_weight is -1.0"),
        ({"workers": 0}, "workers is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"task": "ranking"}, "unknown task 'ranking'; expected one of multilabel, multiclass"),
        ({"task": "multiclass", "class_weights": "all"}, "unknown class_weights 'all'"),
        ({"class_weights": "sqrt"}, "for independent labels"),
        ({"labels": ("a", "a")}, "at least one name, each once"),
        ({"labels": ()}, "at least one name, each once"),
        ({"labels": ("a", "")}, "at least one name, each once"),
    ],
)
def test_values_out_of_range_are_named(changes, message):
    with pytest.raises(MerEdgeError, match=message):
        TrainOptions(**changes)


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(MerEdgeError, match="unknown preset 'huge'; expected one of paper, edge, "):
        options_for("huge")
    with pytest.raises(MerEdgeError, match="unknown preset"):
        TrainOptions(preset="huge")


def test_the_task_is_the_models():
    assert model_config(options_for("tiny")).task == "multilabel"
    assert model_config(options_for("tiny", task="multiclass")).task == "multiclass"
