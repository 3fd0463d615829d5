"""What needs a GPU, in one command: build a bundle's engines, open them, verify the bundle.

Each step is tried for each flavour of TensorRT that is installed, and what it answers is recorded
word for word, refusals included. Writes results/on-gpu.json and ends with 1 if a step failed.

    python benchmarks/on_gpu.py --bundle BUNDLE
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mer_edge import __version__
from mer_edge.cuda_device import current_gpu
from mer_edge.errors import MerEdgeError
from mer_edge.files import new_file
from mer_edge.tensorrt_api import FLAVOURS, is_installed

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "tests" / "data" / "tiny-bundle"
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


def main() -> int:
    """Returns 0 when every step of every flavour that is installed went well, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", type=Path, action="append", help="default: the tests' tiny one")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "on-gpu.json")
    args = parser.parse_args()
    gpu = current_gpu()
    if gpu is None:
        print("error: no NVIDIA GPU here, so there is nothing to try", file=sys.stderr)
        return 2
    flavours = [flavour for flavour in FLAVOURS if is_installed(flavour)]
    bundles = args.bundle or [TINY]
    steps = [step for b in bundles for f in flavours for step in try_flavour(b, f)]
    steps += [mer_edge("verify", str(bundle), "--device", "cuda") for bundle in bundles]
    outcome = {
        "gpu": gpu.name,
        "compute_capability": gpu.compute_capability,
        "system": platform.platform(terse=True),
        "mer_edge": __version__,
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "steps": steps,
    }
    with new_file(args.out, "writing the result") as temporary:
        temporary.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    failed = [step for step in steps if step["exit_code"] != 0]
    for step in steps:
        print(f"{'ok' if step['exit_code'] == 0 else 'FAILED':6}  {step['command']}")
        if step["exit_code"] != 0:
            print(f"        {step['stderr'][-1] if step['stderr'] else 'said nothing'}")
    print(f"{args.out}: {len(steps) - len(failed)} of {len(steps)} steps went well on {gpu.name}")
    return 1 if failed else 0


def try_flavour(bundle: Path, flavour: str) -> list[dict[str, Any]]:
    """Build, open what was built, and verify; a step that fails ends the flavour."""
    with tempfile.TemporaryDirectory(prefix="mer-edge-gpu-") as cache:
        where = ("--device", flavour)
        steps = [mer_edge("build", str(bundle), *where, "--cache", cache, "--json")]
        if steps[0]["exit_code"] == 0:
            engines = json.loads("".join(steps[0]["stdout"]))["engines"].values()
            plans = [engine["engine"] for engine in engines]
            steps.append(run("open the engines", "-c", OPEN_PROGRAM, flavour, *plans))
            steps.append(mer_edge("verify", str(bundle), *where, "--json"))
        return steps


def mer_edge(*arguments: str) -> dict[str, Any]:
    """One command of the project, as a user starts it."""
    return run(f"mer-edge {' '.join(arguments)}", "-m", "mer_edge", *arguments)


def run(name: str, *arguments: str) -> dict[str, Any]:
    """A step in a process of its own, and all that it answered."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    return {
        "command": name,
        "exit_code": done.returncode,
        "stdout": done.stdout.splitlines(),
        "stderr": done.stderr.splitlines(),
    }


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except MerEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
