"""From a batch to its logits through the four graphs, as a runtime does it.

Only what is present runs: the rows with text through the text graph, the segments with sound (a
face) through the audio (visual) graph. Everything absent is zeros behind a mask, and a learned
vector for text.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export.runners import GraphRunner, Tensors
from mer_edge.model.mer import ModelBatch


def run_chain(
    runner: GraphRunner, batch: ModelBatch, absent_text: NDArray[np.float32], sizes: dict[str, int]
) -> dict[str, Tensors]:
    """The outputs of every graph, laid out over the whole batch.

    Args:
        absent_text: shape = (text size,), the stand-in for a missing text vector.
        sizes: features per segment of ``audio`` and ``visual``.

    Returns:
        Per graph its outputs: ``text`` (B, d_t); ``audio`` and ``visual`` (B, N, features), zero
        where absent; ``fusion``'s ``logits`` (B, M), ``decisions`` (B, 3, M), ``weights`` (B, 3).
    """
    text = _run_text(runner, batch, absent_text)
    audio = _run_encoder(runner, "audio", "waveform", batch, text, sizes["audio"])
    visual = _run_encoder(runner, "visual", "faces", batch, text, sizes["visual"])
    fused = runner.run(
        "fusion",
        {
            "audio": audio,
            "visual": visual,
            "text": text["text"],
            "audio_mask": batch.audio_mask.numpy(),
            "visual_mask": batch.visual_mask.numpy(),
            "text_mask": batch.text_mask.numpy(),
        },
    )
    return {"text": text, "audio": {"audio": audio}, "visual": {"visual": visual}, "fusion": fused}


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
    runner: GraphRunner, graph: str, signal: str, batch: ModelBatch, text: Tensors, size: int
) -> NDArray[np.float32]:
    """Features of the present segments, zeros elsewhere; shape = (B, N, size)."""
    mask: NDArray[np.bool_] = getattr(batch, f"{graph}_mask").numpy()
    features = np.zeros((*mask.shape, size), np.float32)
    clip, segment = np.nonzero(mask)
    if len(clip):
        feed: Tensors = {signal: getattr(batch, signal).numpy()[clip, segment]}
        feed |= {name: text[name][clip] for name in runner.inputs(graph) if name != signal}
        features[clip, segment] = runner.run(graph, feed)[graph]
    return features
