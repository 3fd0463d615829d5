"""The page results/real-signals.md, from what report.py has collected."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from train.evaluation.significance import paired_t_test

FULL = "mer-sem-mbt"
COMMAND = "benchmarks/real_signals/run.sh SOURCE BERT OUT"


def page(found: dict[str, Any]) -> str:
    variants = found["variants"]
    lines = [
        f"**{variants['note']}**",
        "",
        f"`{COMMAND}`, commit `{found['commit'][:12]}`, {found['machine']}, torch "
        f"{found['versions']['torch']}. Preset `small`; the text encoder starts from MiniLM-L6, "
        "the audio and visual encoders from runs on the training split's own voices and on "
        "FER2013's faces; 3 seeds; 14 speakers train, 3 choose the epoch, 3 test.",
        "",
        "![F1 of each network](real-signals.png)",
        "",
        *variant_table(variants),
        "",
        *attention_table(found["attention"]),
        "",
    ]
    if found["baselines"]:
        lines += [*singles_table(found), ""]
    if found["students"]:
        lines += [*distillation_table(found["students"]), ""]
    if found["overfit"]:
        lines += overfit_table(found["overfit"])
    return "\n".join(lines) + "\n"


def variant_table(variants: Any) -> list[str]:
    lines = [
        f"Test split, mean ± deviation over the seeds; p: paired t-test of F1 against {FULL}.",
        "",
        "| network | Avg F1 | Avg Acc | Avg WA | UAR | p | parameters |",
        "|---|---|---|---|---|---|---|",
    ]
    reference = series(variants, FULL)
    for cell in variants["cells"]:
        figures = cell["figures"]
        shown = [
            f"{figures[name]['mean']:.3f} ± {figures[name]['deviation']:.3f}"
            for name in ("f1", "accuracy", "weighted_accuracy", "unweighted_average_recall")
        ]
        p = paired_t_test(series(variants, cell["name"]), reference).p
        said = "-" if cell["name"] == FULL or p is None else shown_p(p)
        parameters = next(r["parameters"] for r in variants["runs"] if r["cell"] == cell["name"])
        lines.append(f"| {cell['name']} | {' | '.join(shown)} | {said} | {parameters:,} |")
    return lines


def series(ablation: Any, cell: str) -> list[float]:
    runs = [run for run in ablation["runs"] if run["cell"] == cell]
    return [run["figures"]["f1"] for run in sorted(runs, key=lambda run: run["seed"])]


def mean(ablation: Any, cell: str, figure: str) -> float:
    (found,) = [c for c in ablation["cells"] if c["name"] == cell]
    value: float = found["figures"][figure]["mean"]
    return value


def shown_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def attention_table(forms: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"Form of the SEMs of {FULL}, Avg F1:",
        "",
        "| form | Avg F1 | seeds | p against spatial |",
        "|---|---|---|---|",
        *(
            f"| {form} | {f['mean']:.3f} ± {f['deviation']:.3f} | "
            f"{', '.join(f'{value:.3f}' for value in f['values'])} | "
            f"{'-' if f['p'] is None else shown_p(f['p'])} |"
            for form, f in forms.items()
        ),
    ]


def singles_table(found: dict[str, Any]) -> list[str]:
    """Each modality alone against its frozen features; what has not been measured is left out."""
    baselines, variants = found["baselines"], found["variants"]
    rows = [
        (
            f"triples, {name}: UAR, 7 classes",
            baselines["triples"][name]["uar"],
            mean(variants, name, "unweighted_average_recall"),
        )
        for name in ("audio", "visual", "text")
    ]
    notes = [
        "On the triples the audio and visual networks start as said above, the visual one from "
        "faces that its baseline there has not seen; with the same faces for both, see FER2013."
    ]
    if "faces" in baselines and found["faces"]:
        part = baselines["faces"]
        rows.append(("FER2013 public test: UAR, 7 classes", part["uar"], found["faces"]))
        notes.append(f"FER2013: {part['train']} faces to train, {part['test']} to test.")
    folds = found["ravdess"]
    if "ravdess_cut" in baselines and folds:
        frozen, trained = fold_series(found)
        said = f"RAVDESS, actor-disjoint folds {', '.join(folds)} of 5: UAR, 8 classes"
        rows.append((said, statistics.mean(frozen), statistics.mean(trained)))
        notes.append(fold_note(found))
    if "goemotions" in baselines and found["text"]:
        part, text = baselines["goemotions"], found["text"]
        said = "GoEmotions, development part: accuracy, 7 classes"
        rows.append((said, part["accuracy"], text["accuracy"]))
        notes.append(
            f"GoEmotions: {part['train']} sentences of one label to train, {text['test']} to test, "
            f"{text['epochs']} epoch; UAR {text['uar']:.3f} against {part['uar']:.3f}."
        )
    return [
        "Each modality alone against frozen features with logistic regression (log-mel statistics, "
        "grey values of 24 x 24 pixels, MiniLM's mean token):",
        "",
        "| what | frozen | trained |",
        "|---|---|---|",
        *(f"| {name} | {frozen:.3f} | {trained:.3f} |" for name, frozen, trained in rows),
        "",
        " ".join(notes),
    ]


def fold_series(found: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Unweighted recall of the baseline on the cut sound and of the network, fold by fold."""
    folds = found["ravdess"]
    frozen = found["baselines"]["ravdess_cut"]["folds"]
    return [frozen[int(fold) - 1] for fold in folds], list(folds.values())


def fold_note(found: dict[str, Any]) -> str:
    frozen, trained = fold_series(found)
    p = paired_t_test(trained, frozen).p if len(trained) > 1 else None
    test = "" if p is None else f" (paired t-test: p {shown_p(p)})"
    whole = found["baselines"]["ravdess_whole"]["folds"]
    return (
        f"RAVDESS: both hear the same {found['spoken_s']:.2f} s of each recording, those with the "
        "most energy. The network (preset `small`, variant `audio`, random weights, 40 epochs) "
        "learns from 12 actors while 4 others choose the epoch; the baseline learns from all 16. "
        f"Fold by fold {listed(trained)} against {listed(frozen)}{test}; the baseline on whole "
        f"recordings {listed([whole[int(fold) - 1] for fold in found['ravdess']])}."
    )


def distillation_table(students: dict[str, Any]) -> list[str]:
    """A small network with and without a teacher, over the seeds that both have."""
    alone, taught, teacher = students["alone"], students["taught"], students["teacher"]
    seeds = sorted(set(alone) & set(taught))
    lines = [
        f"Distillation: a `tiny` mer-mbt from random weights, {students['epochs']} epochs, with "
        "and without a teacher, the `small` mer-mbt of the best validation F1 "
        f"({teacher['valid_f1']:.3f}); "
        f"seeds {', '.join(seeds)}, test split.",
        "",
        "| network | Avg F1 | seeds | UAR | p | parameters |",
        "|---|---|---|---|---|---|",
        f"| teacher | {teacher['f1']:.3f} | | {teacher['unweighted_average_recall']:.3f} | | "
        f"{teacher['parameters']:,} |",
    ]
    series = {"student alone": alone, "student with teacher": taught}
    f1 = {name: [runs[seed]["f1"] for seed in seeds] for name, runs in series.items()}
    p = paired_t_test(f1["student with teacher"], f1["student alone"]).p
    for name, runs in series.items():
        recall = [runs[seed]["unweighted_average_recall"] for seed in seeds]
        said = "" if p is None or name == "student alone" else shown_p(p)
        lines.append(
            f"| {name} | {spread(f1[name])} | {listed(f1[name])} | {spread(recall)} | {said} | "
            f"{runs[seeds[0]]['parameters']:,} |"
        )
    return lines


def spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def overfit_table(overfit: Any) -> list[str]:
    return [
        f"{overfit['clips']} real clips learned by heart (training loss, dropout on, below 0.05):",
        "",
        "| network | epochs | loss |",
        "|---|---|---|",
        *(
            f"| {name} | {case['epochs']} | {case['train_loss']:.4f} |"
            for name, case in overfit["cases"].items()
        ),
    ]
