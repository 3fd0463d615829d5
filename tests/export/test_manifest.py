from dataclasses import replace
from datetime import datetime, timedelta, timezone

import torch

from export.manifest import shape_ranges
from mer_edge import __version__
from mer_edge.bundle import ShapeRange, sha256_of
from mer_edge.model.config import TINY, with_variant


def test_it_says_what_the_model_is(exported):
    manifest = exported.bundle.manifest
    assert (manifest.variant, manifest.preset, manifest.target) == ("MER-SEM-MBT", "tiny", "cpu")
    assert tuple(manifest.labels) == TINY.labels
    assert manifest.thresholds == exported.checkpoint.thresholds
    assert (manifest.text_size, manifest.audio_size, manifest.visual_size) == (32, 24, 24)
    assert manifest.max_tokens == TINY.text.max_position_embeddings
    assert manifest.notice == exported.checkpoint.notice
    assert manifest.notice.startswith("The weights are random")


def test_every_file_is_listed_with_its_hash(exported):
    manifest, path = exported.bundle.manifest, exported.bundle.path
    listed = {spec.file: spec.sha256 for spec in manifest.graphs.values()} | manifest.files
    on_disk = {file.name for file in path.iterdir()} - {"manifest.json"}
    assert set(listed) == on_disk
    assert all(sha256_of(path / name) == digest for name, digest in listed.items())


def test_files_are_readable_for_others_as_the_users_mask_says(exported):
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in exported.bundle.path.iterdir()}
    assert len(set(modes.values())) == 1, modes


def test_the_gates_measurement_is_in_it(exported):
    parity = exported.bundle.manifest.parity
    assert parity.tolerance == 1e-4
    assert 0 < parity.max_abs_logit_difference < 1e-5
    assert parity.cases == 16


def test_provenance_says_when_with_what_and_from_what(exported):
    provenance = exported.bundle.manifest.provenance
    assert provenance["mer-edge"] == __version__
    assert provenance["torch"] == torch.__version__
    assert provenance["training.seed"] == exported.checkpoint.provenance["seed"]
    assert {"onnx", "onnxscript", "onnxruntime", "python"} <= set(provenance)
    age = datetime.now(timezone.utc) - datetime.fromisoformat(provenance["exported"])
    assert timedelta(0) <= age + timedelta(seconds=1) < timedelta(hours=1)


def test_shape_ranges_stay_within_the_encoder():
    assert shape_ranges(TINY)["tokens"] == ShapeRange(3, 32, 128)
    short = replace(TINY.text, max_position_embeddings=16)
    assert shape_ranges(replace(TINY, text=short))["tokens"] == ShapeRange(3, 16, 16)


def test_shape_ranges_are_those_of_the_graphs_there_are():
    ranges = {name: set(shape_ranges(with_variant(TINY, name))) for name in ("audio", "text")}
    assert ranges["audio"] == {"batch", "segments", "clip_segments"}
    assert ranges["text"] == {"batch", "tokens"}
