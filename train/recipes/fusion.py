"""The fusion of the starter model: three calibrated decisions, and how much each counts.

The encoders' own heads become the decisions of a MER network (no SEM, no cross-modal encoder),
exactly, each divided by the temperature that its held-out people and sentences gave. What is
learned here is the paper's attention over the three decisions, from draws of a voice, a face and a
sentence of the same emotion that no encoder has learned from. Often one or two are hidden, and
often the sentence is a neutral one: what people say is seldom emotional where their voice is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from mer_edge.model.config import EDGE, AudioSizes, ModelConfig, VisualSizes, with_variant
from mer_edge.model.mer import MerModel
from mer_edge.model.text import load_text_encoder
from mer_edge.model.weights import load_resnet18, load_vggish
from mer_edge.segments import MODALITIES
from train.recipes.corpora import LABELS

Logits = NDArray[np.float64]
"""shape = (items, 7)"""


@dataclass(frozen=True)
class FusionSettings:
    """Everything that decides the attention over the decisions."""

    steps: int = 1500
    draws_per_step: int = 128
    learning_rate: float = 0.02
    weight_decay: float = 1.0
    """A sharp attention follows the noise of a decision, INT8's too: with 0.01 one of 0.15 moved
    the weights by 0.044 instead of 0.019, and other held-out draws were told no better."""
    hidden_probability: float = 0.3
    """Of each modality of a draw; one always stays."""
    neutral_text_share: float = 0.35
    """Of the draws: the sentence is a neutral one, whatever voice and face show."""
    coverage: float = 0.8
    """Share of the held-out draws that are decided; the others are "uncertain"."""
    seed: int = 0


@dataclass(frozen=True)
class Bank:
    """Items of one modality, none of which an encoder has learned from, and what it says."""

    logits: Logits
    classes: NDArray[np.int64]
    """shape = (items,)"""


@dataclass(frozen=True)
class Draws:
    """N clips put together of items of the banks."""

    decisions: NDArray[np.float32]
    """shape = (N, 3, 7): logits of voice, face and sentence."""
    present: NDArray[np.bool_]
    """shape = (N, 3); at least one true in each row."""
    classes: NDArray[np.int64]
    """shape = (N,)"""


@dataclass(frozen=True)
class Parts:
    """Where the trained encoders are, and the temperature of each one's decision."""

    text: Path
    speech: Path
    faces: Path
    audio_sizes: AudioSizes
    visual_sizes: VisualSizes
    temperatures: Mapping[str, float]
    """Keys ``audio``, ``visual``, ``text``."""


def assemble(parts: Parts) -> tuple[MerModel, str]:
    """The network made of the trained parts, in evaluation mode, and its tokenizer.

    Its decisions are those of the encoders' heads divided by their temperatures, exactly; its
    attention is random.

    Raises:
        MerEdgeError: a part is missing or does not fit.
    """
    loaded = load_text_encoder(parts.text)
    config: ModelConfig = replace(
        with_variant(EDGE, "mer"),
        preset="starter",
        labels=LABELS,
        task="multiclass",
        text=loaded.sizes,
        audio=parts.audio_sizes,
        visual=parts.visual_sizes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MerModel(config).eval()
    assert model.text_encoder is not None
    assert model.vggish is not None
    assert model.resnet is not None
    model.text_encoder.bert.load_state_dict(loaded.bert.state_dict())
    load_vggish(model.vggish.backbone, parts.speech / "weights.safetensors")
    load_resnet18(model.resnet.backbone, parts.faces / "weights.safetensors")
    fusion, heads = model.fusion, parts.temperatures
    projection: Any = fusion.get_submodule("projection")
    with torch.no_grad():
        _place_text(fusion.text_decision, load_file(parts.text / "head.safetensors"), heads["text"])
        face = load_file(parts.faces / "head.safetensors")
        _place_mlp(projection.visual, fusion.visual_decision, face, heads["visual"])
        voice = load_file(parts.speech / "head.safetensors")
        _place_linear(projection.audio, fusion.audio_decision, voice, heads["audio"])
    return model, loaded.tokenizer_json


def _place_text(decision: Any, head: Mapping[str, Tensor], temperature: float) -> None:
    decision.load_state_dict(dict(head))
    decision[3].weight /= temperature
    decision[3].bias /= temperature


def _place_mlp(
    project: nn.Linear, decision: Any, head: Mapping[str, Tensor], temperature: float
) -> None:
    """Linear, ReLU, Linear on the mean feature: the first is the projection, and the mean over the
    segments comes between, which a linear layer does not notice."""
    project.load_state_dict({"weight": head["0.weight"], "bias": head["0.bias"]})
    _pass_on(decision[0])
    decision[3].weight.copy_(head["3.weight"] / temperature)
    decision[3].bias.copy_(head["3.bias"] / temperature)


def _place_linear(
    project: nn.Linear, decision: Any, head: Mapping[str, Tensor], temperature: float
) -> None:
    """One linear layer: its outputs and their negatives pass the rectifier, and z is
    ReLU(z) - ReLU(-z)."""
    weight, bias = head["weight"] / temperature, head["bias"] / temperature
    labels = len(bias)
    for parameter in (*project.parameters(), *decision[3].parameters()):
        parameter.zero_()
    project.weight[: 2 * labels] = torch.cat([weight, -weight])
    project.bias[: 2 * labels] = torch.cat([bias, -bias])
    _pass_on(decision[0])
    one = torch.eye(labels)
    decision[3].weight[:, : 2 * labels] = torch.cat([one, -one], 1)


def _pass_on(layer: nn.Module) -> None:
    assert isinstance(layer, nn.Linear)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)


def draw(
    banks: Mapping[str, Bank],
    count: int,
    rng: np.random.Generator,
    hidden_probability: float = 0.0,
    neutral_text_share: float = 0.0,
) -> Draws:
    """Put ``count`` clips together: a class each, as likely as any other, and items of it."""
    classes = rng.integers(len(LABELS), size=count)
    decisions = np.zeros((count, len(MODALITIES), len(LABELS)), np.float32)
    neutral = rng.random(count) < neutral_text_share
    for column, modality in enumerate(MODALITIES):
        bank, wanted = banks[modality], classes
        if modality == "text":
            wanted = np.where(neutral, LABELS.index("neutral"), classes)
        for label in np.unique(wanted):
            rows = np.flatnonzero(wanted == label)
            items = rng.choice(np.flatnonzero(bank.classes == label), len(rows))
            decisions[rows, column] = bank.logits[items]
    present = rng.random((count, len(MODALITIES))) >= hidden_probability
    # A neutral sentence alone shows nothing of the class, so that voice or face stays with it.
    present[np.arange(count), rng.integers(2, size=count)] |= ~present[:, :2].any(1) & neutral
    nothing = ~present.any(1)
    present[nothing, rng.integers(len(MODALITIES), size=nothing.sum())] = True
    return Draws(decisions, present, classes)


def train_attention(model: MerModel, banks: Mapping[str, Bank], settings: FusionSettings) -> None:
    """Learn how much each decision counts, in place; the decisions stay as they are."""
    rng = np.random.default_rng(settings.seed)
    fusion = model.fusion
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(settings.seed)
        nn.init.xavier_uniform_(fusion.attention_matrix)
        nn.init.normal_(fusion.attention_vector, std=len(LABELS) ** -0.5)
    learned = [fusion.attention_matrix, fusion.attention_vector]
    optimizer = torch.optim.AdamW(
        learned, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    for _ in range(settings.steps):
        draws = draw(
            banks,
            settings.draws_per_step,
            rng,
            settings.hidden_probability,
            settings.neutral_text_share,
        )
        logits, _ = fusion.weigh(torch.from_numpy(draws.decisions), torch.from_numpy(draws.present))
        loss = F.cross_entropy(logits, torch.from_numpy(draws.classes))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


@torch.no_grad()
def fuse(model: MerModel, draws: Draws) -> Logits:
    """The fused logits, shape = (N, 7)."""
    logits, _ = model.fusion.weigh(
        torch.from_numpy(draws.decisions), torch.from_numpy(draws.present)
    )
    return logits.double().numpy()


def least_confidence(probabilities: NDArray[np.float64], coverage: float) -> float:
    """The confidence that the share ``coverage`` of the clips reaches, to two digits."""
    return round(float(np.quantile(probabilities.max(1), 1 - coverage)), 2)
