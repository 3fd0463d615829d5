"""Every command of the README is run, in the order a reader meets them."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mer_edge import starter_bundle
from mer_edge.bundle import MANIFEST, Bundle
from mer_edge.cli.main import main
from train.datasets.drawn import generate

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


COMMANDS = [
    line.split("  #")[0].strip() for block in blocks("sh") for line in block.strip().splitlines()
]


@pytest.fixture(scope="module")
def home(tmp_path_factory, finished_demo) -> Path:
    """A folder as `make demo` leaves it, with the files of which the README speaks."""
    home = tmp_path_factory.mktemp("readme")
    folder, ran = finished_demo
    assert ran.returncode == 0, ran.stderr
    shutil.copytree(folder, home / "demo")
    # Enough to calibrate with, which the fixture's 12 clips are not and the demo's 240 are.
    generate(home / "demo/data", 24, 5, overwrite=True)
    clips = sorted((home / "demo/data").rglob("*.mp4"))
    shutil.copy(clips[0], home / "interview.mp4")
    shutil.copy(clips[1], home / "monologue.mp4")
    (home / "recordings").mkdir()
    for clip in clips[2:6]:
        shutil.copy(clip, home / "recordings")
    (home / "monologue.srt").write_text(
        "1\n00:00:00,100 --> 00:00:00,900\nWell.\n\n2\n00:00:01,000 --> 00:00:01,900\nLeave me.\n"
    )
    export_sound_and_frames(clips[2], home)
    return home


@pytest.fixture
def starter(home: Path) -> Path:
    """The built-in bundle; while there is none, that of the demo."""
    built_in = starter_bundle.STARTER
    return built_in if (built_in / MANIFEST).is_file() else home / "demo/bundle"


def export_sound_and_frames(clip: Path, home: Path) -> None:
    import av

    (home / "frames").mkdir()
    with av.open(str(clip)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            frame.to_image().save(home / f"frames/{index}.jpg")
    with av.open(str(clip)) as container, av.open(str(home / "voice.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=container.streams.audio[0].rate)
        for frame in container.decode(audio=0):
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def test_the_two_commands_open_the_readme_and_exist():
    assert COMMANDS[:2] == ["make demo", "make test"]
    assert README.index("make demo") < 800
    dry = subprocess.run(["make", "-n", "demo", "test"], cwd=ROOT, capture_output=True, text=True)
    assert dry.returncode == 0, dry.stderr
    assert "mer-edge infer demo-data/portrait.mp4" in dry.stdout
    assert "pytest" in dry.stdout


def test_the_extras_that_the_readme_installs_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named = re.findall(r"pip install '\.\[([a-z,-]+)\]'", README)
    assert len(named) >= 3
    for name in ",".join(named).split(","):
        assert name in extras


@pytest.mark.slow
def test_the_commands_one_after_the_other(home, starter, monkeypatch, capsys):
    """In this process: to load the libraries anew for each costs more than what they do."""
    monkeypatch.setattr(starter_bundle, "STARTER", starter)
    monkeypatch.chdir(home)
    commands = [shlex.split(command) for command in COMMANDS if command.startswith("mer-edge ")]
    assert len(commands) >= 10
    for words in commands:
        assert main(words[1:]) == 0, (words, capsys.readouterr())
    assert (home / "decision.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_python_example(home, starter):
    (code,) = blocks("python")
    code = (
        "from pathlib import Path; from mer_edge import starter_bundle\n"
        f"starter_bundle.STARTER = Path({str(starter)!r})\n{code}"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[0] in Bundle.load(starter).manifest.labels


def test_no_command_is_left_out():
    known = ("make ", "mer-edge ", "pip install ")
    assert all(c.startswith(known) for c in COMMANDS), COMMANDS


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
