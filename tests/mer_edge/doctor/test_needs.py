"""What is missing for which command, and the line that installs it."""

from __future__ import annotations

import pytest

from mer_edge.cli.main import COMMANDS
from mer_edge.doctor import needs
from mer_edge.doctor.finding import Finding
from mer_edge.doctor.needs import NEEDS, RUNS, Need, readiness, requirements, satisfies


def all_ok() -> dict[str, Finding]:
    return {name: Finding(name, "ok", "fine") for name in (*RUNS, "ASR", "onnxruntime")}


def use(name: str) -> Need:
    return next(need for need in NEEDS if need.use == name)


def test_every_command_is_spoken_of() -> None:
    assert {need.use.split()[0] for need in NEEDS} == set(COMMANDS) - {"doctor"}


def test_nothing_is_missing_where_everything_is_there() -> None:
    for name in ("demo", "train", "export", "infer", "infer --plot .svg", "infer --asr"):
        assert readiness(use(name), all_ok()) == needs.Readiness(name, True)


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    real = needs.version_of
    monkeypatch.setattr(needs, "version_of", lambda p: None if p in packages else real(p))


def test_missing_packages_come_with_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "torch", "onnx", "matplotlib")
    train = readiness(use("train"), all_ok())
    assert not train.ok
    assert set(train.missing) == {"torch is not installed", "matplotlib is not installed"}
    assert train.fix == "pip install 'mer-edge[train]'"
    demo = readiness(use("demo"), all_ok())
    assert len(demo.missing) == 3
    assert demo.fix == "pip install 'mer-edge[export,train]'"
    plot = readiness(use("infer --plot .svg"), all_ok())
    assert (plot.missing, plot.fix) == (["matplotlib is not installed"], "pip install matplotlib")
    assert readiness(use("infer"), all_ok()).ok


def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = all_ok()
    del findings["CPUExecutionProvider"]
    fix = "pip install 'mer-edge[cpu]'"
    findings["onnxruntime"] = Finding("onnxruntime", "missing", "not installed", fix)
    infer = readiness(use("infer"), findings)
    assert infer.missing == ["CPUExecutionProvider: onnxruntime: not installed"]
    assert infer.fix == fix
    without(monkeypatch, "torch", "onnx")
    demo = readiness(use("demo"), findings)
    assert demo.fix == "pip install 'mer-edge[cpu,export,train]'"  # one line, not two


def test_one_line_installs_what_several_findings_ask_for() -> None:
    findings = all_ok()
    findings["av"] = Finding("av", "missing", "not installed", "pip install mer-edge")
    assert readiness(use("infer"), findings).fix == "pip install mer-edge"
    fix = "pip install 'mer-edge[cpu]'"
    findings["detector"] = Finding("detector", "missing", "needs onnxruntime", fix)
    infer = readiness(use("infer"), findings)
    assert infer.missing == ["av: not installed", "detector: needs onnxruntime"]
    assert infer.fix == fix


def test_cuda_asks_for_the_other_package() -> None:
    cuda = readiness(use("infer --device cuda"), all_ok())
    assert cuda.missing == ["CUDAExecutionProvider: not in the installed onnxruntime"]
    assert cuda.fix == "pip uninstall onnxruntime && pip install 'mer-edge[gpu]'"


def test_what_is_broken_is_told_as_found() -> None:
    findings = all_ok()
    findings["cv2"] = Finding("cv2", "broken", "ImportError: libGL.so.1")
    infer = readiness(use("infer"), findings)
    assert infer.missing == ["cv2: ImportError: libGL.so.1"]
    assert not infer.ok


def test_the_extras_are_the_distributions_own() -> None:
    assert requirements("train")["torch"] == "<2.12,>=2.11"
    assert set(requirements("cpu")) == {"onnxruntime"}
    assert requirements("no-such-extra") == {}


def test_a_wrong_version_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = needs.version_of
    monkeypatch.setattr(needs, "version_of", lambda p: "2.14.0+cpu" if p == "torch" else real(p))
    train = readiness(use("train"), all_ok())
    assert train.missing == ["torch is 2.14.0+cpu, expected <2.12,>=2.11"]
    assert train.fix == "pip install 'mer-edge[train]'"


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        ("2.11.0", ">=2.11,<2.12", True),
        ("2.11", "==2.11.0", True),
        ("2.12.0", ">=2.11,<2.12", False),
        ("2.9.1", ">=2.11", False),
        ("10.0", ">9.5", True),
        ("1.0.3", "==1.0.2", False),
        ("1.0.3", "!=1.0.2", True),
        ("5.0.0.93", "<=5", False),
        ("2.11.0a0+git", "<2.12", True),
        ("anything", "~=1", True),
    ],
)
def test_version_ranges(version: str, wanted: str, expected: bool) -> None:
    assert satisfies(version, wanted) is expected
