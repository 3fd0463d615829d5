"""What a bundle says of its parity: the part of ``manifest.json`` that proves the export.

Plain dataclasses that a JSON reader fills; nothing is imported for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mer_edge.parity.limits import Limits


@dataclass(frozen=True)
class TensorParity:
    """One tensor in the case where it comes nearest to its limit; differences are absolute."""

    part: str
    """A graph's name, of ``mer_edge.bundle.GRAPHS``: it alone, fed with what the reference feeds
    it. ``chain``: all graphs one after the other. ``modules``: the modules the graphs were traced
    from, chained in PyTorch, against the whole network."""
    tensor: str
    precision: str
    """Of the graph, of the chain the loosest; its limits hold."""
    case: str
    max_abs: float
    mean_abs: float
    quantile_999_abs: float
    """99.9 % of the differences are at most this."""
    index: list[int]
    """Where the largest difference is."""
    cosine: float
    reference_max_abs: float
    """The reference's largest magnitude."""
    share_of_limit: float | None
    """1 is all that is allowed; None where the precision does not limit this tensor."""


@dataclass(frozen=True)
class DecisionParity:
    """The decisions of one part on a number of clips, against the reference's."""

    part: str
    """``chain``, or ``fusion`` alone on the reference's features."""
    source: str
    """Where the clips are from: ``real`` are somebody's, ``random`` made for the export, and
    ``golden`` are random too, but travel with the bundle, so that anybody can repeat them."""
    clips: int
    decisions: int
    """Pairs of clip and label that count, of exclusive labels clips: see
    ``mer_edge.parity.decisions``."""
    agreement: float | None
    """The share of them that are the same; None of none."""
    clip_agreement: float | None
    """The share of clips with all of their counted decisions the same; None where none counts."""
    max_probability_change: float
    mean_probability_change: float
    worst: str
    """The case or clip, and the label's index, with the largest change."""
    share_of_limit: float | None = None
    """1 is all that is allowed; None where nothing is limited."""


@dataclass(frozen=True)
class Parity:
    """What the export measured against PyTorch before it let the bundle out."""

    max_abs_logit_difference: float
    """Of the chain, over all cases and clips."""
    tolerance: float | None
    """What it may be; None where the precision limits decisions and not logits."""
    cases: int
    """Random batches that were compared: shapes and subsets of the modalities."""
    precision: str = "fp32"
    """The loosest of the graphs', whose limits hold for the chain."""
    limits: dict[str, Limits] = field(default_factory=dict)
    """By precision, of those that the graphs have."""
    tensors: list[TensorParity] = field(default_factory=list)
    decisions: list[DecisionParity] = field(default_factory=list)
    real_clips: int = 0
    """Clips of the user's that were compared, besides the random ones."""
    worst: str = ""
    """What came nearest to its limit, and where."""
    shapes: list[str] = field(default_factory=list)
    """The shapes that were run, and those of the declared ranges that were not, with the reason."""
