"""The cache hands out what was asked for, whole, or says what is wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mer_edge.bundle import ShapeRange
from mer_edge.engine_cache import (
    PLAN,
    SIDECAR,
    BuilderSettings,
    EngineError,
    EngineKey,
    Sidecar,
    bundle_name,
    cache_directory,
    engine_lock,
    entry,
    find_engine,
    new_engine,
    write_sidecar,
)
from mer_edge.errors import MerEdgeError

KEY = EngineKey(
    graph="text",
    graph_sha256="a" * 64,
    gpu="Orin",
    compute_capability="8.7",
    flavour="tensorrt",
    version="10.3.0",
    profile={"batch": ShapeRange(1, 1, 16), "tokens": ShapeRange(3, 32, 128)},
)
SETTINGS = BuilderSettings()
ENGINE = b"an engine"
BUNDLE = Path("bundle")
ADVICE = "run: mer-edge build bundle"


def publish(cache, key=KEY, settings=SETTINGS, engine=ENGINE, built="2026-01-01", bundle=BUNDLE):
    with new_engine(cache, key, settings) as directory:
        (directory / PLAN).write_bytes(engine)
        digest = hashlib.sha256(engine).hexdigest()
        sidecar = Sidecar(1, key, settings, digest, len(engine), 1.5, built, bundle_name(bundle))
        write_sidecar(directory, sidecar)
    return entry(cache, key, settings)


def find(cache, key=KEY, settings=None, bundle=BUNDLE):
    return find_engine(cache, key, settings, bundle=bundle, advice=ADVICE)


def refused(cache, key=KEY):
    with pytest.raises(EngineError) as refusal:
        find(cache, key).read()
    return refusal.value.state, str(refusal.value)


def test_what_was_published_is_found(tmp_path):
    publish(tmp_path)
    engine = find(tmp_path)
    engine.check()
    assert engine.read() == ENGINE
    assert engine.sidecar.key == KEY
    assert engine.sidecar.build_seconds == 1.5


def test_nothing_there(tmp_path):
    state, message = refused(tmp_path / "no-cache")
    assert state == "missing"
    assert message.endswith(f"no engine for the graph text; {ADVICE}")


@pytest.mark.parametrize(
    ("change", "state", "told"),
    [
        ({"version": "10.13.2"}, "stale", "version 10.3.0 (wanted: 10.13.2)"),
        ({"graph_sha256": "b" * 64}, "stale", "graph_sha256 aaaaaaaaaaaa (wanted: bbbbbbbbbbbb)"),
        (
            {"profile": KEY.profile | {"tokens": ShapeRange(3, 32, 512)}},
            "stale",
            "tokens 3-32-128 (wanted: batch 1-1-16, tokens 3-32-512)",
        ),
        ({"gpu": "Thor"}, "foreign", "gpu Orin (wanted: Thor)"),
        ({"compute_capability": "11.0"}, "foreign", "compute_capability 8.7 (wanted: 11.0)"),
        ({"flavour": "tensorrt-rtx"}, "missing", "no engine for the graph text"),
        ({"graph": "audio"}, "missing", "no engine for the graph audio"),
    ],
)
def test_an_engine_for_something_else_is_named(change, state, told, tmp_path):
    publish(tmp_path)
    found, message = refused(tmp_path, replace(KEY, **change))
    assert found == state
    assert told in message


def test_another_bundles_engine_is_nobodys_stale_one(tmp_path):
    publish(tmp_path, bundle=Path("other"))
    state, _ = refused(tmp_path, replace(KEY, graph_sha256="b" * 64))
    assert state == "missing"


def test_the_nearest_is_named(tmp_path):
    publish(tmp_path, replace(KEY, version="10.0.1", gpu="Xavier", compute_capability="7.2"))
    publish(tmp_path, replace(KEY, version="10.1.0"))
    state, message = refused(tmp_path)
    assert state == "stale"
    assert "version 10.1.0 (wanted: 10.3.0)" in message


def test_an_entry_that_was_renamed_is_not_what_its_name_says(tmp_path):
    other = publish(tmp_path, replace(KEY, gpu="Thor", compute_capability="11.0"))
    other.rename(entry(tmp_path, KEY, SETTINGS))
    state, message = refused(tmp_path)
    assert state == "foreign"
    assert "gpu Thor (wanted: Orin) and compute_capability 11.0 (wanted: 8.7)" in message


def test_one_changed_byte_is_noticed_before_anything_is_handed_out(tmp_path):
    place = publish(tmp_path)
    (place / PLAN).write_bytes(b"an Engine")
    engine = find(tmp_path)
    for use in (engine.read, engine.check):
        with pytest.raises(EngineError, match="damaged: SHA-256") as refusal:
            use()
        assert refusal.value.state == "damaged"


def damage(place, what):
    if what == "cut":
        (place / PLAN).write_bytes(ENGINE[:-1])
    elif what == "gone":
        (place / PLAN).unlink()
    elif what == "no sidecar":
        shutil.copyfile(place / PLAN, place / SIDECAR)
    elif what == "version":
        sidecar = json.loads((place / SIDECAR).read_text())
        (place / SIDECAR).write_text(json.dumps(sidecar | {"schema_version": 7}))


@pytest.mark.parametrize(
    ("what", "state", "told"),
    [
        ("cut", "damaged", "engine.plan has 8 bytes, its sidecar says 9"),
        ("gone", "damaged", "No such file"),
        ("no sidecar", "damaged", "engine.json"),
        ("version", "stale", "of version 7; expected 1"),
    ],
)
def test_a_damaged_entry_is_named(what, state, told, tmp_path):
    damage(publish(tmp_path), what)
    found, message = refused(tmp_path)
    assert (found, told in message) == (state, True), message


def test_settings_may_be_left_open(tmp_path):
    publish(tmp_path, built="2026-01-01")
    small = BuilderSettings(workspace_mb=64)
    publish(tmp_path, settings=small, engine=b"small", built="2026-01-02")
    assert find(tmp_path).read() == b"small"
    assert find(tmp_path, settings=SETTINGS).read() == ENGINE
    damage(entry(tmp_path, KEY, small), "cut")
    assert find(tmp_path).read() == ENGINE
    with pytest.raises(EngineError, match="damaged"):
        find(tmp_path, settings=small)


def test_nothing_is_published_of_a_build_that_fails(tmp_path):
    with pytest.raises(RuntimeError):
        with new_engine(tmp_path, KEY, SETTINGS) as directory:
            (directory / PLAN).write_bytes(ENGINE)
            raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_lock_cleans_what_a_kill_has_left(tmp_path):
    place = publish(tmp_path)
    (tmp_path / f".{place.name}.abc.tmp").mkdir()
    with engine_lock(tmp_path, KEY, SETTINGS, lambda: None) as waited:
        assert not waited
    assert sorted(p.name for p in tmp_path.iterdir()) == [place.name, f"{place.name}.lock"]


def test_a_cache_that_is_no_folder_is_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(MerEdgeError, match="choose another --cache"):
        with engine_lock(file / "cache", KEY, SETTINGS, lambda: None):
            pass


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MER_EDGE_CACHE", raising=False)
    assert cache_directory() == tmp_path / ".cache" / "mer-edge" / "engines"
    monkeypatch.setenv("MER_EDGE_CACHE", str(tmp_path / "set"))
    assert cache_directory() == tmp_path / "set"
    assert cache_directory(tmp_path / "option") == tmp_path / "option"
