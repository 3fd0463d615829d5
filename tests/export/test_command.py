import builtins
import re
import sys

import pytest

from mer_edge.cli.main import main


def test_json_is_the_outcome_and_nothing_else(exported):
    """The session's export ran with --json; its stdout was read as one JSON value."""
    outcome = exported.outcome
    manifest = exported.bundle.manifest
    assert outcome["bundle"] == str(exported.bundle.path)
    assert outcome["graphs"] == {name: spec.sha256 for name, spec in manifest.graphs.items()}
    assert outcome["max_abs_logit_difference"] == manifest.parity.max_abs_logit_difference
    assert outcome["cases"] == 22
    sizes = [file.stat().st_size for file in exported.bundle.path.iterdir()]
    assert outcome["bytes"] == sum(sizes)
    assert 0 < outcome["seconds"] < 600


def test_it_ends_with_the_next_command(exported, copied_graphs, tmp_path, capsys):
    out = tmp_path / "b"
    assert main(["export", str(exported.run), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    head = re.escape(f"{out}: MER-SEM-MBT, 4 graphs, ")
    assert re.fullmatch(head + r"(0\.\d|1\.0) MB, in \d+\.\d s", lines[0])
    assert "over 7 cases (0.0001 allowed)" in lines[1]
    assert lines[2] == f"next: mer-edge infer {out} CLIP.mp4"


def test_quiet_is_quiet(exported, copied_graphs, tmp_path, capfd):
    assert main(["export", str(exported.run), "--out", str(tmp_path / "b"), "--quiet"]) == 0
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_a_missing_package_names_the_extra(exported, tmp_path, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "export.exporter")
    real = builtins.__import__

    def without_onnx(name, *arguments, **keywords):
        if name == "export.exporter":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    assert main(["export", str(exported.run), "--out", str(tmp_path / "b")]) == 2
    message = capsys.readouterr().err
    assert "needs the package onnx" in message
    assert "pip install 'mer-edge[export]'" in message


def test_out_is_required(exported, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(exported.run)])
    assert stopped.value.code == 2
    assert "--out" in capsys.readouterr().err
