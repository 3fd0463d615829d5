"""The audio encoder: VGGish (Hershey et al. 2017) with SEMs between its convolution groups."""

from __future__ import annotations

from torch import Tensor, nn

from mer_edge.model.config import AUDIO_GROUPS, AudioSizes, SemAttention
from mer_edge.model.logmel import FRAMES, MEL_BANDS, LogMel
from mer_edge.model.recompute import run_group
from mer_edge.model.sem import SemanticEnhancement, TextGuide

_GROUP_STARTS = (0, 3, 6, 11)
"""Where the groups start in ``features``."""


class Vggish(nn.Module):
    """VGGish without log-mel; the state-dict keys are those of its common PyTorch port.

    ``features.{0,3,6,8,11,13}`` are the convolutions, ``embeddings.{0,2,4}`` the fully connected
    layers. Kaiming initialisation for ReLU, biases zero.
    """

    def __init__(self, sizes: AudioSizes) -> None:
        super().__init__()
        one, two, three, four = sizes.channels
        self.features = nn.Sequential(
            *_convolution(1, one),
            nn.MaxPool2d(2),
            *_convolution(one, two),
            nn.MaxPool2d(2),
            *_convolution(two, three),
            *_convolution(three, three),
            nn.MaxPool2d(2),
            *_convolution(three, four),
            *_convolution(four, four),
            nn.MaxPool2d(2),
        )
        flat = (FRAMES // 16) * (MEL_BANDS // 16) * four
        self.embeddings = nn.Sequential(
            nn.Linear(flat, sizes.hidden_size),
            nn.ReLU(),
            nn.Linear(sizes.hidden_size, sizes.hidden_size),
            nn.ReLU(),
            nn.Linear(sizes.hidden_size, sizes.embedding_size),
            nn.ReLU(),
        )
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def group(self, number: int) -> nn.Sequential:
        """Convolution group 1 to 4, its max pool included; the layers are shared, not copied."""
        ends = (*_GROUP_STARTS[1:], len(self.features))
        return nn.Sequential(*list(self.features)[_GROUP_STARTS[number - 1] : ends[number - 1]])

    def embed(self, feature_map: Tensor) -> Tensor:
        """Map of group 4 (S, C, 6, 4) -> (S, embedding_size); channels come last when flattened."""
        embedding: Tensor = self.embeddings(feature_map.permute(0, 2, 3, 1).flatten(1))
        return embedding


class AudioEncoder(nn.Module):
    """Waveforms of S segments (S, 15600) and their text -> features (S, embedding_size)."""

    def __init__(
        self,
        sizes: AudioSizes,
        text_size: int,
        sem_positions: tuple[int, ...],
        attention: SemAttention,
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        self.logmel = LogMel(sizes.level_dbfs)
        self.backbone = Vggish(sizes)
        self.sems = nn.ModuleDict(
            {
                str(position): SemanticEnhancement(
                    sizes.channels[position - 1], text_size, attention
                )
                for position in sem_positions
            }
        )

    def forward(self, waveform: Tensor, text: TextGuide) -> Tensor:
        return self.backbone.embed(self.feature_maps(self.logmel(waveform), text)[-1])

    def feature_maps(self, log_mel: Tensor, text: TextGuide) -> list[Tensor]:
        """(S, 96, 64) -> the maps after each of the four groups, enriched where a SEM stands."""
        feature_map = log_mel.unsqueeze(1)  # (S, 1, 96 frames, 64 bands)
        checkpointing = self.gradient_checkpointing and self.training
        maps = []
        for number in range(1, AUDIO_GROUPS + 1):
            group = self.backbone.group(number)
            feature_map = run_group(group, feature_map, checkpointing)
            if str(number) in self.sems:
                feature_map = self.sems[str(number)](feature_map, text)
            maps.append(feature_map)
        return maps


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.ReLU()
