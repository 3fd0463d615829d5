"""The roofline: what the machine allows at each number of operations a byte, and each graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mer_edge.files import new_file
from mer_edge.pictures import NO_PICTURE, STAGE_COLOURS

COLOURS = {**STAGE_COLOURS, "visual_stem": "#7fa8d6"}
MARKERS = {"fp32": "o", "int8": "s"}
ABOVE, BELOW = (9, 3), (9, -11)
"""Where labels are, in points."""


def draw_roofline(outcome: dict[str, Any], path: Path) -> None:
    """Draw the ceilings and a point a graph, with the share of its ceiling beside it."""
    from matplotlib.figure import Figure

    ceilings = outcome["ceilings"]
    bandwidth = max(ceilings["copy"], ceilings["read"])
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    axes = figure.add_subplot()
    intensities = np.logspace(-0.5, 4.3, 300)
    for kind, style in (("fp32", "-"), ("int8", "--")):
        roof = np.minimum(ceilings[kind], intensities * bandwidth) / 1e9
        name = f"{kind} products: {ceilings[kind] / 1e9:.0f} G operations/s"
        axes.plot(intensities, roof, style, color="#2b2f33", label=name, linewidth=1.5)
    axes.plot([], [], " ", label=f"memory: {bandwidth / 1e9:.0f} GB/s")
    for row in outcome["graphs"]:
        reached = row["operations"] / row["least_ms"] / 1e6
        axes.plot(
            row["intensity"], reached, MARKERS[row["precision"]], markersize=9,
            color=COLOURS[row["graph"]], markeredgecolor="white",
        )  # fmt: skip
        axes.annotate(
            f"{row['graph']} {row['precision']}, {row['share_of_bound']:.0%}",
            (row["intensity"], reached),
            BELOW if row["precision"] == "fp32" and row["graph"] != "text" else ABOVE,
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="operations per byte that must be moved (weights, inputs, outputs)",
        ylabel="G operations/s",
        title=f"{outcome['machine']['processor']}, {outcome['threads']} threads: "
        "each graph and the share of its bound that it reaches",
    )
    axes.grid(which="major", alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    with new_file(path, "drawing the picture", advice=NO_PICTURE) as temporary:
        figure.savefig(temporary, dpi=120)
