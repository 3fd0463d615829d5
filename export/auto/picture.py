"""The plans as a picture: time against agreement, the ones worth having, the one chosen."""

from __future__ import annotations

from pathlib import Path

from export.auto.plan import frontier, name_of
from mer_edge.bundle import PrecisionChoice
from mer_edge.files import new_file
from mer_edge.pictures import check_picture

MOST_NAMED = 8


def draw_plans(choice: PrecisionChoice, path: Path, title: str) -> None:
    """Draw the plans; what they lose of agreement is on the vertical axis.

    Args:
        path: .png, .pdf or .svg; written whole or not at all.

    Raises:
        MerEdgeError: see ``mer_edge.pictures.check_picture``; or the disk says no.
    """
    check_picture(path)
    plans, chosen = choice.plans, choice.chosen
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.scatter(
        [plan.latency_ms for plan in plans],
        [100 * (1 - plan.agreement) for plan in plans],
        c="#9aa5b1",
        s=[12 + plan.bytes / max(p.bytes for p in plans) * 120 for plan in plans],
        alpha=0.7,
        label="a mix of precisions; its area is its size on disk",
    )
    best = frontier(plans)
    xs, ys = [p.latency_ms for p in best], [100 * (1 - p.agreement) for p in best]
    axes.step(xs, ys, where="post", color="#1f6feb", label="Pareto frontier")
    axes.plot(
        chosen.latency_ms,
        100 * (1 - chosen.agreement),
        marker="*",
        markersize=18,
        color="#d1242f",
        linestyle="none",
        label=f"chosen: {name_of(chosen)}",
    )
    axes.axhline(
        100 * choice.budget, color="#57606a", linestyle="--", label=f"budget {choice.budget:.2%}"
    )
    for plan in best[:MOST_NAMED]:
        axes.annotate(
            name_of(plan).replace(", ", "\n"),
            (plan.latency_ms, 100 * (1 - plan.agreement)),
            xytext=(6, 6),
            textcoords="offset points",
            fontsize=7,
        )
    axes.set_xlabel("ms a clip of typical size, one graph after the other (least of the rounds)")
    axes.set_ylabel("label decisions that change, %")
    axes.margins(0.15)
    axes.legend(fontsize=8)
    with new_file(path, "drawing the plans") as temporary:
        figure.savefig(temporary, dpi=110)
