"""VGGish while it trains: BatchNorm after every layer, folded into its plain weights at the end."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from mer_edge.model.config import AudioSizes
from mer_edge.model.logmel import FRAMES, MEL_BANDS
from mer_edge.model.vggish import Vggish

MAP_FRAMES, MAP_BANDS = FRAMES // 16, MEL_BANDS // 16
"""6 x 4: the map after the four max pools."""


class NormalisedVggish(nn.Module):
    """A :class:`Vggish` with BatchNorm after each convolution and each fully connected layer.

    The first fully connected layer has one set of weights for all six positions in time (it sees
    their mean): a sixth of the weights, and the place of a sound in the segment is not learned.
    As a plain layer that is the same weights six times, divided by six.
    """

    def __init__(self, sizes: AudioSizes, dropout: float) -> None:
        super().__init__()
        self.sizes = sizes
        self.features = Vggish(sizes).features
        self.embeddings = Vggish(sizes).embeddings
        first = nn.Linear(MAP_BANDS * sizes.channels[-1], sizes.hidden_size)
        nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
        nn.init.zeros_(first.bias)
        self.embeddings[0] = first
        self.norms = nn.ModuleList([_norm_of(layer) for layer in self._layers()])
        self.channel_dropout = nn.Dropout2d(dropout)

    def forward(self, log_mel: Tensor) -> Tensor:
        """(S, 96, 64) -> (S, embedding_size)."""
        norms = iter(self.norms)
        x: Tensor = log_mel.unsqueeze(1)
        for layer in self.features:
            x = next(norms)(layer(x)) if _has_weights(layer) else layer(x)
        x = self.channel_dropout(x).mean(2)  # (S, C, 4 bands)
        x = x.transpose(1, 2).flatten(1)  # channels last, as Vggish has them
        for layer in self.embeddings:
            x = next(norms)(layer(x)) if _has_weights(layer) else layer(x)
        return x

    def folded(self) -> Vggish:
        """The same function in evaluation mode as a plain network (a copy)."""
        trained = copy.deepcopy(self)
        plain = Vggish(self.sizes)
        with torch.no_grad():
            for layer, norm in zip(trained._layers(), trained.norms, strict=True):
                _fold(layer, norm)
            plain.features.load_state_dict(trained.features.state_dict())
            weights = trained.embeddings.state_dict()
            weights["0.weight"] = weights["0.weight"].repeat(1, MAP_FRAMES) / MAP_FRAMES
            plain.embeddings.load_state_dict(weights)
        return plain.eval()

    def _layers(self) -> list[nn.Module]:
        return [layer for layer in [*self.features, *self.embeddings] if _has_weights(layer)]


class SpeechClassifier(nn.Module):
    """Log-mel of a clip's segments -> logits: mean of the embeddings, then one linear layer."""

    def __init__(self, sizes: AudioSizes, labels: int, dropout: float) -> None:
        super().__init__()
        self.trunk = NormalisedVggish(sizes, dropout / 2)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(sizes.embedding_size, labels)

    def forward(self, log_mel: Tensor, mask: Tensor) -> Tensor:
        """(B, K, 96, 64) and which segments are voiced, (B, K) -> (B, labels)."""
        clips, segments = mask.shape
        embeddings = self.trunk(log_mel.flatten(0, 1)).unflatten(0, (clips, segments))
        logits: Tensor = self.head(self.dropout(mean_of_voiced(embeddings, mask)))
        return logits


def mean_of_voiced(embeddings: Tensor, mask: Tensor) -> Tensor:
    """(B, K, d) and (B, K) -> (B, d)."""
    weights = mask.to(embeddings).unsqueeze(2)
    return (embeddings * weights).sum(1) / weights.sum(1).clamp(min=1.0)


def _has_weights(layer: nn.Module) -> bool:
    return isinstance(layer, (nn.Conv2d, nn.Linear))


def _norm_of(layer: nn.Module) -> nn.Module:
    if isinstance(layer, nn.Conv2d):
        return nn.BatchNorm2d(layer.out_channels)
    assert isinstance(layer, nn.Linear)
    return nn.BatchNorm1d(layer.out_features)


def _fold(layer: nn.Module, norm: nn.Module) -> None:
    """BatchNorm(W x + b) = W' x + b', in float64, in place."""
    assert isinstance(layer, (nn.Conv2d, nn.Linear))
    assert isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d))
    assert layer.bias is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = (layer.bias.double() - norm.running_mean.double()) * scale + norm.bias.double()
    weight = layer.weight.double() * scale.view(-1, *[1] * (layer.weight.dim() - 1))
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
