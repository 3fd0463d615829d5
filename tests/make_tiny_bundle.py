"""Make tests/data/tiny-bundle: the tiny preset with random weights, for tests without PyTorch.

Run ``python tests/make_tiny_bundle.py`` after a change of the model, the exporter or the bundle's
format, and commit what it writes. The same code gives the same bundle but for its provenance.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from export.exporter import export_bundle
from mer_edge.model.build import build_model
from mer_edge.model.checkpoint import load_checkpoint, save_checkpoint
from mer_edge.model.config import TINY
from train.datasets.tokenizer import build_tokenizer

SEED = 20221130
SENTENCES = (
    "Kids are talking by the door.",
    "I am so happy to see you again!",
    "This makes me really angry, leave me alone.",
    "She was sad and nobody said a word.",
    "0123456789 bcfgjkmqvwxyz -'?",
)
NOTICE = "The weights are random: this bundle recognises nothing. It is for tests only."


def make_checkpoint(directory: Path) -> None:
    """Write the checkpoint the bundle is exported from."""
    model, _ = build_model(TINY, seed=SEED)
    tokenizer = build_tokenizer(SENTENCES, TINY.text.vocab_size)
    thresholds = [0.5] * len(TINY.labels)
    save_checkpoint(directory, model.eval(), tokenizer, thresholds, NOTICE, {"seed": str(SEED)})


def make_bundle(out: Path) -> None:
    """Export the bundle to ``out``, replacing the one that is there."""
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary) / "run"
        make_checkpoint(run)
        export_bundle(load_checkpoint(run), out, overwrite=True)


if __name__ == "__main__":
    default = Path(__file__).resolve().parent / "data" / "tiny-bundle"
    make_bundle(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
