"""What a device imports: no PyTorch, and for the command line alone nothing heavy at all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAINING = ("torch", "transformers", "torchvision", "torchaudio")
HEAVY = (*TRAINING, "numpy", "av", "cv2", "onnxruntime", "rich", "tokenizers", "pysubs2")

# Runs in a fresh process: argv is the packages to refuse and the modules to import, as JSON.
PROBE = """
import importlib, json, sys

refused, modules = map(json.loads, sys.argv[1:])

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in refused:
            raise AssertionError(f"{importing} imports {name}")

sys.meta_path.insert(0, Refuse())
for importing in modules:
    importlib.import_module(importing)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules} & set(refused))))
"""


def device_modules():
    """Every module of ``mer_edge`` outside ``model``, and of ``runtime``, by the files there."""
    files = [p for package in ("mer_edge", "runtime") for p in (ROOT / package).rglob("*.py")]
    names = (".".join(p.relative_to(ROOT).with_suffix("").parts) for p in sorted(files))
    return [
        name.removesuffix(".__init__")
        for name in names
        # `python -m mer_edge` runs the command line when it is imported.
        if not name.startswith("mer_edge.model.") and name != "mer_edge.__main__"
    ]


def imported(refused, modules):
    """Which of ``refused`` a fresh process has loaded after importing ``modules``."""
    arguments = [json.dumps(refused), json.dumps(modules)]
    process = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr.strip().splitlines()[-1]
    return json.loads(process.stdout)


def test_nothing_a_device_imports_needs_torch_or_transformers():
    modules = device_modules()
    # The walk has found the packages: one module of each part.
    parts = ["mer_edge.cli.main", "mer_edge.media.source", "mer_edge.text.source", "runtime.ort"]
    assert {*parts, "mer_edge.faces.mtcnn", "mer_edge.clips", "runtime.recognizer"} <= {*modules}
    assert imported(TRAINING, modules) == []


@pytest.mark.parametrize("module", ["mer_edge", "mer_edge.cli.main"])
def test_the_command_line_alone_is_light(module):
    assert imported(HEAVY, [module]) == []


def test_the_probe_notices_what_it_refuses():
    with pytest.raises(AssertionError, match=r"mer_edge\.clip imports numpy"):
        imported(["numpy"], ["mer_edge", "mer_edge.clip"])
