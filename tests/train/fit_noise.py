"""Trains a small model on noise and prints its curve; run by one process or by several.

python -m tests.train.fit_noise FOLDER [ARGUMENTS]

prints a line of JSON. With ARGUMENTS, ``mer-edge`` then runs with them in the same processes: to
start these costs more than what they do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from mer_edge.cli.main import main
from mer_edge.model.build import build_model
from tests.train.samples import CONFIG, LABELS, labelled_clip, prepared_clip
from train.collate import LabelledClip
from train.distributed import is_main_process, make_accelerator
from train.folder import Onlooker
from train.learner import Learner
from train.loop import Training, fit
from train.losses import positive_weights
from train.optimizer import make_optimizer
from train.options import TrainOptions
from train.progress import Silent
from train.setup import reproducible
from train.state import EpochRecord, Standing
from train.stopping import StopRequest

OPTIONS = TrainOptions(learning_rate=1e-3, batch_size=4, threads=1, epochs=3, patience_epochs=9)


def half_without_face(folder: Path) -> list[LabelledClip]:
    """Ten clips, so few with a face that some processes and some whole steps have none."""
    rng = np.random.default_rng(1)
    return [
        labelled_clip(
            folder,
            number,
            prepared_clip(rng, crops_present=np.full((2, 3), number in (0, 3, 4, 7, 9))),
            rng.integers(5, 40, 4),
        )
        for number in range(10)
    ]


def curve(clips: list[LabelledClip]) -> list[EpochRecord]:
    """The history of a run; every process of it has to call this."""
    targets = np.stack([clip.targets for clip in clips])
    with reproducible(OPTIONS):
        accelerator = make_accelerator(OPTIONS)
        model, _ = build_model(CONFIG, seed=0)
        learner = Learner(model, positive_weights(targets, LABELS), 0.5)
        optimizer = make_optimizer(learner, OPTIONS)
        standing = Standing()
        parts = (learner, optimizer, accelerator, OPTIONS, Silent(), Onlooker(), StopRequest())
        fit(Training(*parts), clips, clips, standing)
    return standing.history


if __name__ == "__main__":
    history = curve(half_without_face(Path(sys.argv[1])))
    if is_main_process():
        print(json.dumps([(record.train_loss, record.valid_loss) for record in history]))
    sys.exit(main(sys.argv[2:]) if sys.argv[2:] else 0)
