"""What needs a GPU, in one command: engines, golden tensors and latencies of bundles.

Of each bundle the engines are built with each flavour of TensorRT that is installed, opened, and
the golden tensors compared on every backend; then one clip is timed on each of them, in turn with
PyTorch in half precision, and the memory's bandwidth says how fast it could be. What is refused is
recorded word for word. Writes results/on-gpu.{json,md} and ends with 1 if a step failed.

    python -m benchmarks.on_gpu --bundle FP16_BUNDLE --bundle INT8_BUNDLE
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.gpu import latency
from benchmarks.gpu.latency import Measure
from benchmarks.gpu.report import as_markdown
from mer_edge import __version__
from mer_edge.bundle import Bundle
from mer_edge.checkout import commit
from mer_edge.cli.progress import Bars
from mer_edge.cuda_device import Gpu, current_gpu
from mer_edge.errors import MerEdgeError
from mer_edge.files import new_file
from mer_edge.tensorrt_api import FLAVOURS, is_installed
from runtime.cuda.cudart import load_cuda

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "tests" / "data" / "tiny-bundle"
RESULTS = ROOT / "benchmarks" / "results"
OPEN_PROGRAM = """
import sys
from pathlib import Path
from mer_edge.tensorrt_api import load_tensorrt
api = load_tensorrt(sys.argv[1])
said = []
logger = api.logger(lambda severity, text: said.append(text) if severity == "error" else None)
runtime = api.module.Runtime(logger)
for plan in sys.argv[2:]:
    engine = runtime.deserialize_cuda_engine(Path(plan).read_bytes())
    if engine is None:
        sys.exit(f"{plan}: {'; '.join(said) or 'no reason given'}")
    print(Path(plan).parent.name.split("-")[0], engine.num_layers, "layers")
"""


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 when every step went well, 1 when one did not, 2 where there is nothing to try."""
    args = parse(arguments)
    try:
        gpu = current_gpu()
        if gpu is None:
            raise MerEdgeError("no NVIDIA GPU here, so there is nothing to try")
        outcome = measure(args, gpu)
        write(args.out / "on-gpu.json", json.dumps(outcome, indent=1) + "\n")
        write(args.out / "on-gpu.md", as_markdown(outcome))
    except MerEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    steps = [step for bundle in outcome["bundles"] for step in bundle["steps"]]
    failed = [step for step in steps if step["exit_code"] != 0]
    print(as_markdown(outcome))
    went_well = f"{len(steps) - len(failed)} of {len(steps)} steps went well on {gpu.name}"
    print(f"{args.out / 'on-gpu.json'}: {went_well}")
    return 1 if failed else 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    how = Measure()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--bundle", type=Path, action="append", metavar="DIR", help="default: the tests' tiny one"
    )
    parser.add_argument("--segments", type=int, default=how.segments, metavar="N")
    parser.add_argument("--tokens", type=int, default=how.tokens, metavar="N")
    parser.add_argument("--rounds", type=int, default=how.rounds, metavar="N")
    parser.add_argument("--no-latency", action="store_true", help="engines and golden tensors only")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    return parser.parse_args(arguments)


def measure(args: argparse.Namespace, gpu: Gpu) -> dict[str, Any]:
    """Everything, as plain values."""
    how = Measure(args.segments, args.tokens, args.rounds)
    return {
        "gpu": gpu.name,
        "compute_capability": gpu.compute_capability,
        "driver": driver_version(),
        "system": platform.platform(terse=True),
        "mer_edge": __version__,
        "commit": commit(ROOT),
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "bundles": [
            measure_bundle(path, how, latencies=not args.no_latency)
            for path in args.bundle or [TINY]
        ],
    }


def measure_bundle(path: Path, how: Measure, *, latencies: bool) -> dict[str, Any]:
    """The steps of every backend that is installed, and the latencies."""
    manifest = Bundle.load(path).manifest
    outcome: dict[str, Any] = {
        "bundle": str(path),
        "preset": manifest.preset,
        "precision": manifest.precision,
        "settings": asdict(how),
    }
    with tempfile.TemporaryDirectory(prefix="mer-edge-gpu-") as folder, Bars() as bars:
        cache = Path(folder) / "cache"
        flavours = [flavour for flavour in FLAVOURS if is_installed(flavour)]
        steps = [step for flavour in flavours for step in try_flavour(path, flavour, cache)]
        steps.append(mer_edge("verify", str(path), "--device", "cuda"))
        outcome["steps"] = steps
        if latencies:
            outcome["floor"] = measure_floor(path)
            outcome["latency"] = latency.measure(
                path, cache, Path(folder), how, lambda what, i, n: bars.step(what, i, n, "")
            )
    return outcome


def measure_floor(path: Path) -> dict[str, Any]:
    """The least time a clip can take, by what it reads of the GPU's memory."""
    from benchmarks.gpu.floor import copy_bandwidth, weight_bytes

    try:
        bandwidth = copy_bandwidth(load_cuda("cuda", "gpu"))
    except MerEdgeError as error:
        return {"refused": str(error)}
    read = weight_bytes(Bundle.load(path))
    return {
        "bytes_per_s": bandwidth,
        "weight_bytes": read,
        "floor_ms": read / bandwidth * 1e3,
    }


def try_flavour(bundle: Path, flavour: str, cache: Path) -> list[dict[str, Any]]:
    """Build, open what was built, and verify; a step that fails ends the flavour."""
    where, kept = ("--device", flavour), {"MER_EDGE_CACHE": str(cache)}
    steps = [mer_edge("build", str(bundle), *where, "--json", **kept)]
    if steps[0]["exit_code"] == 0:
        engines = json.loads("".join(steps[0]["stdout"]))["engines"].values()
        plans = [engine["engine"] for engine in engines]
        steps.append(run(f"open the engines of {flavour}", "-c", OPEN_PROGRAM, flavour, *plans))
        steps.append(mer_edge("verify", str(bundle), *where, "--json", **kept))
    return steps


def mer_edge(*arguments: str, **environment: str) -> dict[str, Any]:
    """One command of the project, as a user starts it."""
    return run(f"mer-edge {' '.join(arguments)}", "-m", "mer_edge", *arguments, **environment)


def run(name: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """A step in a process of its own, and all that it answered."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    return {
        "command": name,
        "exit_code": done.returncode,
        "stdout": done.stdout.splitlines(),
        "stderr": done.stderr.splitlines(),
    }


def driver_version() -> str:
    """Of NVIDIA's driver, as nvidia-smi says it; a Jetson has none of that."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown"
    query = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True)
    return answer.stdout.strip().splitlines()[0] if answer.stdout.strip() else "unknown"


def write(path: Path, text: str) -> None:
    """A whole file or none."""
    with new_file(path, "writing the result") as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
