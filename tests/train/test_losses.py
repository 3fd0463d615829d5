"""The loss of exclusive labels against PyTorch's, and how labels weigh."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mer_edge.errors import MerEdgeError
from train.losses import CLASS_WEIGHT_POWERS, balanced_weights, label_loss, label_weights, soft_loss
from train.options import CLASS_WEIGHTS

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3]])
TRUTH = torch.tensor([0, 2])
TARGETS = F.one_hot(TRUTH, 3).float()
WEIGHT = torch.tensor([0.5, 2.0, 1.5])


def test_exclusive_labels_cost_the_cross_entropy():
    found = label_loss(LOGITS, TARGETS, "multiclass", None)
    assert found.tolist() == pytest.approx([0.2413, 1.0019], abs=1e-4)  # -log softmax, by hand
    assert torch.allclose(found, F.cross_entropy(LOGITS, TRUTH, reduction="none"))
    weighted = label_loss(LOGITS, TARGETS, "multiclass", WEIGHT)
    assert torch.allclose(weighted, F.cross_entropy(LOGITS, TRUTH, WEIGHT, reduction="none"))


def test_decisions_of_several_modalities_keep_their_shape():
    decisions = torch.stack([LOGITS, -LOGITS, 2 * LOGITS], dim=1)  # (B, 3, labels)
    targets = TARGETS[:, None].expand_as(decisions)
    found = label_loss(decisions, targets, "multiclass", WEIGHT)
    assert found.shape == (2, 3)
    for index in range(3):
        alone = F.cross_entropy(decisions[:, index], TRUTH, WEIGHT, reduction="none")
        assert torch.allclose(found[:, index], alone)


def test_independent_labels_cost_what_they_did():
    found = label_loss(LOGITS, TARGETS, "multilabel", WEIGHT)
    expected = F.binary_cross_entropy_with_logits(
        LOGITS, TARGETS, pos_weight=WEIGHT, reduction="none"
    ).mean(1)
    assert torch.equal(found, expected)


def test_a_teacher_of_exclusive_labels_is_a_distribution():
    said = torch.tensor([[1.0, 0.0, -1.0], [3.0, 3.0, 0.0]])
    expected = -(torch.softmax(said, 1) * torch.log_softmax(LOGITS, 1)).sum(1)
    assert torch.allclose(soft_loss(LOGITS, said, "multiclass"), expected)


def test_rare_labels_weigh_more_and_the_mean_over_clips_is_one():
    targets = np.eye(3, dtype=bool)[[0] * 16 + [1] * 4 + [2]]
    names = ("a", "b", "c")
    balanced = balanced_weights(targets, names, CLASS_WEIGHT_POWERS["balanced"])
    assert balanced.tolist() == pytest.approx([7 / 16, 7 / 4, 7.0])
    root = label_weights(targets, names, "multiclass")  # sqrt
    assert (root / root[0]).tolist() == pytest.approx([1.0, 2.0, 4.0])
    for weight in (balanced, root):
        assert float(weight[targets.argmax(1)].mean()) == pytest.approx(1.0)
    assert label_weights(targets, names, "multiclass", "none").tolist() == [1.0, 1.0, 1.0]
    paper = label_weights(targets, names, "multilabel").tolist()
    assert paper == pytest.approx([5 / 16, 17 / 4, 20.0])
    with pytest.raises(MerEdgeError, match="the label 'b' is on 0 of 2"):
        label_weights(np.eye(3, dtype=bool)[[0, 2]], names, "multiclass")


def test_the_ways_to_weigh_are_the_options():
    assert tuple(CLASS_WEIGHT_POWERS) == CLASS_WEIGHTS
