"""From a batch to its logits through the graphs, as a runtime does it.

Only what is present runs: the rows with text through the text graph, the segments with sound (a
face) through the audio (visual) graph. Everything absent is zeros behind a mask, and a learned
vector for text.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export.runners import GraphRunner, Tensors
from mer_edge.bundle import MAPS, STEMS
from mer_edge.model.config import ModelConfig
from mer_edge.model.mer import MerModel, ModelBatch

SIGNALS = {"audio": "waveform", "visual": "faces"}
"""What each encoder takes of a batch."""


def encoder_sizes(config: ModelConfig) -> dict[str, int]:
    """Features per segment of each encoder that the network has."""
    sizes = {}
    if config.has_audio:
        sizes["audio"] = config.audio.embedding_size
    if config.has_visual:
        sizes["visual"] = config.visual.embedding_size
    return sizes


def absent_text_of(model: MerModel) -> NDArray[np.float32] | None:
    """The stand-in for a missing text vector; None of a network without a text encoder."""
    if model.absent_text is None:
        return None
    vector: NDArray[np.float32] = model.absent_text.detach().numpy()
    return vector


def run_chain(
    runner: GraphRunner,
    batch: ModelBatch,
    absent_text: NDArray[np.float32] | None,
    sizes: dict[str, int],
) -> dict[str, Tensors]:
    """The outputs of every graph, laid out over the whole batch.

    Args:
        absent_text: shape = (text size,), the stand-in for a missing text vector; None without a
            text graph.
        sizes: features per segment of ``audio`` and ``visual``, as far as there is the graph.

    Returns:
        Per graph that there is its outputs: ``text`` (B, d_t); ``audio`` and ``visual``
        (B, N, features), zero where absent; ``fusion``'s ``logits`` (B, M), ``decisions``
        (B, 3, M), ``weights`` (B, 3).
    """
    outputs: dict[str, Tensors] = {}
    text: Tensors = {}
    if absent_text is not None:
        text = outputs["text"] = _run_text(runner, batch, absent_text)
    for graph, size in sizes.items():
        outputs[graph] = {graph: _run_encoder(runner, graph, batch, text, size)}
    feed: Tensors = {
        "audio_mask": batch.audio_mask.numpy(),
        "visual_mask": batch.visual_mask.numpy(),
        "text_mask": batch.text_mask.numpy(),
        **{graph: tensors[graph] for graph, tensors in outputs.items()},
    }
    outputs["fusion"] = runner.run("fusion", {name: feed[name] for name in runner.inputs("fusion")})
    return outputs


def _run_text(runner: GraphRunner, batch: ModelBatch, absent: NDArray[np.float32]) -> Tensors:
    """``text`` (B, d_t), ``tokens`` (B, L, d_t) and ``token_mask`` (B, L) of every clip."""
    present = batch.text_mask.numpy()
    clips, length = batch.input_ids.shape
    text = np.tile(absent, (clips, 1))
    # No text is one valid token, so that attention over the tokens has something to rest on.
    tokens = np.zeros((clips, length, len(absent)), np.float32)
    tokens[:, 0] = absent
    token_mask = np.zeros((clips, length), np.bool_)
    token_mask[:, 0] = True
    if present.any():
        attention_mask = batch.attention_mask.numpy()[present]
        feed: Tensors = {
            "input_ids": batch.input_ids.numpy()[present],
            "attention_mask": attention_mask,
        }
        outputs = runner.run("text", feed)
        text[present] = outputs["text"]
        if "tokens" in outputs:
            tokens[present] = outputs["tokens"]
            token_mask[present] = attention_mask.astype(np.bool_)
    return {"text": text, "tokens": tokens, "token_mask": token_mask}


def _run_encoder(
    runner: GraphRunner, graph: str, batch: ModelBatch, text: Tensors, size: int
) -> NDArray[np.float32]:
    """Features of the present segments, zeros elsewhere; shape = (B, N, size)."""
    signal = SIGNALS[graph]
    mask: NDArray[np.bool_] = getattr(batch, f"{graph}_mask").numpy()
    features = np.zeros((*mask.shape, size), np.float32)
    clip, segment = np.nonzero(mask)
    if len(clip):
        feed: Tensors = {signal: getattr(batch, signal).numpy()[clip, segment]}
        taken, *guides = runner.inputs(graph)
        if taken == MAPS.get(graph):
            feed = runner.run(STEMS[graph], feed)
        feed |= {name: text[name][clip] for name in guides}
        features[clip, segment] = runner.run(graph, feed)[graph]
    return features
