"""What each command needs, and what of it is missing.

The packages come from the extras in the distribution's own metadata; nothing is imported for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata

from mer_edge.doctor.finding import Finding

PLAIN = "pip install mer-edge"


@dataclass(frozen=True)
class Need:
    """What one use of the program needs."""

    use: str
    extras: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    """Names of findings that must be ok."""
    packages: tuple[str, ...] = ()
    """Single packages out of an extra."""


MEDIA = ("av", "cv2", "numpy", "tokenizers", "safetensors", "pysubs2", "rich", "msgspec", "media")
RUNS = (*MEDIA, "detector", "CPUExecutionProvider")
VERIFIES = ("numpy", "tokenizers", "safetensors", "rich", "msgspec", "CPUExecutionProvider")
NEEDS = (
    Need("demo", ("train", "export"), RUNS),
    Need("prepare", (), (*MEDIA, "detector"), ("pyarrow", "filelock")),
    Need("train", ("train",), (*MEDIA, "detector")),
    Need("evaluate", ("train",), (*MEDIA, "detector")),
    Need("ablate", ("train",), (*MEDIA, "detector")),
    Need("export", ("export",), ("numpy", "tokenizers", "safetensors", "CPUExecutionProvider")),
    Need("build --device tensorrt", (), ("numpy", "msgspec", "rich", "TensorRT"), ("filelock",)),
    Need(
        "build --device tensorrt-rtx",
        (),
        ("numpy", "msgspec", "rich", "TensorRT-RTX"),
        ("filelock",),
    ),
    Need("verify", (), VERIFIES),
    Need("verify --plot", (), VERIFIES, ("matplotlib",)),
    Need("verify --device cuda", (), (*VERIFIES, "CUDAExecutionProvider")),
    Need("infer", (), RUNS),
    Need("infer without --bundle", (), (*RUNS, "starter")),
    Need("stream", (), RUNS),
    Need("infer --plot .svg", (), RUNS, ("matplotlib",)),
    Need("infer --asr", ("asr",), (*RUNS, "ASR")),
    Need("infer --device cuda", (), (*RUNS, "CUDAExecutionProvider")),
    Need("bench", (), VERIFIES),
    Need("bench --plot", (), VERIFIES, ("matplotlib",)),
    Need("bench --against pytorch", ("export",), VERIFIES),
)


@dataclass(frozen=True)
class Readiness:
    """Whether a command can run here."""

    use: str
    ok: bool
    missing: list[str] = field(default_factory=list)
    fix: str = ""
    """The line that installs what is missing."""


def readiness(need: Need, findings: Mapping[str, Finding]) -> Readiness:
    """Hold one need against what was found."""
    missing, fixes = _missing_findings(need, findings)
    for extra in need.extras:
        problems = _problems_of_extra(extra)
        told = tuple(missing)
        missing += [p for p in problems if not any(line.endswith(p) for line in told)]
        if problems:
            fixes.append(f"pip install 'mer-edge[{extra}]'")
    for package in need.packages:
        if version_of(package) is None:
            missing.append(f"{package} is not installed")
            fixes.append(f"pip install {package}")
    return Readiness(need.use, not missing, missing, " && ".join(_joined(fixes)))


def _missing_findings(need: Need, findings: Mapping[str, Finding]) -> tuple[list[str], list[str]]:
    missing, fixes = [], []
    engine = findings.get("onnxruntime")
    for name in need.findings:
        finding = findings.get(name)
        if finding is not None and finding.status == "ok":
            continue
        if finding is None and name.endswith("ExecutionProvider"):
            missing.append(f"{name}: {_why_no_provider(engine)}")
            fixes.append(_provider_fix(name, engine))
        elif finding is not None:
            missing.append(f"{name}: {finding.detail}")
            fixes.append(finding.fix)
    return missing, [fix for fix in fixes if fix]


def _why_no_provider(engine: Finding | None) -> str:
    if engine is None or engine.status != "ok":
        return f"onnxruntime: {engine.detail if engine else 'not tried'}"
    return "not in the installed onnxruntime"


def _provider_fix(name: str, engine: Finding | None) -> str:
    if name == "CUDAExecutionProvider" and not (engine and engine.status == "broken"):
        remove = "pip uninstall onnxruntime && " if engine and engine.status == "ok" else ""
        return f"{remove}pip install 'mer-edge[gpu]'"
    return engine.fix if engine else ""


def _joined(fixes: list[str]) -> list[str]:
    """The fixes without repetition, the plain installations of mer-edge joined to one line."""
    ours = [re.fullmatch(r"pip install '?mer-edge(?:\[([\w,-]+)\])?'?", fix) for fix in fixes]
    others = [fix for fix, match in zip(fixes, ours, strict=True) if match is None]
    if not any(ours):
        return list(dict.fromkeys(others))
    extras = {extra for match in ours if match for extra in (match[1] or "").split(",") if extra}
    line = f"pip install 'mer-edge[{','.join(sorted(extras))}]'" if extras else PLAIN
    return list(dict.fromkeys([*others, line]))


def _problems_of_extra(extra: str) -> list[str]:
    """Packages of an extra that are missing or of another version than it asks for."""
    problems = []
    for package, wanted in requirements(extra).items():
        has = version_of(package)
        if has is None:
            problems.append(f"{package} is not installed")
        elif not satisfies(has, wanted):
            problems.append(f"{package} is {has}, expected {wanted}")
    return problems


def requirements(extra: str) -> dict[str, str]:
    """Package and version range of everything an extra adds, as the installed metadata says."""
    try:
        lines = metadata.requires("mer-edge") or []
    except metadata.PackageNotFoundError:
        return {"mer-edge": ""}
    found = {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        match = re.match(r"\s*([\w.-]+)\s*([^\s\[]*)", requirement)
        named = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        # flatbuffers stands in [cpu] and [gpu] only to keep the two apart.
        if match and named and named.group(1) == extra and match.group(1) != "flatbuffers":
            found[match.group(1)] = match.group(2)
    return found


def version_of(package: str) -> str | None:
    """The installed version of a package, from its metadata."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version lies in a range such as ``>=2.11,<2.12``.

    >>> satisfies("2.11.0+cpu", ">=2.11,<2.12"), satisfies("2.12.0", ">=2.11,<2.12")
    (True, False)
    """
    return all(_within(version, clause.strip()) for clause in wanted.split(",") if clause.strip())


def _within(version: str, clause: str) -> bool:
    match = re.fullmatch(r"(>=|<=|==|!=|>|<)\s*([\d.]+)", clause)
    if match is None:
        return True  # a form our own metadata does not use
    sign, bound = match.groups()
    left, right = _numbers(version), _numbers(bound)
    width = max(len(left), len(right))
    left += (0,) * (width - len(left))
    right += (0,) * (width - len(right))
    return {
        ">=": left >= right,
        "<=": left <= right,
        "==": left == right,
        "!=": left != right,
        ">": left > right,
        "<": left < right,
    }[sign]


def _numbers(version: str) -> tuple[int, ...]:
    release = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in release.group().split(".")) if release else (0,)
