import csv
import io
import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from train.ablation.grid import make_cells
from train.ablation.result import Ablation, Failure, RunResult, spread, summarise
from train.ablation.tables import cells_csv, markdown, print_ablation, runs_csv
from train.ablation.writing import as_json, write_ablation
from train.evaluation.headline import HEADLINES

F1 = {"mer": [0.60, 0.62, 0.61], "mer-mbt": [0.61, 0.63, 0.66], "mer-sem-mbt": [0.70, 0.72, 0.74]}


def ablation(f1: dict[str, list[float]] = F1, note: str = "") -> Ablation:
    cells = make_cells(list(F1), [])
    runs = [
        RunResult(cell, seed, dict.fromkeys(HEADLINES, value), 1_500_000, 9, 4, 10.0 + seed)
        for cell, values in f1.items()
        for seed, value in enumerate(values)
    ]
    return Ablation(
        note=note,
        data={"path": "DATA", "dataset": "manifest", "split": "test", "clips": 20, "notes": []},
        options={},
        seeds=[0, 1, 2],
        reference="mer-sem-mbt",
        finished=True,
        cells=summarise(cells, runs, "mer-sem-mbt"),
        runs=runs,
        failures=[Failure("mer", 3, "the loss became nan")] if note else [],
    )


def test_a_cell_has_mean_sample_deviation_and_a_paired_test():
    mer, _, reference = ablation().cells
    found = mer.figures["f1"]
    assert (found.mean, found.deviation) == pytest.approx((0.61, 0.01))
    assert mer.mean_train_s == 11.0
    # Differences -0.10, -0.10, -0.13: mean -0.11, deviation sqrt(3) / 100.
    test = mer.against_reference["f1"]
    assert test.mean_difference == pytest.approx(-0.11)
    t = -0.11 / (math.sqrt(3) / 100 / math.sqrt(3))
    assert test.t == pytest.approx(t)
    assert test.p == pytest.approx(1 - abs(t) / math.sqrt(2 + t**2))
    assert reference.against_reference == {}


def test_only_seeds_that_both_have_are_paired():
    first, *_ = ablation({**F1, "mer": [0.6], "mer-sem-mbt": [0.7, 0.8]}).cells
    assert first.seeds == [0]
    assert first.figures["f1"].deviation is None
    assert first.against_reference == {}


def test_a_cell_without_a_run_stays_in_the_table():
    found = ablation({name: values for name, values in F1.items() if name != "mer"}, "A note.")
    assert found.cells[0].figures == {}
    (line,) = [line for line in markdown(found).splitlines() if line.startswith("| mer |")]
    assert line.split("|")[2:4] == [" 0 ", " - "]
    json.loads(as_json(found))


def test_markdown_says_note_signs_and_failures():
    text = markdown(ablation(note="Not a benchmark."))
    lines = text.splitlines()
    assert lines[0] == "**Not a benchmark.**"
    assert "| mer-sem-mbt (reference) | 3 | 0.720 ± 0.020 |" in text
    assert "| mer | 3 | 0.610 ± 0.010* |" in text  # p = 0.008
    assert "| mer-mbt | 3 | 0.633 ± 0.025* |" in text  # p = 0.0089
    assert "1.5 M | 11 |" in text
    assert "- failed: mer, seed 3: the loss became nan" in lines


def test_csv_has_every_run_and_every_cell():
    found = ablation()
    runs = list(csv.DictReader(io.StringIO(runs_csv(found))))
    assert [float(run["f1"]) for run in runs if run["cell"] == "mer-mbt"] == F1["mer-mbt"]
    (mer, *_, reference) = csv.DictReader(io.StringIO(cells_csv(found)))
    assert float(mer["f1_mean"]) == pytest.approx(0.61)
    assert float(mer["f1_p"]) == found.cells[0].against_reference["f1"].p
    assert reference["f1_p"] == ""


def test_a_narrow_terminal_gets_fewer_columns_and_whole_rows():
    written = io.StringIO()
    console = Console(file=written, width=80, force_terminal=True, no_color=True)
    print_ablation(ablation(), console)
    lines = written.getvalue().splitlines()
    assert "Avg F1" in lines[0]
    assert "WA at 0.5" not in lines[0]
    assert "0.720 ± 0.020" in lines[3]
    assert "more columns are in ablation.md" in written.getvalue()


def test_the_folder_gets_every_form(tmp_path):
    write_ablation(tmp_path, ablation(note="A sentence that says what it is. " * 8))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"ablation.json", "ablation.md", "ablation.csv", "ablation.png", "runs.csv"}
    assert json.loads((tmp_path / "ablation.json").read_text())["schema_version"] == 1
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_a_single_value_has_no_deviation():
    assert spread([0.5]).deviation is None


def test_the_legend_of_exclusive_labels_speaks_of_no_thresholds():
    found = replace(ablation(), options={"task": "multiclass"})
    assert "most probable label" in markdown(found)
    assert "thresholds" not in markdown(found)
    assert "thresholds tuned on validation, or 0.5" in markdown(ablation())
