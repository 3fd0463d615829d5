"""Which clips a network can decide on at all."""

from __future__ import annotations

from collections.abc import Sequence

from mer_edge.errors import MerEdgeError
from mer_edge.segments import MODALITIES
from train.prepare import ReadySample
from train.prepared import read_clip
from train.progress import Progress


def note_unusable(
    ready: Sequence[ReadySample], modalities: tuple[str, ...], progress: Progress
) -> int:
    """Tell of clips that have nothing of what the network decides by.

    They stay in every split, because a device meets them too: training learns nothing from them,
    and their probabilities are all 0.5.

    Args:
        modalities: by which the network decides.

    Returns:
        How many there are.

    Raises:
        MerEdgeError: in a split that is not empty there is no other clip.
    """
    if set(modalities) == set(MODALITIES):
        return 0  # a clip with nothing at all was never prepared
    lacking = [item for item in ready if not _has_any(item, modalities)]
    said = ", ".join(modalities)
    for split in ("train", "valid", "test"):
        clips = [item for item in ready if item.sample.split == split]
        empty = [item for item in lacking if item.sample.split == split]
        if clips and len(empty) == len(clips):
            raise MerEdgeError(
                f"none of the {len(clips)} clips of the split '{split}' has any of what this "
                f"variant decides by ({said}); expected some that do; choose another --variant"
            )
    if lacking:
        progress.note(
            f"{len(lacking)} of {len(ready)} clips have nothing of what this variant decides by "
            f"({said}), the first is {lacking[0].sample.id}: nothing is learned from them",
            warning=True,
        )
    return len(lacking)


def _has_any(item: ReadySample, modalities: tuple[str, ...]) -> bool:
    text = item.sample.text
    if "text" in modalities and text is not None and text.strip():
        return True
    if not {"audio", "visual"} & set(modalities):
        return False
    stored = read_clip(item.stored)
    heard = "audio" in modalities and bool(stored.audio_present.any())
    return heard or ("visual" in modalities and bool(stored.crops_present.any()))
