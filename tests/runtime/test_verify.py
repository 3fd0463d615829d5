"""A whole bundle verifies; one that computes something else is told where and by how much."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mer_edge.bundle import GOLDEN, MANIFEST, Bundle
from mer_edge.cli.main import main
from mer_edge.errors import MerEdgeError
from runtime.backend import open_backend
from runtime.verify import Verification, verify
from tests.export.broken import with_changed_weight, with_fixed_batch, with_fixed_rows
from tests.runtime.bundles import make_bundle
from tests.runtime.golden import add_golden, restate

ON_A_MAP = ", on the map that its stem gave"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_golden(make_bundle(tmp_path_factory.mktemp("verify") / "bundle"))


@pytest.fixture(scope="module")
def in_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_golden(make_bundle(tmp_path_factory.mktemp("verify") / "in-two", stem=True))


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "bundle"))


@pytest.fixture
def copy_in_two(in_two: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(in_two, tmp_path / "in-two"))


def run(path: Path) -> Verification:
    bundle = Bundle.load(path)
    return verify(bundle, open_backend("cpu", bundle, 1))


def set_precision(path: Path, precision: str) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["graphs"]["visual"]["precision"] = precision
    (path / MANIFEST).write_text(json.dumps(manifest))


def change_golden(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    golden = load_file(path / GOLDEN)
    change(golden)
    save_file(golden, path / GOLDEN)
    restate(path)


def test_a_whole_bundle_computes_what_it_says(pristine: Path) -> None:
    found = run(pristine)
    assert found.passed
    assert found.first_difference == ""
    assert found.engine == "onnxruntime CPUExecutionProvider"
    parts = {one.part for one in found.parity.measured}
    assert parts == {"text", "audio", "visual", "fusion", "chain"}
    assert {one.case for one in found.parity.measured} == {"all", "some"}
    assert found.parity.max_abs_logit_difference < 1e-5
    chain = [one for one in found.parity.decisions if one.part == "chain"]
    assert [(one.clips, one.decisions, one.agreement) for one in chain] == [(4, 8, 1.0)]


def test_a_changed_weight_is_found_in_its_graph(copy: Path) -> None:
    with_changed_weight(copy / "visual.onnx", copy / "visual.onnx", "full", 5.0)
    restate(copy)
    found = run(copy)
    assert not found.passed
    assert found.first_difference.startswith("the visual graph alone (fp32), visual: max 0.0")
    # Every graph after it, fed with golden inputs, is whole; the chain is not.
    failed = {one.part for one in found.parity.failures}
    assert failed == {"visual", "chain"}


def test_values_that_are_not_finite(copy: Path) -> None:
    with_changed_weight(copy / "visual.onnx", copy / "visual.onnx", "full", math.nan)
    restate(copy)
    set_precision(copy, "int8")
    found = run(copy)
    assert not found.passed
    assert "the network's logits are not finite" in found.first_difference
    (visual, *_) = found.parity.failures
    assert str(visual).startswith("the visual graph alone (int8), visual[0, 0] is not finite")


def test_a_graph_that_knows_one_row_only(copy: Path) -> None:
    with_fixed_rows(copy / "visual.onnx", copy / "visual.onnx", "faces", 1)
    restate(copy)
    found = run(copy)
    assert {one.case for one in found.parity.failures} == {"some"}  # the only one with two
    assert "the visual graph alone" in found.first_difference


def test_a_graph_that_fails_is_named_and_the_others_are_measured(copy: Path) -> None:
    with_fixed_batch(copy / "visual.onnx", copy / "visual.onnx", 1)
    restate(copy)
    found = run(copy)
    assert len(found.errors) == 1
    assert "visual.onnx: onnxruntime failed on faces (2, 224, 224, 3)" in found.first_difference
    assert "(golden case some)" in found.first_difference
    assert {one.case for one in found.parity.measured if one.part == "fusion"} == {"all"}


def test_a_whole_bundle_with_a_stem(in_two: Path) -> None:
    found = run(in_two)
    assert found.passed
    compared = {(one.part, one.comparison.name, one.case) for one in found.parity.measured}
    assert {key for key in compared if key[0].startswith("visual")} == {
        ("visual_stem", "visual_map", "all"),  # of the other case the bundle has no map
        ("visual", "visual", "all"),
        ("visual", "visual", f"some{ON_A_MAP}"),
    }


def test_a_stem_that_gives_wrong_maps_is_named_first(copy_in_two: Path) -> None:
    file = copy_in_two / "visual_stem.onnx"
    with_changed_weight(file, file, "full", 5.0)
    restate(copy_in_two)
    found = run(copy_in_two)
    assert not found.passed
    assert found.first_difference.startswith(
        "the visual_stem graph alone (fp32), visual_map: max 0.0"
    )
    failed = {(one.part, one.case) for one in found.parity.failures}
    # The visual graph is fed with the golden map where there is one, and is whole there.
    assert failed == {
        ("visual_stem", "all"),
        ("visual", f"some{ON_A_MAP}"),
        ("chain", "all"),
        ("chain", "some"),
    }


def test_a_half_that_knows_one_row_only(copy_in_two: Path) -> None:
    """Only ``some`` has two faces; without its map either half is told with the other."""
    for half, signal in (("visual", "visual_map"), ("visual_stem", "faces")):
        file = copy_in_two / f"{half}.onnx"
        whole = file.read_bytes()
        with_fixed_rows(file, file, signal, 1)
        restate(copy_in_two)
        found = run(copy_in_two)
        assert {one.part for one in found.parity.failures} == {"visual", "chain"}
        assert found.first_difference.startswith("the visual graph alone (fp32), visual: max")
        assert found.first_difference.endswith(f"some{ON_A_MAP}")
        file.write_bytes(whole)


def test_a_case_without_the_stem_of_its_visual_graph(copy_in_two: Path) -> None:
    change_golden(copy_in_two, lambda g: g.pop("some.visual_stem.faces_seed"))
    with pytest.raises(MerEdgeError, match=r"the case some has no visual_stem; export"):
        run(copy_in_two)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.pop("all.text.text"), "the case all has no text.text"),
        (lambda g: g.pop("some.clip.audio"), r"the case some has no clip\.audio"),
        (lambda g: g.update({"all.audio.waveform_seed": np.array([0, 10**9])}), "asks for 1000000"),
        (lambda g: g.update({"all.audio.waveform_seed": np.zeros(2)}), "expected the seed and the"),
        (lambda g: g.update({"all.text.text_seed": np.array([0, 1])}), "expected the seed and the"),
        (lambda g: g.clear(), "no case in it"),
        (lambda g: g.update({"all.other.x": np.zeros(2)}), r"key 'all\.other\.x' is not"),
    ],
)
def test_golden_tensors_that_are_none(
    copy: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    change_golden(copy, change)
    with pytest.raises(MerEdgeError, match=rf"golden\.safetensors: .*{message}"):
        run(copy)


def test_a_precision_without_limits(copy: Path) -> None:
    set_precision(copy, "fp4")
    with pytest.raises(MerEdgeError, match=r"precision.*fp4"):
        run(copy)


def test_the_command_tells_and_ends_with_the_next(
    pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, plot = tmp_path / "report.json", tmp_path / "parity.png"
    command = ["verify", str(pristine), "--out", str(out), "--plot", str(plot)]
    assert main(command) == 0
    stdout = capsys.readouterr().out
    assert "chain" in stdout
    assert stdout.rstrip().endswith(f"next: mer-edge infer {pristine} YOUR_CLIP.mp4 --device cpu")
    report = json.loads(out.read_text())
    assert report["passed"] is True
    assert report["parity"]["decisions"][1]["agreement"] == 1.0
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_the_command_as_json(pristine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(pristine), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out)["engine"] == "onnxruntime CPUExecutionProvider"
    assert main(["verify", str(pristine), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_bundle_that_differs_ends_with_1(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_changed_weight(copy / "visual.onnx", copy / "visual.onnx", "full", 5.0)
    restate(copy)
    assert main(["verify", str(copy), "--quiet"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("differs: the visual graph alone (fp32), visual: max")
    assert main(["verify", str(copy), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["passed"], report["errors"]) == (False, [])
    assert "visual graph alone" in report["first_difference"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "tpu"], "--device tpu: no such device"),
        (["--threads", "0"], "--threads 0"),
        (["--json", "--quiet"], "--json and --quiet"),
        (["--plot", "x.jpeg"], "extension"),
        (["--out", "/dev/null/x/report.json"], "--out: /dev/null is a file"),
        (["--out", "a.png", "--plot", "./a.png"], "--plot a.png: that is --out, too"),
    ],
)
def test_bad_input_ends_with_2(
    pristine: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["verify", str(pristine), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err
