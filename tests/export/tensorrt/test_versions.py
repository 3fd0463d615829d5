"""One path for TensorRT 10, 11 and RTX: what one of them lacks is not touched. See ``fake.py``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.tensorrt import timing
from export.tensorrt.child import run_in_child
from mer_edge.bundle import GRAPHS
from mer_edge.errors import MerEdgeError
from mer_edge.tensorrt_api import load_tensorrt
from tests.export.tensorrt.conftest import BUNDLE

VERSIONS = {
    "10.3.0": "tensorrt",
    "10.13.2": "tensorrt",
    "11.0.0": "tensorrt",
    "rtx": "tensorrt-rtx",
}


@pytest.mark.parametrize(("version", "device"), VERSIONS.items())
def test_every_version_builds_every_graph(version, device, fake, mer_edge_build, capsys):
    fake(version)
    assert mer_edge_build("--json", "--workspace-mb", "64", device=device) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert list(outcome["engines"]) == list(GRAPHS)
    assert outcome["device"]["version"] == ("1.7.1.116" if version == "rtx" else version)
    rtx = version == "rtx"
    assert outcome["device"]["compute_capability"] == ("any" if rtx else "8.7")
    assert outcome["device"]["gpu"] == ("any" if rtx else "Orin")
    for engine in outcome["engines"].values():
        assert Path(engine["engine"]).read_bytes().startswith(f"plan {version} ".encode())
    assert len(fake.builds) == len(GRAPHS)
    assert all("{'WORKSPACE': 67108864}" in line for line in fake.builds)  # 64 MiB in bytes


@pytest.mark.parametrize(
    "attribute", ["Builder.platform_has_fast_fp16", "BuilderFlag", "IInt8Calibrator"]
)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_fake_does_not_let_weak_typing_pass(version, attribute, monkeypatch):
    module = _imported(version, monkeypatch)
    with pytest.raises(AssertionError, match="weak typing"):
        if attribute == "Builder.platform_has_fast_fp16":
            _ = module.Builder(module.ILogger()).platform_has_fast_fp16
        else:
            getattr(module, attribute)
    with pytest.raises(AssertionError, match="weak typing"):
        _ = module.NetworkDefinitionCreationFlag.EXPLICIT_BATCH


@pytest.mark.parametrize(
    ("version", "attribute"),
    [
        ("10.3.0", "IProgressMonitor"),
        ("10.13.2", "ComputeCapability"),
        ("11.0.0", "NetworkDefinitionCreationFlag.STRONGLY_TYPED"),
        ("rtx", "config.create_timing_cache"),
    ],
)
def test_the_fake_lacks_what_a_version_lacks(version, attribute, monkeypatch):
    module = _imported(version, monkeypatch)
    with pytest.raises(AttributeError):
        for part in attribute.split("."):
            config = part == "config"
            module = (
                module.Builder(module.ILogger()).create_builder_config()
                if config
                else getattr(module, part)
            )


def _imported(version, monkeypatch):
    import importlib.util

    from mer_edge import cuda_device

    monkeypatch.setattr(cuda_device, "current_gpu", cuda_device.current_gpu)  # the fake changes it
    monkeypatch.setenv("FAKE_TENSORRT", version)
    spec = importlib.util.spec_from_file_location("a_fake", Path(__file__).with_name("fake.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("version", "kept"), [("10.13.2", True), ("rtx", False)])
def test_measurements_are_kept_where_the_flavour_measures(version, kept, fake, mer_edge_build):
    fake(version)
    assert mer_edge_build("--quiet", device=VERSIONS[version]) == 0
    files = list(fake.cache.glob("timing-*"))
    assert bool(files) == kept
    if kept:
        assert files[0].name == "timing-tensorrt-10.13.2-Orin-8.7.cache"
        measured = timing.read(files[0])
        assert measured.count(b"t") >= len(GRAPHS)  # each of the builds has added to it
        files[0].write_bytes(files[0].read_bytes()[:-1])
        assert timing.read(files[0]) == b""
        assert mer_edge_build("--quiet", "--rebuild") == 0
        assert timing.read(files[0])


def test_rtx_builds_for_a_declared_compute_capability(fake, mer_edge_build, capsys):
    fake("rtx", gpu="")
    assert mer_edge_build("--quiet", "--compute-capability", "8.6", device="tensorrt-rtx") == 0
    assert all(line.endswith("SM86") for line in fake.builds)
    assert mer_edge_build("--compute-capability", "9.0", device="tensorrt-rtx") == 2
    assert "TensorRT-RTX 1.7.1.116 builds for 7.5, 8.6, 12.0" in capsys.readouterr().err


def test_rtx_builds_for_a_turing_gpu_without_being_told(fake, mer_edge_build):
    fake("rtx", gpu="Quadro RTX 4000/7.5")
    assert mer_edge_build("--quiet", device="tensorrt-rtx") == 0
    assert all(line.endswith("SM75") for line in fake.builds)


def test_a_gpu_that_rtx_does_not_list_is_told(fake, mer_edge_build, capsys):
    fake("rtx", gpu="NVIDIA H100/9.0")
    assert mer_edge_build(device="tensorrt-rtx") == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "NVIDIA H100 has compute capability 9.0, TensorRT-RTX 1.7.1.116 lists 7.5" in told


@pytest.mark.parametrize(
    ("version", "gpu", "told"),
    [
        ("10.13.2", "Tesla V100/7.0", "needs 7.5 or later"),
        ("10.3.0", "GeForce GTX 1080/6.1", "needs 7.0 or later"),
        ("10.3.0", "", "no NVIDIA GPU"),
        ("9.1.0", "Orin/8.7", "TensorRT is 9.1.0; expected 10.3 or later"),
        ("12.0.1", "Orin/8.7", "TensorRT is 12.0.1; expected 10.3 or later, below 12.0"),
    ],
)
def test_what_cannot_be_built_for_is_refused(version, gpu, told, fake, mer_edge_build, capsys):
    fake(version, gpu=gpu)
    assert mer_edge_build() == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not fake.cache.exists()


def test_a_volta_is_taken_by_the_versions_that_take_it(fake, mer_edge_build):
    fake("10.3.0", gpu="Tesla V100/7.0")
    assert mer_edge_build("--quiet") == 0


def test_a_package_that_is_not_there_names_its_extra(mer_edge_build, capsys):
    assert mer_edge_build() == 2
    assert "pip install 'mer-edge[tensorrt]'" in capsys.readouterr().err
    assert mer_edge_build(device="cuda") == 2
    assert "--device cuda: no such device; choose from tensorrt, tensorrt-rtx" in (
        capsys.readouterr().err
    )


def test_stubs_are_not_taken_for_the_package(tmp_path, monkeypatch):
    (tmp_path / "tensorrt").mkdir()
    (tmp_path / "tensorrt" / "__init__.pyi").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MerEdgeError, match="not installed"):
        load_tensorrt("tensorrt")


def test_a_package_that_cannot_be_imported_says_why(tmp_path, monkeypatch, mer_edge_build, capsys):
    code = "raise ImportError('libnvinfer.so.10: cannot open shared object file')"
    (tmp_path / "tensorrt.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    assert mer_edge_build() == 2
    assert "libnvinfer.so.10: cannot open shared object file" in capsys.readouterr().err


def test_the_parent_imports_no_tensorrt(fake, mer_edge_build):
    import sys

    fake("10.13.2")
    assert mer_edge_build("--quiet") == 0
    assert "tensorrt" not in sys.modules
    answer = run_in_child("describe", {"flavour": "tensorrt"}, "trying")
    assert answer["gpu"] == {"name": "Orin", "compute_capability": "8.7"}
    assert BUNDLE.is_dir()
