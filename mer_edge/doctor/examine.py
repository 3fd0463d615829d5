"""The whole examination: every probe, then what it means for each command."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mer_edge import starter_bundle
from mer_edge.doctor import machine
from mer_edge.doctor.finding import Finding
from mer_edge.doctor.isolate import run_isolated
from mer_edge.doctor.needs import NEEDS, Readiness, readiness, version_of
from mer_edge.doctor.probes import BASE_MODULES

LISTED_PACKAGES = ("torch", "torchvision", "torchaudio", "transformers", "onnx", "onnxscript")
"""Heavy: their versions are read, they are not imported."""
AT_ONCE = 4


@dataclass(frozen=True)
class Examination:
    """What the machine has and which commands can run on it."""

    findings: list[Finding]
    commands: list[Readiness]


def examine() -> Examination:
    """Try everything; takes some seconds. Nothing that is broken breaks the examination."""
    here = [machine.python(), machine.system(), machine.jetson(), machine.gpu()]
    probes: list[Callable[[], Finding]] = [
        lambda: run_isolated("onnxruntime", "onnxruntime_package"),
        *(_probe(module, "base_module", module) for module in BASE_MODULES),
        _probe("INT8", "int8"),
        _probe("media", "media"),
        _probe("detector", "detector"),
        _probe("ASR", "asr"),
        _probe("TensorRT", "tensorrt", "tensorrt"),
        _probe("TensorRT-RTX", "tensorrt", "tensorrt-rtx"),
        _probe("starter", "starter", str(starter_bundle.STARTER)),
    ]
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        engine, *others = pool.map(lambda probe: probe(), probes)
        names = engine.facts.get("providers", "").split()
        providers = list(pool.map(lambda name: run_isolated(name, "provider", name), names))
    findings = [finding for finding in here if finding is not None]
    findings += [engine, *providers, *others, *map(_package, LISTED_PACKAGES)]
    by_name = {finding.name: finding for finding in findings}
    return Examination(findings, [readiness(need, by_name) for need in NEEDS])


def _probe(name: str, probe: str, *arguments: str) -> Callable[[], Finding]:
    return lambda: run_isolated(name, probe, *arguments)


def _package(name: str) -> Finding:
    version = version_of(name)
    if version is None:
        return Finding(name, "missing", "not installed (for train, export and demo)")
    return Finding(name, "info", version, "", {"version": version})
