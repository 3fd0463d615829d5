import math

import pytest
import torch

from export.cases import FULL_GRID, SUBSETS, BatchShape, Case, cases_of, make_batch
from export.parity import TOLERANCE
from mer_edge.errors import MerEdgeError
from tests.export.broken import with_changed_weight

ALL = ("audio", "visual", "text")
CASE = Case(BatchShape(2, 3, 6), (ALL,))


def test_the_full_grid_agrees_with_pytorch(exported):
    report = exported.check().run(cases_of(FULL_GRID))
    assert len(report.results) == 112
    assert report.passed
    # Three decimal places tighter than required; measured 4e-7.
    assert report.max_abs_logit_difference < 1e-5
    assert max(result.logits.reference_max_abs for result in report.results) > 0.01


def test_a_batch_of_clips_with_different_subsets_agrees(exported):
    result = exported.check().compare(Case(BatchShape(7, 3, 9), SUBSETS))
    assert result.worst.within(TOLERANCE)


def test_the_comparison_depends_on_the_clips(exported):
    """Equal outputs for all clips would agree too, and mean nothing."""
    model = exported.checkpoint.model
    with torch.inference_mode():
        logits = [model(make_batch(model.config, CASE, seed)).logits for seed in (0, 1)]
        alone = [model(make_batch(model.config, Case(CASE.shape, (s,)))).logits for s in SUBSETS]
    assert (logits[0] - logits[1]).abs().max() > 10 * TOLERANCE
    for i, one in enumerate(alone):
        for other in alone[i + 1 :]:
            assert (one - other).abs().max() > 10 * TOLERANCE


@pytest.mark.parametrize(
    ("graph", "weight"),
    [
        ("text", "bert.embeddings.LayerNorm.weight"),
        ("audio", "sems.4.norm.weight"),
        ("visual", "sems.5.norm.weight"),
        ("fusion", "audio_decision.3.bias"),
    ],
)
def test_a_changed_weight_is_found_in_its_graph(exported, tmp_path, graph, weight):
    file = with_changed_weight(exported.files[graph], tmp_path / f"{graph}.onnx", weight, 0.5)
    check = exported.check(**{graph: file})
    report = check.run([CASE])
    assert not report.passed
    found = check.first_difference(CASE, report.tolerance)
    assert found is not None
    assert found[0] == graph
    with pytest.raises(MerEdgeError, match=f"the first graph to differ is {graph} ") as error:
        check.require(report)
    assert "2 clip(s) of 3 segment(s) and 6 tokens with audio+visual+text" in str(error.value)


def test_sound_graphs_have_no_first_difference(exported):
    check = exported.check()
    assert check.first_difference(CASE, TOLERANCE) is None
    check.require(check.run([CASE]))


def test_a_value_that_is_not_finite_fails(exported, tmp_path):
    file = with_changed_weight(
        exported.files["fusion"], tmp_path / "fusion.onnx", "audio_decision.3.bias", math.nan
    )
    check = exported.check(fusion=file)
    report = check.run([CASE])
    assert not report.passed
    assert report.max_abs_logit_difference == math.inf
    with pytest.raises(MerEdgeError, match=r"logits\[0, 0\] is not finite"):
        check.require(report)


def test_one_bad_case_among_good_ones_is_the_worst(exported, tmp_path):
    """A fault of the audio graph alone: clips without sound do not show it."""
    file = with_changed_weight(
        exported.files["audio"], tmp_path / "audio.onnx", "sems.4.norm.weight", 0.5
    )
    report = exported.check(audio=file).run(cases_of([BatchShape(1, 2, 4)]))
    failed = {r.case.present[0] for r in report.results if not r.worst.within(TOLERANCE)}
    assert failed == {subset for subset in SUBSETS if "audio" in subset}
    assert "audio" in report.worst.case.present[0]


def test_progress_is_told_each_case(exported):
    cases = list(cases_of([BatchShape(1, 1, 3)]))
    seen: list[Case] = []
    exported.check().run(cases, progress=seen.append)
    assert seen == cases
