"""What a device installs: base and [cpu], no torch, no transformers. There ``infer`` runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.runtime.media import face_video

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-cpu" / "bin" / "python"
READY = ROOT / ".venv-cpu" / "ready"
TINY = ROOT / "tests" / "data" / "tiny-bundle"

pytestmark = pytest.mark.skipif(
    not READY.exists(), reason=f"{READY} is missing; make it with: make .venv-cpu/ready"
)


def run(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    # In a folder of its own: the checkout one stands in must not answer for the installed wheel.
    return subprocess.run(
        [PYTHON, *arguments], capture_output=True, text=True, cwd=folder, timeout=120
    )


def test_infer_runs_without_torch(tmp_path: Path) -> None:
    video = face_video(tmp_path / "clip.mp4", 3.0)
    program = (
        "import sys; from mer_edge.cli.main import main; code = main(sys.argv[1:]);"
        "print(sorted({'torch', 'transformers', 'onnx'} & set(sys.modules)), file=sys.stderr);"
        "sys.exit(code)"
    )
    arguments = ["infer", TINY, video, "--json", "--text", "a good day"]
    done = run("-c", program, *arguments, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    result = json.loads(done.stdout)
    assert (result["segments"], result["audio_segments"], result["face_segments"]) == (3, 3, 3)
    assert sum(say["weight"] for say in result["modalities"].values()) == pytest.approx(1)
    assert all(say["weight"] > 0 for say in result["modalities"].values())


def test_verify_runs_without_torch(tmp_path: Path) -> None:
    program = (
        "import sys; from mer_edge.cli.main import main; code = main(sys.argv[1:]);"
        "print(sorted({'torch', 'transformers', 'onnx', 'cv2', 'av'} & set(sys.modules)),"
        "file=sys.stderr); sys.exit(code)"
    )
    done = run("-c", program, "verify", TINY, "--json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    report = json.loads(done.stdout)
    assert report["passed"] is True
    assert report["parity"]["max_abs_logit_difference"] < 1e-4


def test_torch_is_not_there_and_the_code_is_the_wheels(tmp_path: Path) -> None:
    program = (
        "import importlib.util as u, runtime; "
        "print([n for n in ('torch', 'transformers', 'onnx', 'matplotlib') if u.find_spec(n)]);"
        "print(runtime.__file__)"
    )
    done = run("-c", program, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found, file = done.stdout.splitlines()
    assert found == "[]"
    assert "site-packages" in file


def test_what_needs_more_says_so(tmp_path: Path) -> None:
    plot = run("-m", "mer_edge", "infer", TINY, "x.mp4", "--plot", "x.svg", folder=tmp_path)
    assert plot.returncode == 2
    assert "pip install 'matplotlib" in plot.stderr
    video = face_video(tmp_path / "clip.mp4", 1.0)
    drawn = run("-m", "mer_edge", "infer", TINY, video, "--plot", "x.png", folder=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    doctor = run("-m", "mer_edge", "doctor", "--json", folder=tmp_path)
    assert doctor.returncode == 0, doctor.stderr
    commands = {command["use"]: command for command in json.loads(doctor.stdout)["commands"]}
    assert commands["infer"]["ok"], commands["infer"]
    assert not commands["train"]["ok"]
    assert commands["demo"]["fix"] == "pip install 'mer-edge[export,train]'"
