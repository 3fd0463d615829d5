"""What a user installs: the locks, the extras and the license."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def locked(path: Path) -> dict[str, set[str]]:
    pins: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", path.read_text(), re.M):
        pins.setdefault(name, set()).add(version)
    return pins


@pytest.mark.parametrize("lock", LOCKS, ids=lambda p: p.name)
def test_a_lock_has_hashes_for_everything_and_names_no_host(lock):
    text = lock.read_text()
    assert "://" not in text
    assert "index-url" not in text
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(entries) > 20 or lock.stem in ("build", "pip", "stubs")
    for entry in entries:
        assert "--hash=sha256:" in entry, entry


def test_the_licences_of_code_and_weights_are_in_the_package():
    assert PROJECT["license"] == "Apache-2.0 AND CC-BY-NC-SA-4.0 AND MIT"
    assert "Apache License" in (ROOT / PROJECT["license-files"][0]).read_text()
    weights = (ROOT / PROJECT["license-files"][1]).read_text()
    for name in ("CC BY-NC-SA 4.0", "GoEmotions", "FER+", "RAVDESS", "nEMO", "MiniLM"):
        assert name in weights
    assert "Silero Team" in (ROOT / PROJECT["license-files"][2]).read_text()


def test_the_wheel_carries_what_lies_beside_the_built_in_bundle(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    starter = sorted((ROOT / "mer_edge" / "starter").iterdir())
    assert {"LICENSE", "MODEL_CARD.md"} <= {file.name for file in starter}
    for file in starter:
        assert f"mer_edge/starter/{file.name}" in names
    assert "mer_edge-0.1.0.dist-info/licenses/mer_edge/starter/LICENSE" in names
    for name in ("silero_vad_16k_sequence.onnx", "LICENSE", "README.md"):
        assert f"mer_edge/media/silero_vad/{name}" in names


def test_the_build_lock_agrees_and_has_the_build_system():
    build, development = (locked(ROOT / f"requirements/{n}.lock") for n in ("build", "dev"))
    assert {"hatchling", "editables"} <= set(build)
    for name, versions in build.items():
        assert versions == development[name], name


def test_the_device_lock_is_light_and_agrees_with_the_other():
    device, development = (locked(ROOT / f"requirements/{n}.lock") for n in ("cpu", "dev"))
    assert not {"torch", "transformers", "matplotlib", "onnx", "scipy"} & set(device)
    for name, versions in device.items():
        assert versions == development[name], name


@pytest.mark.parametrize(
    "lock", [x for x in LOCKS if x.stem in ("cpu", "dev")], ids=lambda p: p.name
)
def test_the_lock_is_inside_the_ranges(lock):
    pins = locked(lock)
    requirements = [Requirement(r) for r in PROJECT["dependencies"]]
    if lock.name == "dev.lock":
        for extra in ("cpu", "asr", "batch", "ray", "train", "export"):
            requirements += map(Requirement, PROJECT["optional-dependencies"][extra])
    for requirement in requirements:
        if requirement.name != PROJECT["name"]:
            assert pins[requirement.name]
            for version in pins[requirement.name]:
                assert version in requirement.specifier, requirement


@pytest.mark.parametrize("other", ["cpu", "asr"])
def test_the_two_inference_engines_cannot_be_resolved_together(other):
    extras = PROJECT["optional-dependencies"]
    assert "mer-edge[cpu]" in extras["asr"]  # faster-whisper brings onnxruntime along
    sides = [
        next(Requirement(r).specifier for r in extras[name] if r.startswith("flatbuffers"))
        for name in ("cpu", "gpu")
    ]
    released = ["23.5.26", "24.3.25", "24.12.23", "25.1.21", "25.2.10", "25.9.23", "25.12.19"]
    both = SpecifierSet(f"{sides[0]},{sides[1]}")
    assert not list(both.filter(released))
    assert all(list(side.filter(released)) for side in sides)
