"""``infer`` suggests once that an INT8 bundle be verified on this machine."""

from dataclasses import replace
from pathlib import Path

import pytest

from mer_edge.bundle import Bundle
from runtime.verified import remember, suggestion

BUNDLE = Path(__file__).parents[1] / "data/tiny-bundle"


@pytest.fixture
def int8(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bundle:
    monkeypatch.setenv("MER_EDGE_CACHE", str(tmp_path / "cache"))
    bundle = Bundle.load(BUNDLE)
    return Bundle(bundle.path, replace(bundle.manifest, precision="int8"))


def test_once_a_machine(int8: Bundle) -> None:
    first = suggestion(int8)
    assert first is not None
    assert first.startswith(f"mer-edge verify {BUNDLE} checks, once a machine")
    assert suggestion(int8) is None


def test_never_after_it_was_verified(int8: Bundle) -> None:
    remember(int8)
    assert suggestion(int8) is None


def test_floats_are_the_same_everywhere(int8: Bundle) -> None:
    floats = Bundle(int8.path, replace(int8.manifest, precision="fp32"))
    assert suggestion(floats) is None


def test_a_cache_that_cannot_be_written_is_no_error(
    int8: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MER_EDGE_CACHE", str(tmp_path / "file"))
    assert suggestion(int8) is not None
    assert suggestion(int8) is not None
