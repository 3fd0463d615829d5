"""t-SNE of audio and visual features, stage by stage, coloured by class (paper, figure 6)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from train.evaluation.features import STAGES, FeatureMap
from train.evaluation.pictures.canvas import GREY, colour, new_figure, plain, save

STAGE_TITLES = {
    "before": "before SEM",
    "sem": "after SEM",
    "mbt": "after the cross-modal encoder",
}


def draw_features(
    maps: Sequence[FeatureMap], labels: Sequence[str], title: str, file: Path
) -> None:
    """Draw a row a modality, a column a stage; clips with none or several labels are grey."""
    modalities = [m for m in ("audio", "visual") if any(one.modality == m for one in maps)]
    stages = [s for s in STAGES if any(one.stage == s for one in maps)]
    figure = new_figure(3.4 * len(stages) + 0.5, 3.4 * len(modalities) + 0.9, title)
    titles = STAGE_TITLES if "sem" in stages else {**STAGE_TITLES, "before": "after the encoder"}
    grid = figure.subplots(len(modalities), len(stages), squeeze=False)
    for row, modality in enumerate(modalities):
        for column, stage in enumerate(stages):
            axes = grid[row][column]
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(f"{modality}, {titles[stage]}", fontsize=10)
            found = [one for one in maps if (one.modality, one.stage) == (modality, stage)]
            if not found:
                axes.set_axis_off()
                continue
            _scatter(axes, found[0], labels)
    named: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(name, handle)
    figure.legend(
        named.values(),
        named.keys(),
        loc="outside lower center",
        ncols=2 * len(stages),
        frameon=False,
    )
    save(figure, file)


def _scatter(axes: Any, one: FeatureMap, labels: Sequence[str]) -> None:
    single = one.targets.sum(axis=1) == 1
    size = 22 if len(single) < 200 else 9
    if not single.all():
        points = one.points[~single]
        axes.scatter(points[:, 0], points[:, 1], size, GREY, label="none or several")
    for number, label in enumerate(labels):
        points = one.points[single & one.targets[:, number]]
        if len(points):
            axes.scatter(
                points[:, 0], points[:, 1], size, colour(number), label=plain(label), alpha=0.85
            )
