"""From the times of two that ran in turns to the figures of the comparison."""

from __future__ import annotations

from mer_edge.process_memory import PeakMemory
from runtime.bench.partner import Partner
from runtime.bench.report import Peer
from runtime.bench.summary import Latency, Ratio


def peer_figures(
    name: str,
    partner: Partner,
    own_ms: list[float],
    peer_ms: list[float],
    own_logits: list[float] | None,
    own_memory: PeakMemory | None,
) -> Peer:
    """Of at least one round.

    Args:
        own_logits: None where the two have different weights.
        own_memory: of a fresh process with the same input as the partner had.
    """
    memory = PeakMemory(**partner.memory) if partner.memory is not None else None
    share = None
    if memory is not None and own_memory is not None:
        share = own_memory.peak_bytes / memory.peak_bytes
    difference = None
    if own_logits is not None and len(own_logits) == len(partner.logits):
        difference = max(abs(a - b) for a, b in zip(own_logits, partner.logits, strict=True))
    return Peer(
        name=name,
        engine=partner.engine,
        latency_ms=Latency.of(peer_ms),
        own_latency_ms=Latency.of(own_ms),
        ratio=Ratio.of(own_ms, peer_ms),
        memory=memory,
        memory_ratio=share,
        largest_logit_difference=difference,
        notes=partner.notes,
        versions=partner.versions,
    )
