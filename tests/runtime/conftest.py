"""The miniature bundle, made once for all tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mer_edge.bundle import Bundle
from runtime.recognizer import Recognizer
from tests.runtime.bundles import make_bundle


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("runtime") / "bundle")


@pytest.fixture(scope="session")
def bundle(bundle_path: Path) -> Bundle:
    return Bundle.load(bundle_path)


@pytest.fixture(scope="session")
def recognizer(bundle: Bundle) -> Recognizer:
    return Recognizer(bundle, threads=1)
