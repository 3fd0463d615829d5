"""Adam with the paper's frozen layers and learning rates (section 4.2)."""

from __future__ import annotations

import torch

from mer_edge.model.mer import MerModel
from train.learner import Learner
from train.options import TrainOptions

FROZEN_AUDIO_GROUPS = 2
"""Convolution groups of a pre-trained VGGish that stay as they are, from the first."""
FROZEN_VISUAL_GROUPS = 3
"""Stages of a pre-trained ResNet18 that stay as they are: stem, conv2_x, conv3_x."""


def freeze(model: MerModel, options: TrainOptions) -> None:
    """Keep the first groups of the backbones with loaded weights as they are."""
    model.freeze(
        FROZEN_AUDIO_GROUPS if options.vggish is not None else 0,
        FROZEN_VISUAL_GROUPS if options.resnet is not None else 0,
    )


def make_optimizer(learner: Learner, options: TrainOptions) -> torch.optim.Adam:
    """Give every parameter that learns its learning rate.

    A backbone with loaded weights (``options.vggish``, ``options.resnet``) learns at
    ``backbone_learning_rate`` above its frozen groups. A backbone from scratch, the text
    encoder, the SEMs and everything after them learn at ``learning_rate``.
    """
    slow = set()
    for encoder, weights in (
        (learner.model.vggish, options.vggish),
        (learner.model.resnet, options.resnet),
    ):
        if encoder is not None and weights is not None:
            slow |= set(encoder.backbone.parameters())
    learning = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p not in slow], "lr": options.learning_rate},
        {"params": [p for p in learning if p in slow], "lr": options.backbone_learning_rate},
    ]
    # Fused: one pass over the parameters instead of a dozen; most of a small batch's step
    # would otherwise be Adam on BERT's embeddings.
    optimizer = torch.optim.Adam([group for group in groups if group["params"]], fused=True)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def set_learning_rates(
    optimizer: torch.optim.Optimizer, options: TrainOptions, step: int, steps: int
) -> None:
    """The rates of step number ``step`` (from 0) of a run of ``steps``.

    They rise linearly over ``warmup_steps``, and with ``linear_decay`` fall linearly towards 0
    over the whole run.
    """
    factor = min(1.0, (step + 1) / (options.warmup_steps + 1))
    if options.linear_decay:
        factor *= 1 - step / steps
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
