"""``mer-edge doctor`` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import onnxruntime
import pytest

from mer_edge.cli.doctor import as_text
from mer_edge.cli.main import main
from mer_edge.doctor.examine import Examination
from mer_edge.doctor.finding import Finding
from mer_edge.doctor.needs import Readiness


def test_json_on_this_machine(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    out, err = capfd.readouterr()
    report = json.loads(out)
    assert err == ""
    assert out.count("\n") == 1
    findings = {finding["name"]: finding for finding in report["findings"]}
    assert findings["onnxruntime"]["facts"]["version"] == onnxruntime.__version__
    for name in ("CPUExecutionProvider", "media", "detector", "numpy", "ASR"):
        assert findings[name]["status"] == "ok", findings[name]
    commands = {command["use"]: command for command in report["commands"]}
    for name in ("demo", "train", "export", "infer", "infer --asr"):
        assert commands[name]["ok"], commands[name]


def test_heavy_packages_are_not_imported() -> None:
    code = (
        "import sys; from mer_edge.doctor.examine import _package; print(_package('torch').detail);"
        "import mer_edge.doctor.examine; "
        "assert not {'torch', 'numpy', 'onnxruntime', 'cv2'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2.")


def examination(demo: bool, infer: bool, starter: bool = False) -> Examination:
    fix = "pip install 'mer-edge[cpu]'"
    return Examination(
        [
            Finding("numpy", "ok", "2.0"),
            Finding("onnxruntime", "broken", "two packages", "pip uninstall onnxruntime"),
            Finding("TensorRT", "missing", "not installed (optional)"),
        ],
        [
            Readiness("demo", demo, [] if demo else ["torch is not installed"]),
            Readiness("infer", infer, [] if infer else ["no engine"], "" if infer else fix),
            Readiness("infer without --bundle", starter),
        ],
    )


def test_the_text_names_what_is_broken_and_the_line_that_mends_it() -> None:
    lines = as_text(examination(demo=False, infer=False)).splitlines()
    assert any("onnxruntime" in line and "BROKEN" in line for line in lines)
    assert any(line.strip() == "run: pip uninstall onnxruntime" for line in lines)
    assert any("infer" in line and "no engine" in line for line in lines)
    assert lines[-1] == "next: pip install 'mer-edge[cpu]'"


def test_the_next_command_is_one_that_works_here() -> None:
    assert as_text(examination(demo=True, infer=True)).endswith("next: mer-edge demo")
    ready = as_text(examination(demo=False, infer=True))
    assert ready.endswith("next: mer-edge infer --bundle DIR YOUR_CLIP.mp4")
    starter = as_text(examination(demo=True, infer=True, starter=True))
    assert starter.endswith("next: mer-edge infer YOUR_CLIP.mp4")


def test_unknown_options_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--everything"])
    assert caught.value.code == 2
