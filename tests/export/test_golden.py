import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from export.golden import check_golden, golden_batches, make_golden
from export.runners import OnnxRunner, TorchRunner
from mer_edge.bundle import GRAPHS, MAPS, load_golden
from mer_edge.errors import MerEdgeError
from runtime.backend import open_backend
from runtime.verify import verify
from tests.export.broken import with_changed_weight


@pytest.fixture(scope="module")
def golden(exported):
    return load_file(exported.bundle.path / "golden.safetensors")


def test_what_the_bundle_holds(exported):
    golden = load_golden(exported.bundle)
    assert set(golden) == {"full", "audio_only", "shortest", "long", "batch"}
    assert set(golden["full"]) == set(GRAPHS)
    assert set(golden["audio_only"]) == {"audio", "fusion"}
    for name, case in golden.items():
        assert ("visual_stem" in case) is ("visual" in case)
        for graph, tensors in case.items():
            spec = exported.bundle.manifest.graphs[graph]
            stated = [*spec.inputs, *spec.outputs]
            if name != "full":
                stated = [tensor for tensor in stated if tensor.name not in MAPS.values()]
            assert set(tensors) == {tensor.name for tensor in stated}
            for tensor in stated:
                found = tensors[tensor.name]
                assert found.dtype.name == tensor.dtype
                assert len(found.shape) == len(tensor.shape)
    assert golden["long"]["visual_stem"]["faces"].shape[0] > 5
    assert golden["long"]["text"]["input_ids"].shape == (1, 64)
    assert golden["batch"]["fusion"]["audio_mask"].shape == (7, 3)
    assert set(golden["batch"]["fusion"]["text_mask"].tolist()) == {True, False}
    # Two segments with sound, one of them with a face.
    assert golden["full"]["audio"]["waveform"].shape == (2, 15600)
    assert golden["full"]["visual_stem"]["faces"].shape == (1, 224, 224, 3)
    given, taken = (golden["full"][name]["visual_map"] for name in ("visual_stem", "visual"))
    assert given.shape == (1, 28, 28, 12)
    np.testing.assert_array_equal(given, taken)
    assert golden["full"]["fusion"]["visual_mask"].tolist() == [[True, False]]
    assert golden["audio_only"]["fusion"]["text_mask"].tolist() == [False]


def test_the_decisions_are_the_models_own(exported):
    golden = load_golden(exported.bundle)
    for case, batch in golden_batches(exported.checkpoint.model).items():
        with torch.inference_mode():
            fused = exported.checkpoint.model(batch)
        for name, expected in fused._asdict().items():
            np.testing.assert_allclose(golden[case]["fusion"][name], expected, atol=1e-6)


def test_absent_modalities_weigh_nothing(golden):
    np.testing.assert_array_equal(golden["audio_only.fusion.weights"], [[1.0, 0.0, 0.0]])
    assert golden["full.fusion.weights"].min() > 0
    assert golden["full.fusion.weights"].sum() == pytest.approx(1)


def test_absent_text_is_the_bundles_constant(exported, golden):
    constants = load_file(exported.bundle.path / "constants.safetensors")
    np.testing.assert_array_equal(golden["audio_only.audio.text"][0], constants["absent_text"])
    expected = exported.checkpoint.model.absent_text.detach().numpy()
    np.testing.assert_array_equal(constants["absent_text"], expected)


def test_made_again_it_is_the_same(exported, golden):
    again = make_golden(exported.checkpoint.model, exported.plans)
    assert set(again) == set(golden)
    for key, array in golden.items():
        np.testing.assert_allclose(again[key], array, atol=1e-6)


def test_the_graphs_reproduce_it_and_so_does_pytorch(exported, golden):
    check_golden(golden, OnnxRunner(exported.files))
    check_golden(golden, TorchRunner(exported.plans))


def test_signals_and_maps_of_all_cases_but_one_are_made_again(golden):
    assert golden["full.audio.waveform"].shape == (2, 15600)
    assert golden["batch.visual_stem.faces_seed"].tolist()[1] == golden["batch.clip.visual"].sum()
    large = [key for key, array in golden.items() if array.nbytes > 20_000]
    assert sorted(large) == [
        "full.audio.waveform",
        "full.visual.visual_map",
        "full.visual_stem.faces",
        "full.visual_stem.visual_map",
    ]


def test_the_clips_go_through_the_runtimes_chain(exported):
    found = verify(exported.bundle, open_backend("cpu", exported.bundle, 1))
    assert found.passed, found.first_difference
    assert found.parity.max_abs_logit_difference < 1e-5
    cases = {
        one.case.removesuffix(", on the map that its stem gave") for one in found.parity.measured
    }
    assert cases == set(load_golden(exported.bundle))
    stems = [one for one in found.parity.measured if one.part == "visual_stem"]
    assert [(one.case, one.comparison.name) for one in stems] == [("full", "visual_map")]


def test_a_graph_that_does_not_is_named(exported, golden, tmp_path):
    file = with_changed_weight(
        exported.files["visual"], tmp_path / "visual.onnx", "sems.5.norm.weight", 1.0
    )
    with pytest.raises(MerEdgeError, match=r"visual graph .* PyTorch: \w+\.visual\.visual: max"):
        check_golden(golden, OnnxRunner(exported.files | {"visual": file}))


def test_a_stem_that_does_not_is_named(exported, golden, tmp_path):
    file = with_changed_weight(
        exported.files["visual_stem"], tmp_path / "stem.onnx", "layer1.0.conv2.weight", 1.0
    )
    told = r"visual_stem graph .* PyTorch: full\.visual_stem\.visual_map: max"
    with pytest.raises(MerEdgeError, match=told):
        check_golden(golden, OnnxRunner(exported.files | {"visual_stem": file}))
    # Without the map it shows in what is made of it.
    rest = {key: array for key, array in golden.items() if not key.endswith("visual_map")}
    with pytest.raises(MerEdgeError, match=r"visual graph .* PyTorch: full\.visual\.visual: max"):
        check_golden(rest, OnnxRunner(exported.files | {"visual_stem": file}))
    check_golden(rest, OnnxRunner(exported.files))


def test_nothing_but_a_map_may_be_missing(exported, golden):
    rest = {key: array for key, array in golden.items() if key != "long.visual.visual"}
    with pytest.raises(KeyError, match="visual"):
        check_golden(rest, OnnxRunner(exported.files))
