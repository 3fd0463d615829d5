"""What has to be installed for each of this stage's commands."""

from __future__ import annotations

EXTRA = "train,cpu"
"""With it all of them are."""
PREPARE = ("pyarrow", "filelock")
TRAIN = (*PREPARE, "torch", "torchvision", "transformers", "accelerate", "tensorboard")
EVALUATE = (*PREPARE, "torch", "torchvision", "transformers", "scipy", "sklearn", "matplotlib")
ABLATE = tuple(dict.fromkeys((*TRAIN, *EVALUATE)))
