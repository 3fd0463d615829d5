"""A fake TensorRT for the child processes, and a cache of one's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BUNDLE = Path(__file__).resolve().parents[2] / "data" / "tiny-bundle"
FAKE = Path(__file__).with_name("fake.py")


class FakeTensorRT:
    """Sets what the next child process finds; see ``fake.py``."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch = folder, monkeypatch
        self.log = folder / "builds.log"
        self.cache = folder / "cache"
        monkeypatch.setenv("FAKE_TENSORRT_LOG", str(self.log))

    def __call__(self, version: str, gpu: str = "Orin/8.7", does: str = "") -> None:
        place = self._folder / version
        name = "tensorrt_rtx" if version == "rtx" else "tensorrt"
        place.mkdir(exist_ok=True)
        (place / f"{name}.py").write_text(FAKE.read_text())
        self._patch.setattr(sys, "path", [str(place), *sys.path])
        for key, value in {"": version, "_DOES": does}.items():
            self._patch.setenv(f"FAKE_TENSORRT{key}", value)
        self._patch.setenv("FAKE_GPU", gpu)

    @property
    def builds(self) -> list[str]:
        """The lines of finished builds."""
        if not self.log.exists():
            return []
        return [line for line in self.log.read_text().splitlines() if line.startswith("built")]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTensorRT:
    return FakeTensorRT(tmp_path, monkeypatch)


@pytest.fixture
def mer_edge_build(fake: FakeTensorRT) -> Callable[..., int]:
    """The command on the committed bundle, its cache beside the fake."""
    from mer_edge.cli.main import main

    def build(*options: str, bundle: Path = BUNDLE, device: str = "tensorrt") -> int:
        arguments = ["--device", device, "--cache", str(fake.cache), *options]
        return main(["build", str(bundle), *arguments])

    return build
