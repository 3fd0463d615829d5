"""Gradient checkpointing of a group of layers (Chen et al. 2016), BatchNorm included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run_group(group: nn.Module, feature_map: Tensor, checkpointing: bool) -> Tensor:
    """``group(feature_map)``; with ``checkpointing`` its inside is computed again for backward."""
    if not (checkpointing and torch.is_grad_enabled()):
        output: Tensor = group(feature_map)
        return output

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _still_statistics(group)

    recomputed: Tensor = checkpoint(group, feature_map, use_reentrant=False, context_fn=contexts)
    return recomputed


@contextmanager
def _still_statistics(group: nn.Module) -> Iterator[None]:
    """BatchNorm writes its running statistics into copies that are thrown away.

    The first pass has updated them; the second must not do so again.
    """
    norms = [module for module in group.modules() if isinstance(module, _BatchNorm)]
    kept = [dict(norm.named_buffers(recurse=False)) for norm in norms]
    try:
        for norm, buffers in zip(norms, kept, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer.clone())
        yield
    finally:
        for norm, buffers in zip(norms, kept, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)
