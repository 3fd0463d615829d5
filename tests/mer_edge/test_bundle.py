"""Loading a bundle: what is accepted, and the one clear error for everything else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from mer_edge.bundle import (
    CONSTANTS,
    GOLDEN,
    GRAPHS,
    MANIFEST,
    Bundle,
    Evidence,
    ModelCard,
    load_constants,
    load_golden,
    sha256_of,
    write_manifest,
)
from mer_edge.decision import DecisionRule, Temperatures
from mer_edge.errors import MerEdgeError
from mer_edge.result import ModelInfo
from tests.runtime.bundles import ABSENT_TEXT, LABELS, NOTICE, make_bundle


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "pristine", stem=True)


@pytest.fixture
def bundle_path(pristine: Path, tmp_path: Path) -> Path:
    """A copy that the test may break."""
    return Path(shutil.copytree(pristine, tmp_path / "bundle"))


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    change(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest))


def test_a_whole_bundle_loads(pristine: Path) -> None:
    bundle = Bundle.load(pristine)
    assert bundle.manifest.labels == LABELS
    assert bundle.manifest.notice == NOTICE
    assert tuple(bundle.manifest.graphs) == GRAPHS
    assert bundle.graph_path("audio") == pristine / "audio.onnx"
    assert bundle.tokenizer_path.is_file()
    assert Bundle.load(str(pristine)) == bundle


def test_the_manifest_comes_back_as_written(pristine: Path, bundle_path: Path) -> None:
    manifest = Bundle.load(pristine).manifest
    (bundle_path / MANIFEST).unlink()
    write_manifest(bundle_path, manifest)
    assert Bundle.load(bundle_path).manifest == manifest
    assert (bundle_path / MANIFEST).read_text() == (pristine / MANIFEST).read_text()


def test_a_card_comes_back_and_names_the_model(pristine: Path, bundle_path: Path) -> None:
    manifest = Bundle.load(pristine).manifest
    assert manifest.card is None
    assert manifest.model == ModelInfo(f"{manifest.variant} ({manifest.preset})", manifest.notice)
    card = ModelCard("small 1", "7 of 9 right", "MIT", "demonstrations")
    write_manifest(bundle_path, replace(manifest, card=card))
    read = Bundle.load(bundle_path).manifest
    assert read.card == card
    assert read.model == ModelInfo("small 1", f"7 of 9 right {manifest.notice}".strip())
    for bad in ("", "two\nlines"):
        with pytest.raises(MerEdgeError, match=r"card\.licence is '.*'; expected one line"):
            write_manifest(bundle_path, replace(manifest, card=replace(card, licence=bad)))


def test_what_has_a_say_comes_back(pristine: Path, bundle_path: Path) -> None:
    manifest = Bundle.load(pristine).manifest
    assert manifest.evidence is None
    rule = Evidence(voice=True, min_face_px=16.0)
    write_manifest(bundle_path, replace(manifest, evidence=rule))
    assert Bundle.load(bundle_path).manifest.evidence == rule
    with pytest.raises(MerEdgeError, match=r"evidence.min_face_sharpness is 0.0; expected more"):
        write_manifest(bundle_path, replace(manifest, evidence=Evidence(min_face_sharpness=0.0)))


def test_writing_refuses_what_loading_would_refuse(pristine: Path, tmp_path: Path) -> None:
    manifest = Bundle.load(pristine).manifest
    manifest.thresholds.append(0.5)
    with pytest.raises(MerEdgeError, match="3 thresholds for 2 labels"):
        write_manifest(tmp_path, manifest)
    assert not (tmp_path / MANIFEST).exists()


def test_sha256_is_the_standard_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    )


def test_unknown_fields_are_left_to_newer_versions(bundle_path: Path) -> None:
    rewrite(bundle_path, lambda m: m.update(not_yet_known={"method": "x"}))
    assert Bundle.load(bundle_path).manifest.labels == LABELS


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such bundle"),
        (lambda path: path.write_bytes(b"x"), "a file; expected a bundle"),
        (lambda path: path.mkdir(), "no manifest.json in it"),
    ],
)
def test_what_is_no_bundle_at_all(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "thing")
    with pytest.raises(MerEdgeError, match=f"thing: {message}"):
        Bundle.load(tmp_path / "thing")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "manifest.json"),
        (b"[]", "Expected `object`"),
        (b"[" * 100_000, "manifest.json"),
        (b"{}", "missing required field `schema_version`"),
        (b'{"schema_version": 1}', "schema version 1 is unknown; this mer-edge reads 2"),
        (b'{"schema_version": "2"}', 'schema version "2" is unknown'),
        (b'{"schema_version": 2}', "missing required field `variant`"),
    ],
)
def test_a_manifest_that_is_none(bundle_path: Path, content: bytes, message: str) -> None:
    (bundle_path / MANIFEST).write_bytes(content)
    with pytest.raises(MerEdgeError, match=message) as caught:
        Bundle.load(bundle_path)
    assert str(bundle_path / MANIFEST) in str(caught.value)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(pristine: Path, content: bytes) -> None:
    damaged = pristine.parent / "damaged"
    damaged.mkdir(exist_ok=True)
    (damaged / MANIFEST).write_bytes(content)
    with pytest.raises(MerEdgeError, match=r"manifest\.json"):
        Bundle.load(damaged)


def graph_change(name: str, **changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest["graphs"][name].update(changes)


def tensor_change(
    graph: str, kind: str, index: int, **changes: Any
) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest["graphs"][graph][kind][index].update(changes)


CONTRADICTIONS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda m: m.pop("labels"), "missing required field `labels`"),
    (lambda m: m.update(labels="happy"), r"Expected `array`, got `str` - at `\$.labels`"),
    (lambda m: m["graphs"]["audio"].update(sha256=7), r"Expected `str`, got `int`"),
    (lambda m: m.update(labels=["happy", "happy"]), "all different"),
    (lambda m: m.update(labels=[], thresholds=[]), "expected at least one"),
    (lambda m: m.update(labels=["happy", " "]), "none empty"),
    (lambda m: m.update(thresholds=[0.5]), "1 thresholds for 2 labels"),
    (lambda m: m.update(thresholds=[0.5, 1.5]), r"probabilities in \[0, 1\]"),
    (lambda m: m.update(task="ranking"), "Invalid enum value 'ranking'"),
    (lambda m: m.update(task="multiclass"), "2 thresholds of exclusive labels; expected none"),
    (lambda m: m.update(min_confidence=0.5), "min_confidence of independent labels"),
    (lambda m: m["temperatures"].update(fused=-1), "the temperature fused is -1"),
    (lambda m: m.update(audio_size=0), "audio_size is 0"),
    (lambda m: m.update(max_tokens=2), "max_tokens is 2"),
    (lambda m: m["preprocessing"].update(sample_rate_hz=8000), "sample_rate_hz=8000"),
    (lambda m: m["shape_ranges"].pop("tokens"), "shape_ranges has no 'tokens'"),
    (lambda m: m["shape_ranges"]["batch"].update(maximum=0), "shape_ranges.batch"),
    (lambda m: m["shape_ranges"]["segments"].update(minimum=2), "minimum is 2; expected 1"),
    (lambda m: m["graphs"].pop("visual"), "no graph 'visual', which another graph takes"),
    (lambda m: m["graphs"].pop("fusion"), "no graph 'fusion'; expected one in every bundle"),
    (lambda m: m["graphs"].pop("text"), "no graph 'text', which another graph takes"),
    (lambda m: drop_modality(m, "visual"), "the visual graph gives what no other graph takes"),
    (lambda m: without_visual(m, visual_size=2), "visual_size is 2; expected 0, because there is"),
    (lambda m: m["graphs"]["fusion"]["inputs"].pop(), "the fusion graph takes"),
    (tensor_change("audio", "inputs", 0, name="sound"), "the audio graph takes sound, text"),
    (tensor_change("fusion", "outputs", 0, name="scores"), "the fusion graph gives no logits"),
    (tensor_change("fusion", "outputs", 0, shape=["batch", 3]), "fusion.logits ends in 3 values"),
    (tensor_change("text", "outputs", 0, shape=["batch", 768]), "text.text ends in 768 values"),
    (
        tensor_change("visual_stem", "inputs", 0, dtype="float64"),
        "visual_stem.faces is of type 'float64'",
    ),
    (tensor_change("visual", "outputs", 0, shape=[0, 2]), r"visual.visual has the shape \[0, 2\]"),
    (lambda m: m["files"].pop(GOLDEN), "files does not list golden.safetensors"),
    (lambda m: m["graphs"].pop("visual_stem"), "no graph 'visual_stem', which another graph takes"),
    (
        tensor_change("visual", "inputs", 0, name="faces"),
        "the visual_stem graph gives what no other graph takes",
    ),
    (
        tensor_change("audio", "inputs", 0, name="visual_map"),
        "the audio graph takes text, visual_map; expected",
    ),
    (
        tensor_change("visual", "inputs", 0, shape=["segments", 112]),
        r"the visual graph takes visual_map float32 \['segments', 112\]; the visual_stem graph "
        r"gives float32 \['segments', 224\]; export",
    ),
    (
        tensor_change("visual_stem", "outputs", 0, dtype="float16"),
        r"the visual graph takes visual_map float32 .* the visual_stem graph gives float16",
    ),
    (
        tensor_change("visual_stem", "outputs", 0, name="map"),
        "the visual_stem graph gives no visual_map",
    ),
    (
        lambda m: m["graphs"]["visual"]["inputs"].pop(),
        r"the visual graph takes visual_map; expected .* or text, visual_map",
    ),
]


def drop_modality(manifest: dict[str, Any], name: str) -> None:
    """Take a modality's decision out of the fusion graph."""
    fusion = manifest["graphs"]["fusion"]
    gone = (name, f"{name}_mask")
    fusion["inputs"] = [tensor for tensor in fusion["inputs"] if tensor["name"] not in gone]


def without_visual(manifest: dict[str, Any], visual_size: int = 0) -> None:
    drop_modality(manifest, "visual")
    del manifest["graphs"]["visual"], manifest["graphs"]["visual_stem"]
    manifest["visual_size"] = visual_size


def test_a_bundle_need_not_have_every_graph(bundle_path: Path) -> None:
    assert Bundle.load(bundle_path).manifest.modalities == ("audio", "visual", "text")
    rewrite(bundle_path, without_visual)
    for name in ("visual", "visual_stem"):
        (bundle_path / f"{name}.onnx").unlink()
    manifest = Bundle.load(bundle_path).manifest
    assert manifest.modalities == ("audio", "text")
    assert set(manifest.graphs) == {"text", "audio", "fusion"}


def test_a_visual_graph_need_not_have_a_stem(tmp_path: Path) -> None:
    manifest = Bundle.load(make_bundle(tmp_path / "bundle")).manifest
    assert set(manifest.graphs) == {"text", "audio", "visual", "fusion"}
    assert manifest.modalities == ("audio", "visual", "text")


def test_text_may_guide_without_a_decision(bundle_path: Path) -> None:
    rewrite(bundle_path, lambda manifest: drop_modality(manifest, "text"))
    manifest = Bundle.load(bundle_path).manifest
    assert manifest.modalities == ("audio", "visual")
    assert "text" in manifest.graphs


@pytest.mark.parametrize(("change", "message"), CONTRADICTIONS)
def test_a_manifest_that_contradicts_itself(
    bundle_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    rewrite(bundle_path, change)
    with pytest.raises(MerEdgeError, match=message) as caught:
        Bundle.load(bundle_path)
    assert str(bundle_path / MANIFEST) in str(caught.value)


def test_encoders_that_want_tokens_the_text_graph_does_not_give(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "bundle", tokens=True)
    assert Bundle.load(path).manifest.graphs["audio"].inputs[1].name == "tokens"
    rewrite(path, lambda m: m["graphs"]["text"]["outputs"].pop())
    with pytest.raises(MerEdgeError, match="an encoder takes tokens"):
        Bundle.load(path)


FILES = [f"{name}.onnx" for name in GRAPHS] + ["tokenizer.json", CONSTANTS, GOLDEN]


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_told_with_its_file(bundle_path: Path, name: str) -> None:
    content = bytearray((bundle_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle_path / name).write_bytes(content)
    with pytest.raises(MerEdgeError, match=f"{name}: the file is not the one"):
        Bundle.load(bundle_path)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_told(bundle_path: Path, name: str) -> None:
    (bundle_path / name).unlink()
    with pytest.raises(MerEdgeError, match=f"{name}: the file is missing"):
        Bundle.load(bundle_path)


@pytest.mark.parametrize(
    "name",
    [
        "../text.onnx",
        "graphs/../../text.onnx",
        "/etc/hostname",
        "C:\\text.onnx",
        "..\\text.onnx",
        "\\\\host\\share\\text.onnx",
        "text\0.onnx",
        "",
    ],
)
def test_a_path_that_leaves_the_bundle(bundle_path: Path, name: str) -> None:
    shutil.copy(bundle_path / "text.onnx", bundle_path.parent)
    rewrite(bundle_path, graph_change("text", file=name))
    with pytest.raises(MerEdgeError, match="leaves the bundle; refused"):
        Bundle.load(bundle_path)


def test_a_listed_file_may_not_leave_either(bundle_path: Path) -> None:
    rewrite(bundle_path, lambda m: m["files"].update({"../secret": "0" * 64}))
    with pytest.raises(MerEdgeError, match="leaves the bundle; refused"):
        Bundle.load(bundle_path)


def test_links_inside_are_fine_and_links_out_are_refused(bundle_path: Path) -> None:
    (bundle_path / "blobs").mkdir()
    (bundle_path / "text.onnx").rename(bundle_path / "blobs" / "1")
    (bundle_path / "text.onnx").symlink_to(Path("blobs") / "1")
    assert Bundle.load(bundle_path).manifest.labels == LABELS
    shutil.move(bundle_path / "blobs" / "1", bundle_path.parent / "outside")
    (bundle_path / "text.onnx").unlink()
    (bundle_path / "text.onnx").symlink_to(bundle_path.parent / "outside")
    with pytest.raises(MerEdgeError, match=r"text.onnx: a link out of the bundle to .*outside"):
        Bundle.load(bundle_path)


def test_a_link_to_itself(bundle_path: Path) -> None:
    (bundle_path / "text.onnx").unlink()
    (bundle_path / "text.onnx").symlink_to("text.onnx")
    with pytest.raises(MerEdgeError, match=r"text\.onnx"):
        Bundle.load(bundle_path)


def test_a_directory_in_place_of_a_file(bundle_path: Path) -> None:
    (bundle_path / GOLDEN).unlink()
    (bundle_path / GOLDEN).mkdir()
    with pytest.raises(MerEdgeError, match=r"golden\.safetensors: the file is missing"):
        Bundle.load(bundle_path)


def with_weights_outside(path: Path, location: str) -> None:
    """As ``onnx.save`` of a user does it, who then states the graph's new hash alone."""
    model = onnx.load(path / "fusion.onnx")
    onnx.save(
        model, path / "fusion.onnx", save_as_external_data=True, location=location, size_threshold=0
    )
    rewrite(path, graph_change("fusion", sha256=sha256_of(path / "fusion.onnx")))


def test_weights_that_nobody_lists(bundle_path: Path) -> None:
    with_weights_outside(bundle_path, "fusion.weights")
    with pytest.raises(MerEdgeError) as caught:
        Bundle.load(bundle_path)
    assert str(caught.value) == (
        f"{bundle_path / MANIFEST}: fusion.onnx has weights in 'fusion.weights', which files does "
        "not list; expected its SHA-256; export the bundle again"
    )
    digest = sha256_of(bundle_path / "fusion.weights")
    rewrite(bundle_path, lambda m: m["files"].update({"./fusion.weights": digest}))
    assert Bundle.load(bundle_path).manifest.labels == LABELS
    (bundle_path / "fusion.weights").write_bytes(b"others")
    with pytest.raises(MerEdgeError, match=r"fusion\.weights: the file is not the one"):
        Bundle.load(bundle_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file(bundle_path: Path) -> None:
    (bundle_path / "text.onnx").chmod(0)
    with pytest.raises(MerEdgeError, match=r"text\.onnx: cannot be read"):
        Bundle.load(bundle_path)


def test_the_bundle_may_be_a_link_itself(bundle_path: Path) -> None:
    link = bundle_path.parent / "latest"
    link.symlink_to(bundle_path)
    assert Bundle.load(link).path == link


def test_constants(pristine: Path, bundle_path: Path) -> None:
    np.testing.assert_array_equal(load_constants(Bundle.load(pristine))["absent_text"], ABSENT_TEXT)
    for tensors, message in [
        ({"absent_text": np.zeros(3, np.float32)}, r"absent_text is float32 \(3,\); expected"),
        ({"absent_text": np.zeros(2, np.float64)}, "absent_text is float64"),
        ({"other": np.zeros(2, np.float32)}, "absent_text is nothing"),
        ({"absent_text": np.array([1, np.nan], np.float32)}, "NaN or infinite"),
    ]:
        save_file(tensors, bundle_path / CONSTANTS)
        digest = sha256_of(bundle_path / CONSTANTS)
        rewrite(bundle_path, lambda m, digest=digest: m["files"].update({CONSTANTS: digest}))
        with pytest.raises(MerEdgeError, match=message):
            load_constants(Bundle.load(bundle_path))
    (bundle_path / CONSTANTS).write_bytes(b"nonsense")
    digest = sha256_of(bundle_path / CONSTANTS)
    rewrite(bundle_path, lambda m: m["files"].update({CONSTANTS: digest}))
    with pytest.raises(MerEdgeError, match="not readable as safetensors"):
        load_constants(Bundle.load(bundle_path))


def test_golden_tensors_by_case_graph_and_name(pristine: Path, bundle_path: Path) -> None:
    golden = load_golden(Bundle.load(pristine))
    np.testing.assert_array_equal(golden["full"]["fusion"]["logits"], [[1.0, 2.0]])
    for key in ("logits", "full.logits", "full.nothing.logits", "a.b.c.d"):
        save_file({key: np.zeros(1, np.float32)}, bundle_path / GOLDEN)
        digest = sha256_of(bundle_path / GOLDEN)
        rewrite(bundle_path, lambda m, digest=digest: m["files"].update({GOLDEN: digest}))
        with pytest.raises(MerEdgeError, match=r"is not <case>.<graph>.<tensor>"):
            load_golden(Bundle.load(bundle_path))


def test_a_bundle_from_before_exclusive_labels_has_independent_ones(bundle_path: Path) -> None:
    def older(manifest: dict[str, Any]) -> None:
        del manifest["task"], manifest["temperatures"], manifest["min_confidence"]

    rewrite(bundle_path, older)
    manifest = Bundle.load(bundle_path).manifest
    assert (manifest.task, manifest.min_confidence) == ("multilabel", None)
    assert manifest.temperatures == Temperatures(1.0, 1.0, 1.0, 1.0)
    assert manifest.rule == DecisionRule("multilabel", (0.5, 0.25), 1.0)


def test_a_bundle_with_exclusive_labels_says_how_it_decides(tmp_path: Path) -> None:
    temperatures = Temperatures(audio=2.0, fused=1.5)
    made = make_bundle(
        tmp_path / "b", task="multiclass", temperatures=temperatures, min_confidence=0.4
    )
    bundle = Bundle.load(made)
    assert bundle.manifest.rule == DecisionRule("multiclass", (), 1.5)
    assert bundle.manifest.temperatures == temperatures
    assert bundle.with_min_confidence(0.7).manifest.min_confidence == 0.7
    assert bundle.with_min_confidence(0.0).manifest.min_confidence is None
    assert Bundle.load(made).manifest.min_confidence == 0.4
