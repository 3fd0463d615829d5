"""The face encoder of the starter model: a narrow ResNet18 on FER+, at 112 px.

    python -m train.recipes.faces --data DATA --out RUNS --minutes 45

Most of the training sees small pictures, the end sees the size that the model is used at. The
average of the steps' weights is kept; nothing is selected. What is random follows from the seed
and the step, so that a run that was killed goes on to the same bits.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from mer_edge.errors import MerEdgeError
from mer_edge.files import new_directory, new_file
from mer_edge.model.config import VisualSizes
from mer_edge.model.resnet import CHANNELS_LAST_STEM, VisualEncoder
from mer_edge.model.sem import TextGuide
from train.progress import Lines, Progress, Silent
from train.recipes.corpora import LABELS
from train.recipes.face_framing import FaceChanges, changed, framed
from train.recipes.face_scores import measure
from train.recipes.ferplus import LabelledFaces, held_out, read_ferplus

RECORD_FILE = "faces.json"
WEIGHTS_FILE = "weights.safetensors"
"""Plain ResNet: what ``--resnet18`` takes."""
HEAD_FILE = "head.safetensors"
"""The keys of the fusion's ``visual_decision``: ``0.*`` and ``3.*``."""
STATE_FILE = "faces-state.pt"
STEPS_A_CHECKPOINT = 100
PICTURES_TO_LOOK_AT = 400
SIZES = VisualSizes((24, 48, 96, 192), pool=2)
"""Three eighths of ResNet18's width: 1.6 million parameters."""


@dataclass(frozen=True)
class Stage:
    """A part of the training with pictures of one size."""

    side_px: int
    """Of what the first convolution sees."""
    epochs: float
    """An epoch is as many pictures as the training part has, drawn with replacement."""
    scale: tuple[float, float]
    """Least and most share of the width that a FER+ picture takes. Small pictures show the face
    closely, so that little is spent on the background; the end has this project's framing, 0.69,
    in the midst."""


@dataclass(frozen=True)
class FacesSettings:
    """Everything that decides the result, the data aside."""

    sizes: VisualSizes = SIZES
    stages: tuple[Stage, ...] = (
        Stage(48, 5.3, (0.8, 1.0)),
        Stage(64, 5.8, (0.75, 1.0)),
        Stage(96, 2.1, (0.62, 1.1)),
        Stage(112, 1.3, (0.55, 1.0)),
    )
    batch_size: int = 64
    learning_rate: float = 2e-3
    """The highest, after ``warm_up``; it falls to 0 along a cosine."""
    warm_up: float = 0.03
    """Share of the training."""
    weight_decay: float = 0.03
    dropout: float = 0.2
    hidden_size: int = 64
    """Of the head: the model's bottleneck size, so that the head can start its decision."""
    label_smoothing: float = 0.05
    balance_power: float = 0.5
    """A picture is drawn in proportion to (1 / pictures of its class) to this power."""
    ema_decay: float = 0.995
    """A step."""
    held_out_share: float = 0.06
    """Of ``train.zip``, for the temperature; never trained on."""
    changes: FaceChanges = field(default_factory=FaceChanges)
    seed: int = 0


class FaceClassifier(nn.Module):
    """The encoder without text, and a head like the fusion's decision."""

    def __init__(self, settings: FacesSettings) -> None:
        super().__init__()
        self.encoder = VisualEncoder(settings.sizes, 1, (), "spatial")
        self.head = nn.Sequential(
            nn.Linear(settings.sizes.embedding_size, settings.hidden_size),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.hidden_size, len(LABELS)),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (B, 3, H, W) of any size -> logits (B, 7)."""
        maps = self.encoder.feature_maps(pixels, TextGuide(None))
        return self.head(maps[-1].mean(dim=(2, 3)))  # type: ignore[no-any-return]

    def decide(self, faces: Tensor) -> Tensor:
        """Faces (B, 224, 224, 3) uint8 -> logits (B, 7), the way the product goes."""
        return self.head(self.encoder(faces, TextGuide(None)))  # type: ignore[no-any-return]


def train_faces(
    data: Path,
    out: Path,
    settings: FacesSettings | None = None,
    progress: Progress | None = None,
    *,
    minutes: float | None = None,
) -> Path:
    """Train and measure; ``out/faces`` is then there, see the constants of this module.

    A run that was killed goes on after its last checkpoint; a finished one returns at once.

    Args:
        data: the folder of the corpora.
        minutes: end after so much time, the learning rate at 0, however many epochs that makes:
            each stage gets the share of the time that its epochs would get. None: the epochs.

    Raises:
        MerEdgeError: a corpus is missing, or ``out`` holds another run.
    """
    settings, progress = settings or FacesSettings(), progress or Silent()
    target = out / "faces"
    if (target / RECORD_FILE).is_file():
        progress.note(f"{target}: finished already")
        return target
    out.mkdir(parents=True, exist_ok=True)
    faces = read_ferplus(data, "train")
    training, kept = held_out(len(faces), settings.held_out_share, settings.seed)
    held = faces.chosen(kept)
    run = _Run(settings, faces.chosen(training))
    done = run.train(out / STATE_FILE, held, progress, minutes)
    figures = measure(run.average.eval().decide, held, data, progress)
    record = {
        "labels": LABELS,
        "settings": asdict(settings),
        "minutes": minutes,
        "epochs_done": {f"{side}px": epochs for side, epochs in done.items()},
        "pictures": {"train": len(training), "held_out": len(kept)},
        **figures,
    }
    with new_directory(target, "saving the face encoder") as temporary:
        _write(temporary, run.average, record)
    (out / STATE_FILE).unlink(missing_ok=True)
    return target


class Schedule:
    """Where in the training a step is: its size of picture and its learning rate.

    The position goes from 0 to 1: by the steps, each worth the pixels it sees; or, with
    ``minutes``, by the clock, from the position at which this process took up the run.
    """

    def __init__(
        self,
        settings: FacesSettings,
        pictures: int,
        minutes: float | None = None,
        start: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.minutes, self.start = settings, minutes, start
        self.clock, self.began = clock, clock()
        costs = [stage.epochs * stage.side_px**2 for stage in settings.stages]
        self.ends = np.cumsum(costs) / sum(costs)
        self.total = sum(costs) * pictures / settings.batch_size

    def after(self, position: float, stage: Stage) -> float:
        """The position after a step of ``stage``, begun at ``position``."""
        if self.minutes is None:
            return position + stage.side_px**2 / self.total
        done = (self.clock() - self.began) / (60.0 * self.minutes)
        return self.start + (1.0 - self.start) * done

    def stage(self, position: float) -> Stage:
        number = int(np.searchsorted(self.ends, position + 1e-9))
        return self.settings.stages[min(number, len(self.ends) - 1)]

    def learning_rate(self, position: float) -> float:
        warm_up = self.settings.warm_up
        if position < warm_up:
            return self.settings.learning_rate * (0.05 + 0.95 * position / warm_up)
        rest = min((position - warm_up) / (1.0 - warm_up), 1.0)
        return self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * rest))


class _Run:
    """Model, average and optimizer of one run."""

    def __init__(self, settings: FacesSettings, faces: LabelledFaces) -> None:
        self.settings, self.faces = settings, faces
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.model, self.average = FaceClassifier(settings), FaceClassifier(settings)
        self.average.load_state_dict(self.model.state_dict())
        wide = settings.sizes.channels[0] >= CHANNELS_LAST_STEM
        self.layout = torch.channels_last if wide else torch.contiguous_format
        self.model.to(memory_format=self.layout)  # type: ignore[call-overload]
        parameters = list(self.model.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.dim() > 1]},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        counts = np.bincount(faces.classes, minlength=len(LABELS)).clip(1)
        weights = counts[faces.classes] ** -settings.balance_power
        self.drawn = weights / weights.sum()
        smoothing = settings.label_smoothing
        self.targets = faces.shares * (1 - smoothing) + smoothing / len(LABELS)
        self.step_number, self.position = 0, 0.0
        self.pictures_seen: dict[int, int] = {}

    def train(
        self, file: Path, held: LabelledFaces, progress: Progress, minutes: float | None
    ) -> dict[int, float]:
        """Until the schedule's end; epochs done by size of the pictures, px."""
        self.restore(file)
        schedule = Schedule(self.settings, len(self.faces), minutes, self.position)
        some = held.chosen(np.arange(min(len(held), PICTURES_TO_LOOK_AT)))
        losses: list[float] = []
        while self.position < 1.0 - 1e-9:
            stage = schedule.stage(self.position)
            losses.append(self.step(stage, schedule.learning_rate(self.position)))
            self.position = schedule.after(self.position, stage)
            seen = self.pictures_seen
            seen[stage.side_px] = seen.get(stage.side_px, 0) + self.settings.batch_size
            if self.step_number % STEPS_A_CHECKPOINT == 0:
                self.save(file)
                loss = f"{stage.side_px} px, loss {np.mean(losses):.3f}"
                if self.step_number % (4 * STEPS_A_CHECKPOINT) == 0:
                    loss += f", some held out {self.accuracy(some, stage):.3f}"
                progress.step("faces", round(1000 * self.position), 1000, loss)
                losses.clear()
        return {side: count / len(self.faces) for side, count in self.pictures_seen.items()}

    def step(self, stage: Stage, learning_rate: float) -> float:
        """One step of the optimizer; its loss."""
        settings = self.settings
        rng = np.random.default_rng((settings.seed, self.step_number))
        rows = rng.choice(len(self.faces), settings.batch_size, p=self.drawn)
        side_px, scale = stage.side_px, stage.scale
        pictures = self.faces.pictures[rows]
        views = [changed(p, side_px, scale, settings.changes, rng) for p in pictures]
        pixels = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2)
        pixels = pixels.contiguous(memory_format=self.layout)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))  # for dropout
            logits = self.model.train()(pixels)
        loss = F.cross_entropy(logits, torch.from_numpy(self.targets[rows]))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.step_number += 1
        self._average()
        return float(loss.detach())

    @torch.no_grad()
    def _average(self) -> None:
        # Early on the average is short, so that the first weights do not linger in it.
        decay = min(self.settings.ema_decay, (1 + self.step_number) / (10 + self.step_number))
        current = self.model.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - decay)

    @torch.no_grad()
    def accuracy(self, faces: LabelledFaces, stage: Stage) -> float:
        """Of the average on faces of the stage's size and mean scale: to look at, no more."""
        scale = sum(stage.scale) / 2
        views = np.stack([framed(p, stage.side_px, "border", scale) for p in faces.pictures])
        network = self.average.eval()
        logits = network(network.encoder.normalize(torch.from_numpy(views)))
        return float((logits.argmax(1).numpy() == faces.classes).mean())

    def save(self, file: Path) -> None:
        state = {
            "settings": msgspec.json.encode(self.settings).decode(),
            "pictures": len(self.faces),
            "step": self.step_number,
            "position": self.position,
            "seen": self.pictures_seen,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with new_file(file, "saving the state of the face encoder") as temporary:
            torch.save(state, temporary)

    def restore(self, file: Path) -> None:
        """Go on from ``file``, if it is there."""
        if not file.is_file():
            return
        state = torch.load(file, map_location="cpu", weights_only=True)
        mine = msgspec.json.encode(self.settings).decode(), len(self.faces)
        if (state["settings"], state["pictures"]) != mine:
            raise MerEdgeError(
                f"{file}: the state of a run with other settings or data; expected this run's; "
                "name another --out or remove the file"
            )
        for name in ("model", "average", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.step_number, self.position = int(state["step"]), float(state["position"])
        self.pictures_seen = dict(state["seen"])


def _write(directory: Path, model: FaceClassifier, record: dict[str, Any]) -> None:
    for module, name in ((model.encoder.backbone, WEIGHTS_FILE), (model.head, HEAD_FILE)):
        tensors = {key: t.detach().contiguous() for key, t in module.state_dict().items()}
        save_file(tensors, directory / name)
    encoded = msgspec.json.format(msgspec.json.encode(record), indent=2)
    (directory / RECORD_FILE).write_bytes(encoded + b"\n")


def main() -> None:
    """Train with the settings of this file."""
    parser = argparse.ArgumentParser(prog="python -m train.recipes.faces", description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that has ferplus/")
    parser.add_argument("--out", type=Path, required=True, help="faces/ is made in it")
    parser.add_argument("--minutes", type=float, help="train so long, whatever epochs that makes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        train_faces(options.data, options.out, None, Lines(), minutes=options.minutes)
    except MerEdgeError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
