"""Adam with the paper's frozen layers and learning rates (section 4.2)."""

from __future__ import annotations

import torch

from mer_edge.model.mer import MerModel
from train.options import TrainOptions

FROZEN_AUDIO_GROUPS = 2
"""Convolution groups of a pre-trained VGGish that stay as they are, from the first."""
FROZEN_VISUAL_GROUPS = 3
"""Stages of a pre-trained ResNet18 that stay as they are: stem, conv2_x, conv3_x."""


def make_optimizer(model: MerModel, options: TrainOptions) -> torch.optim.Adam:
    """Freeze what does not learn, and give every other parameter its learning rate.

    A backbone with loaded weights (``options.vggish``, ``options.resnet``) has its first groups
    frozen and learns at ``backbone_learning_rate`` above them. A backbone from scratch, the text
    encoder, the SEMs and everything after them learn at ``learning_rate``.
    """
    model.freeze(
        FROZEN_AUDIO_GROUPS if options.vggish is not None else 0,
        FROZEN_VISUAL_GROUPS if options.resnet is not None else 0,
    )
    loaded = [
        backbone
        for backbone, weights in (
            (model.vggish.backbone, options.vggish),
            (model.resnet.backbone, options.resnet),
        )
        if weights is not None
    ]
    slow = {parameter for backbone in loaded for parameter in backbone.parameters()}
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p not in slow], "lr": options.learning_rate},
        {"params": [p for p in learning if p in slow], "lr": options.backbone_learning_rate},
    ]
    return torch.optim.Adam([group for group in groups if group["params"]])
