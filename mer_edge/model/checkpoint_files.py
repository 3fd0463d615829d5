"""Where a training run keeps its checkpoint, and under which names."""

from __future__ import annotations

from pathlib import Path

BEST = "best"
"""The directory inside a run that holds the best epoch's checkpoint."""
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"


def checkpoint_directory(directory: Path) -> Path:
    """``directory/best`` of a run; ``directory`` itself where it is the checkpoint."""
    best = directory / BEST
    return best if best.is_dir() else directory
