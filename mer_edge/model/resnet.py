"""The visual encoder: a ResNet of basic blocks (He et al. 2016) with SEMs between its stages."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from mer_edge.model.config import VISUAL_GROUPS, SemAttention, VisualSizes
from mer_edge.model.precision import widened
from mer_edge.model.recompute import run_group
from mer_edge.model.sem import SemanticEnhancement, TextGuide

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Of RGB in [0, 1]; what torchvision's and most AffectNet ResNets were trained with."""
IMAGENET_STD = (0.229, 0.224, 0.225)

CHANNELS_LAST_STEM = 16
"""From this width of the stem on the ResNet trains with channels last in memory."""


class ResNet(nn.Module):
    """torchvision's BasicBlocks at free widths; keys and outputs of ``resnet18`` at width 64.

    No classifier: ``fc`` is missing. Kaiming initialisation (fan out), as torchvision's.
    """

    def __init__(self, sizes: VisualSizes) -> None:
        super().__init__()
        width = sizes.channels[0]
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        inputs = (width, *sizes.channels[:3])
        strides = (1, 2, 2, 2)
        layers = [
            _layer(*arguments)
            for arguments in zip(inputs, sizes.channels, sizes.blocks, strides, strict=True)
        ]
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def group(self, number: int) -> nn.Sequential:
        """Stage 1 (stem and max pool) or 2 to 5 (conv2_x to conv5_x); shared, not copied."""
        if number == 1:
            return nn.Sequential(self.conv1, self.bn1, self.relu, self.maxpool)
        return (self.layer1, self.layer2, self.layer3, self.layer4)[number - 2]


class VisualEncoder(nn.Module):
    """Faces (S, 224, 224, 3) uint8 RGB and their text -> features (S, embedding_size)."""

    def __init__(
        self,
        sizes: VisualSizes,
        text_size: int,
        sem_positions: tuple[int, ...],
        attention: SemAttention,
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        self.pool = sizes.pool
        self.backbone = ResNet(sizes)
        channels = (sizes.channels[0], *sizes.channels)
        self.sems = nn.ModuleDict(
            {
                str(position): SemanticEnhancement(channels[position - 1], text_size, attention)
                for position in sem_positions
            }
        )
        self._stem_stages = min(sem_positions, default=VISUAL_GROUPS)
        mean, std = (torch.tensor(x).reshape(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
        self.register_buffer("pixel_scale", 1.0 / (255.0 * std), persistent=False)
        self.register_buffer("pixel_shift", -mean / std, persistent=False)
        self.pixel_scale: Tensor
        self.pixel_shift: Tensor

    def forward(self, faces: Tensor, text: TextGuide) -> Tensor:
        return self.tail(self.stem(faces), text)

    def stem(self, faces: Tensor) -> Tensor:
        """Faces -> the map that goes into the first SEM (the last stage's where there is none).

        It needs no text, so that it can be had before the text is known.
        """
        pixels = self.normalize(faces)
        if self.pool > 1:
            pixels = F.avg_pool2d(pixels, self.pool)
        return self._stem_maps(pixels)[-1]

    def tail(self, stem_map: Tensor, text: TextGuide) -> Tensor:
        """What ``stem`` gives, and the text -> features (S, embedding_size)."""
        return widened(self._tail_maps(stem_map, text)[-1]).mean(dim=(2, 3))

    def normalize(self, faces: Tensor) -> Tensor:
        """uint8 (S, H, W, 3) -> float (S, 3, H, W) with ImageNet's mean and deviation removed."""
        # The arithmetic comes after the change of the layout: with three values in a row in memory,
        # as the bytes have them, engines do it one by one.
        pixels = faces.to(self.pixel_scale.dtype).permute(0, 3, 1, 2)
        pixels = pixels if self._channels_last() else pixels.contiguous()
        return pixels * self.pixel_scale + self.pixel_shift

    def _channels_last(self) -> bool:
        """Whether maps lie with their channels last in memory: in training, where it is faster.

        A stem below 16 channels never: oneDNN's backward pass of one of 8 channels then writes
        outside its buffers (torch 2.11, AVX-512). What is traced or compared in evaluation mode
        stays contiguous.
        """
        return self.training and self.backbone.conv1.out_channels >= CHANNELS_LAST_STEM

    def feature_maps(self, pixels: Tensor, text: TextGuide) -> list[Tensor]:
        """(S, 3, H, W) -> the maps after each of the five stages, enriched where a SEM stands.

        ``pixels`` are normalised and of the size that the first convolution sees: already pooled.
        """
        *before, stem_map = self._stem_maps(pixels)
        return [*before, *self._tail_maps(stem_map, text)]

    def _stem_maps(self, pixels: Tensor) -> list[Tensor]:
        """The maps after each stage up to the first SEM, as they go into it."""
        maps = [pixels]
        for number in range(1, self._stem_stages + 1):
            maps.append(self._stage(number, maps[-1]))
        return maps[1:]

    def _tail_maps(self, stem_map: Tensor, text: TextGuide) -> list[Tensor]:
        """The maps from the first SEM on."""
        maps = [self._enriched(self._stem_stages, stem_map, text)]
        for number in range(self._stem_stages + 1, VISUAL_GROUPS + 1):
            maps.append(self._enriched(number, self._stage(number, maps[-1]), text))
        return maps

    def _stage(self, number: int, feature_map: Tensor) -> Tensor:
        checkpointing = self.gradient_checkpointing and self.training
        return run_group(self.backbone.group(number), feature_map, checkpointing)

    def _enriched(self, number: int, feature_map: Tensor, text: TextGuide) -> Tensor:
        if str(number) not in self.sems:
            return feature_map
        enriched: Tensor = self.sems[str(number)](feature_map, text, self._channels_last())
        return enriched


def _layer(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    downsample = None
    if stride != 1 or inputs != outputs:
        downsample = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False),
            nn.BatchNorm2d(outputs),
        )
    first = BasicBlock(inputs, outputs, stride, downsample)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs) for _ in range(blocks - 1)))
