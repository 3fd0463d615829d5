"""The clip of ``make demo``: small, short, with a face and a voice, its origin beside it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mer_edge.clips import load_clips
from tests.starter import TINY

ROOT = Path(__file__).parent.parent
CLIP = ROOT / "demo-data" / "portrait.mp4"


def test_it_is_small_and_has_a_face_a_voice_and_words() -> None:
    assert CLIP.stat().st_size < 1_000_000
    (clip,) = load_clips(CLIP)
    assert clip.end_s == pytest.approx(2.88, abs=0.05)
    assert clip.segments == 3
    assert clip.face_present.all()
    assert clip.audio_present.all()
    assert clip.text == CLIP.with_suffix(".txt").read_text().strip()
    origin = (ROOT / "demo-data" / "README.md").read_text()
    assert "public domain" in origin
    assert "make_clip.py" in origin


def test_make_demo_recognises_it(tmp_path: Path) -> None:
    """The command of the Makefile, with a bundle in place of the starter."""
    lines = subprocess.run(
        ["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    (command,) = [line for line in lines if "mer-edge infer" in line and "echo" not in line]
    words = command.split()[1:]
    assert words == ["infer", "demo-data/portrait.mp4", "--plot", "demo.png"]
    from mer_edge.cli.main import main

    shutil.copytree(ROOT / "demo-data", tmp_path / "demo-data")
    picture = tmp_path / "demo.png"
    assert main(["infer", str(TINY), str(tmp_path / words[1]), "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
