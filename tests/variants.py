"""Every variant of the model as a network even smaller than tiny: whole suites build them all."""

from __future__ import annotations

from dataclasses import replace

from mer_edge.model.config import (
    TINY,
    VARIANTS,
    AudioSizes,
    ModelConfig,
    VisualSizes,
    with_variant,
)

SMALL = replace(
    TINY,
    audio=AudioSizes((2, 3, 4, 6), 8, 8),
    visual=VisualSizes((4, 4, 6, 8), (1, 1, 1, 1)),
    bottleneck_size=8,
    attention_heads=2,
)
CELLS: dict[str, ModelConfig] = {name: with_variant(SMALL, name) for name in VARIANTS} | {
    "joint": replace(SMALL, cross_modal="joint"),
    "bi_cross": replace(SMALL, cross_modal="bi_cross"),
}
"""The paper's variants, and the two other ways in which the modalities can meet."""
