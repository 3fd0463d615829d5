from __future__ import annotations

from pathlib import Path

import pytest

from mer_edge.cli.main import main
from mer_edge.errors import MerEdgeError
from runtime.output_paths import check_outputs

BUNDLE = Path(__file__).parents[1] / "data" / "tiny-bundle"


@pytest.mark.parametrize("command", [["in.mp4"], ["--stream", "in.mp4"]])
@pytest.mark.parametrize("out", ["in.mp4", "./in.mp4", "in.txt", "link.jsonl"])
def test_what_is_read_is_never_written(command, out, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("in.mp4").write_bytes(b"a video")
    Path("in.txt").write_text("what is said")
    Path("link.jsonl").symlink_to("in.mp4")
    assert main(["infer", str(BUNDLE), *command, "--out", out]) == 2
    assert "that is what is read, too" in capsys.readouterr().err
    assert Path("in.mp4").read_bytes() == b"a video"
    assert Path("in.txt").read_text() == "what is said"


def test_two_outputs_are_two_files():
    with pytest.raises(MerEdgeError, match=r"--plot r.png: that is --out, too"):
        check_outputs({"--out": Path("r.png"), "--plot": Path("r.png")}, [])
    check_outputs({"--out": Path("r.jsonl"), "--plot": None}, [Path("-"), None, Path("in.mp4")])
