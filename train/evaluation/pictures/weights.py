"""How much each modality counts in the decisions, over all clips and class by class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mer_edge.pictures import MODALITY_COLOURS
from mer_edge.segments import MODALITIES
from train.evaluation.evaluation import SubjectEvaluation
from train.evaluation.pictures.canvas import clean, new_figure, save, slanted
from train.evaluation.subject import ClipPredictions


def draw_weights(subject: SubjectEvaluation, predictions: ClipPredictions, file: Path) -> None:
    """Draw boxes (quartiles, whiskers at 5 and 95 %) of the clips that have the modality."""
    labels = subject.info.labels
    groups = [np.ones(len(predictions.targets), bool), *predictions.targets.T]
    figure = new_figure(
        max(6.5, 2.2 + 1.2 * len(groups)),
        4.4,
        f"{subject.info.name}: weight of a modality where it is present (quartiles, 5 and 95 %)",
    )
    axes = figure.add_subplot()
    clean(axes)
    for number, name in enumerate(MODALITIES):
        weights = predictions.weights[:, number]
        values = [weights[group & (weights > 0)] for group in groups]
        shown = [place for place, some in enumerate(values) if len(some)]
        if not shown:
            continue
        boxes = axes.boxplot(
            [values[place] for place in shown],
            positions=[place + (number - 1) * 0.26 for place in shown],
            widths=0.22,
            whis=(5, 95),
            patch_artist=True,
            manage_ticks=False,
            medianprops={"color": "#222222"},
            flierprops={"marker": ".", "markersize": 3, "markeredgecolor": "#999999"},
        )
        for box in boxes["boxes"]:
            box.set(facecolor=MODALITY_COLOURS[name], alpha=0.85)
        boxes["boxes"][0].set_label(name)
    slanted(axes, ["all clips", *labels])
    axes.axvline(0.5, color="#cccccc", linewidth=1)
    axes.set(
        ylim=(-0.02, 1.02),
        xlim=(-0.6, len(groups) - 0.4),
        ylabel="attention weight in the fusion",
    )
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    save(figure, file)
