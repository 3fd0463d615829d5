"""The speech encoder of the starter model: a small levelled VGGish on RAVDESS and nEMO.

Trained with BatchNorm, which is folded away at the end. The epochs' exponential moving average is
what is kept; nothing is selected by the speakers that are held out. What is random follows from
the seed, the epoch and the clip, so that a run that was killed goes on to the same bits.
"""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from mer_edge.errors import MerEdgeError
from mer_edge.files import new_directory, new_file
from mer_edge.model.config import AudioSizes
from mer_edge.model.logmel import MEL_BANDS, LogMel
from mer_edge.model.vggish import Vggish
from train.progress import Progress, Silent
from train.recipes.corpora import LABELS, Recording, of_split, refuse_overlaps, speech_recordings
from train.recipes.speech_network import SpeechClassifier
from train.recipes.speech_scores import clip_logits, score
from train.recipes.speech_sounds import SoundChanges, read_sound, training_crop, trimmed
from train.recipes.temperature import fit_temperature

RECORD_FILE = "speech.json"
WEIGHTS_FILE = "weights.safetensors"
"""Plain VGGish: what ``--vggish`` takes."""
HEAD_FILE = "head.safetensors"
"""``weight`` (7, d) and ``bias`` (7,): the linear layer on the mean embedding."""
STATE_FILE = "speech-state.pt"
SIZES = AudioSizes((16, 32, 64, 128), 128, 128, level_dbfs=-20.0)


@dataclass(frozen=True)
class SpeechSettings:
    """Everything that decides the result, the data aside."""

    sizes: AudioSizes = SIZES
    epochs: int = 30
    clips_per_batch: int = 16
    segments_per_clip: int = 2
    learning_rate: float = 2e-3
    """The highest, after ``warm_up_epochs``; it falls to 0 along a cosine."""
    warm_up_epochs: int = 3
    weight_decay: float = 0.05
    dropout: float = 0.3
    label_smoothing: float = 0.1
    class_weight_power: float = 1.0
    """Loss weights: (1 / clips of this class in this corpus) to this power, their mean 1. By corpus
    as well, or a class that is rarer in one corpus is learned as a mark of the other."""
    mixup_probability: float = 0.1
    """That a batch is mixed in pairs."""
    mixup_alpha: float = 0.3
    """Of the beta distribution of the shares."""
    ema_decay: float = 0.99
    """A step."""
    mel_stretch: float = 0.08
    """The mel axis is stretched by up to this share, as by another vocal tract."""
    mel_shift_bands: float = 2.0
    """And moved, as by another pitch."""
    masked_bands: int = 6
    """SpecAugment: two bands of up to so many of the 64 mel bands ..."""
    masked_frames: int = 10
    """... and two spans of up to so many of the 96 frames are set to the segment's mean."""
    changes: SoundChanges = field(default_factory=SoundChanges)
    seed: int = 0


def train_speech(
    data: Path,
    out: Path,
    settings: SpeechSettings | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train and measure; ``out/speech`` is then there, see the constants of this module.

    A run that was killed goes on after its last whole epoch; a finished one returns at once.

    Args:
        data: the folder of the corpora.

    Raises:
        MerEdgeError: a corpus is missing, the lists overlap, or ``out`` holds another run.
    """
    settings, progress = settings or SpeechSettings(), progress or Silent()
    target = out / "speech"
    if (target / RECORD_FILE).is_file():
        progress.note(f"{target}: finished already")
        return target
    recordings = speech_recordings(data)
    model = train_classifier(recordings, out / STATE_FILE, settings, progress)
    encoder = model.trunk.folded()
    record = measure(encoder, model.head, recordings, settings)
    with new_directory(target, "saving the speech encoder") as temporary:
        _write(temporary, encoder, model.head, record)
    (out / STATE_FILE).unlink(missing_ok=True)
    return target


def train_classifier(
    recordings: Sequence[Recording], state_file: Path, settings: SpeechSettings, progress: Progress
) -> SpeechClassifier:
    """The average of the epochs, in evaluation mode, trained on the recordings' train split.

    Raises:
        MerEdgeError: a speaker is in two splits, or ``state_file`` is of another run.
    """
    refuse_overlaps(recordings)
    chosen = of_split(recordings, "train")
    sounds = [trimmed(read_sound(recording.path)) for recording in chosen]
    run = _Run(settings, chosen)
    start = run.restore(state_file)
    for epoch in range(start, settings.epochs):
        loss = run.epoch(epoch, sounds)
        run.save(state_file, epoch + 1)
        progress.step("speech", epoch + 1, settings.epochs, f"loss {loss:.3f}")
    return run.average.eval()


def measure(
    encoder: Vggish, head: nn.Linear, recordings: Sequence[Recording], settings: SpeechSettings
) -> dict[str, Any]:
    """Temperature from the calibration speakers, then the figures of every held-out set."""
    logits: dict[str, tuple[list[Recording], NDArray[np.float64]]] = {}
    for name, split, corpus in (
        ("calibration", "calibration", ""),
        ("ravdess calibration", "calibration", "ravdess"),
        ("nemo calibration", "calibration", "nemo"),
        ("ravdess test", "test", "ravdess"),
        ("nemo test", "test", "nemo"),
        ("emodb", "test", "emodb"),
    ):
        members = of_split(recordings, split, corpus)  # type: ignore[arg-type]
        if members:
            logits[name] = members, clip_logits(encoder, head, members, settings.sizes.level_dbfs)
    if "calibration" not in logits:
        raise MerEdgeError("no calibration speaker in the lists; expected at least one")
    members, found = logits["calibration"]
    truth = np.array([LABELS.index(recording.label) for recording in members])
    temperature = fit_temperature(found, truth)
    figures = {name: score(*found, temperature) for name, found in logits.items()}
    return {
        "labels": LABELS,
        "settings": asdict(settings),
        "temperature": temperature,
        "speakers": {
            split: sorted({r.speaker for r in recordings if r.split == split})
            for split in ("train", "calibration", "test")
        },
        "figures": figures,
    }


class _Run:
    """Model, average and optimizer of one run."""

    def __init__(self, settings: SpeechSettings, recordings: Sequence[Recording]) -> None:
        self.settings = settings
        self.labels = torch.tensor([LABELS.index(recording.label) for recording in recordings])
        self.clip_weights = clip_weights(recordings, settings.class_weight_power)
        self.logmel = LogMel(settings.sizes.level_dbfs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.model = SpeechClassifier(settings.sizes, len(LABELS), settings.dropout)
            self.average = SpeechClassifier(settings.sizes, len(LABELS), settings.dropout)
        self.average.load_state_dict(self.model.state_dict())
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        decayed = [p for p in self.model.parameters() if p.dim() > 1]
        others = [p for p in self.model.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
        )
        self.steps_per_epoch = max(1, len(recordings) // settings.clips_per_batch)

    def epoch(self, epoch: int, sounds: Sequence[NDArray[np.float32]]) -> float:
        """One pass over the clips; the mean loss."""
        with torch.random.fork_rng(devices=[]):
            rng = np.random.default_rng([self.settings.seed, epoch])
            torch.manual_seed(int(rng.integers(2**63)))
            self.model.train()
            losses = [
                self._step(epoch + step / self.steps_per_epoch, waveforms, mask, batch, rng)
                for step, (batch, waveforms, mask) in enumerate(self._batches(sounds, rng))
            ]
        return float(np.mean(losses))

    def _batches(
        self, sounds: Sequence[NDArray[np.float32]], rng: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Clips, their segments (B, K, 15600) and which are voiced (B, K)."""
        settings = self.settings
        order = rng.permutation(len(sounds))
        size = min(settings.clips_per_batch, len(sounds))
        for start in range(0, self.steps_per_epoch * size, size):
            batch = order[start : start + size]
            crops = [
                training_crop(sounds, int(i), settings.segments_per_clip, settings.changes, rng)
                for i in batch
            ]
            waveforms, masks = (np.stack(parts) for parts in zip(*crops, strict=True))
            yield torch.from_numpy(batch), torch.from_numpy(waveforms), torch.from_numpy(masks)

    def _step(
        self,
        position: float,
        waveforms: Tensor,
        mask: Tensor,
        batch: Tensor,
        rng: np.random.Generator,
    ) -> float:
        settings = self.settings
        log_mel = self.logmel(waveforms.flatten(0, 1)).unflatten(0, tuple(mask.shape))
        log_mel = spectrum_augmented(log_mel, settings, rng)
        targets = self._targets(batch)
        if rng.random() < settings.mixup_probability:
            share = rng.beta(settings.mixup_alpha, settings.mixup_alpha)
            other = torch.from_numpy(rng.permutation(len(batch)))
            log_mel = share * log_mel + (1 - share) * log_mel[other]
            targets = share * targets + (1 - share) * targets[other]
            mask = mask | mask[other]
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate(position, settings)
        loss = -(targets * F.log_softmax(self.model(log_mel, mask), 1)).sum(1).mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self._average()
        return float(loss.detach())

    def _targets(self, batch: Tensor) -> Tensor:
        """Smoothed and weighted, (B, 7)."""
        labels, smoothing = self.labels[batch], self.settings.label_smoothing
        sure = F.one_hot(labels, len(LABELS)).float()
        smoothed = sure * (1 - smoothing) + smoothing / len(LABELS)
        return smoothed * self.clip_weights[batch].unsqueeze(1)

    @torch.no_grad()
    def _average(self) -> None:
        current = self.model.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - self.settings.ema_decay)

    def save(self, file: Path, epoch: int) -> None:
        state = {
            "settings": msgspec.json.encode(self.settings).decode(),
            "clips": len(self.labels),
            "epoch": epoch,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with new_file(file, "saving the state of the speech encoder") as temporary:
            torch.save(state, temporary)

    def restore(self, file: Path) -> int:
        """Epochs that are done."""
        if not file.is_file():
            return 0
        state = torch.load(file, map_location="cpu", weights_only=True)
        mine = msgspec.json.encode(self.settings).decode(), len(self.labels)
        if (state["settings"], state["clips"]) != mine:
            raise MerEdgeError(
                f"{file}: the state of a run with other settings or data; expected this run's; "
                "name another --out or remove the file"
            )
        for name in ("model", "average", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        return int(state["epoch"])


def clip_weights(recordings: Sequence[Recording], power: float) -> Tensor:
    """(1 / clips of the same corpus and class) ** power, (clips,), scaled to a mean of 1."""
    counts = Counter((recording.corpus, recording.label) for recording in recordings)
    weights = torch.tensor([counts[r.corpus, r.label] ** -power for r in recordings])
    return weights / weights.mean()


def spectrum_augmented(
    log_mel: Tensor, settings: SpeechSettings, rng: np.random.Generator
) -> Tensor:
    """(B, K, 96, 64): the mel axis stretched and moved a clip, then bands and frames masked."""
    clips, segments, frames, bands = log_mel.shape
    stretch = 1 + rng.uniform(-settings.mel_stretch, settings.mel_stretch, clips)
    shift = rng.uniform(-settings.mel_shift_bands, settings.mel_shift_bands, clips)
    moves = np.arange(bands) * stretch[:, None] + shift[:, None]  # (B, 64), in bands
    places = torch.from_numpy(np.clip(moves, 0, MEL_BANDS - 1).astype(np.float32))
    low = places.floor().long().clamp(max=bands - 2)
    part = (places - low)[:, None, None, :]
    low = low[:, None, None, :].expand(clips, segments, frames, bands)
    moved = torch.lerp(log_mel.gather(3, low), log_mel.gather(3, low + 1), part)
    mean = moved.mean((2, 3), keepdim=True)
    hidden = torch.zeros_like(moved, dtype=torch.bool)
    for axis, most in ((3, settings.masked_bands), (2, settings.masked_frames)):
        length = moved.shape[axis]
        for _ in range(2):
            width = rng.integers(0, most, (clips, segments), endpoint=True)
            start = rng.integers(0, length - width + 1)
            cell = np.arange(length)
            span = torch.from_numpy(
                (cell >= start[..., None]) & (cell < (start + width)[..., None])
            )
            hidden |= span.unsqueeze(2 if axis == 3 else 3)
    return torch.where(hidden, mean, moved)


def _rate(position: float, settings: SpeechSettings) -> float:
    """Share of the learning rate after ``position`` epochs."""
    if position < settings.warm_up_epochs:
        return (position + 0.1) / (settings.warm_up_epochs + 0.1)
    done = (position - settings.warm_up_epochs) / (settings.epochs - settings.warm_up_epochs)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _write(directory: Path, encoder: Vggish, head: nn.Linear, record: dict[str, Any]) -> None:
    tensors = {name: t.detach().contiguous() for name, t in encoder.state_dict().items()}
    save_file(tensors, directory / WEIGHTS_FILE)
    save_file(
        {name: t.detach().contiguous() for name, t in head.state_dict().items()},
        directory / HEAD_FILE,
    )
    encoded = msgspec.json.format(msgspec.json.encode(record), indent=2)
    (directory / RECORD_FILE).write_bytes(encoded + b"\n")
    for name in (WEIGHTS_FILE, HEAD_FILE):  # safetensors makes files that only their owner may read
        shutil.copymode(directory / RECORD_FILE, directory / name)
