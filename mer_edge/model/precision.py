"""What stays in fp32 when the rest of the network runs under ``torch.autocast``.

Softmax, LayerNorm, sums over time and the log-mel front end lose too much in 8 or 11 bits of
mantissa. Without autocast nothing here does anything, so that exported graphs do not change.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def widened(x: Tensor) -> Tensor:
    """A half-precision ``x`` in float32; else ``x`` itself, without a node in a traced graph."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """A block in which autocast is off on the device of ``x``; nothing where it is off anyway."""
    if not torch.is_autocast_enabled(x.device.type):
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)
