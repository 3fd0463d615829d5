"""``mer-edge infer ... | head``: with --out the file goes on, without it the command ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.media import tone_wav

ROOT = Path(__file__).parents[2]
FILES = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    for number in range(FILES):
        tone_wav(folder / f"{number}.wav", 2.0)
    return folder


def left_at_once(bundle: Path, *arguments: str | Path) -> tuple[int, str]:
    """Exit code and stderr of a command whose stdout nobody reads."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mer_edge", "infer", str(bundle), *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    return process.wait(60), err


@pytest.mark.parametrize("shown", [["--json"], ["--quiet"], []])
@pytest.mark.parametrize(
    ("sources", "count"),
    [
        (["{0}/0.wav", "{0}/1.wav"], 2),
        (["{0}", "--batch", "1"], FILES),
        (["--stream", "{0}/0.wav"], 2),
    ],
)
def test_the_file_goes_on(
    bundle_path: Path,
    folder: Path,
    tmp_path: Path,
    sources: list[str],
    count: int,
    shown: list[str],
) -> None:
    out = tmp_path / "results.jsonl"
    arguments = [word.format(folder) for word in sources]
    code, err = left_at_once(bundle_path, *arguments, *shown, "--out", out)
    told = out.read_text().splitlines()
    assert [len(json.loads(line)["probabilities"]) for line in told] == [2] * count
    note = f"note: nobody reads the results any more; they go on into {out}\n"
    summary = err.replace(note, "")
    assert note in err
    assert summary == "" or summary.startswith(f"{folder}/0.wav: 2 decisions")
    assert code == 0


@pytest.mark.parametrize("shown", [["--json"], []])
@pytest.mark.parametrize(
    "sources", [["{0}/0.wav", "{0}/1.wav"], ["{0}", "--batch", "1"], ["--stream", "{0}/0.wav"]]
)
def test_without_a_file_it_ends_like_any_filter(
    bundle_path: Path, folder: Path, sources: list[str], shown: list[str]
) -> None:
    code, err = left_at_once(bundle_path, *[word.format(folder) for word in sources], *shown)
    assert (code, err) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("shown", [["--json"], ["--quiet"], []])
@pytest.mark.parametrize("sources", [["{0}/0.wav"], ["{0}"], ["--stream", "{0}/0.wav"]])
def test_stdout_on_a_full_disk(
    bundle_path: Path, folder: Path, sources: list[str], shown: list[str]
) -> None:
    arguments = [word.format(folder) for word in sources]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mer_edge", "infer", str(bundle_path), *arguments, *shown],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    error = done.stderr.splitlines()[0]
    assert error.startswith("error: stdout: cannot be written (No space left on device)")
    assert done.stderr.count("error") == 1
