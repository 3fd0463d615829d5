"""Which clips of a source are worth keeping: those with something of what is wanted of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mer_edge.clip import PRESENT_AS, PreparedClip
from mer_edge.errors import MerEdgeError


def without_empty(
    path: Path, clips: Iterator[PreparedClip], wanted: tuple[str, ...], sound: str = "sound"
) -> Iterator[PreparedClip]:
    """Leave out windows without any of the wanted modalities; their neighbour's notes tell of them.

    Args:
        sound: what gives the sound a say, such as "voice".

    Raises:
        MerEdgeError: no clip of the source has any of them.
    """
    names = {**PRESENT_AS, "audio": sound}
    lacking = [f"no {names[name]}" for name in wanted]
    held: PreparedClip | None = None
    left_out: tuple[str, ...] = ()
    frames = 0
    try:
        for prepared in clips:
            clip = prepared.clip
            frames += prepared.crops_present.size
            if any(clip.has(name) for name in wanted):
                if held is not None:
                    yield held
                held, left_out = _noted(prepared, left_out), ()
                continue
            range_s = f"{clip.start_s:.2f} to {clip.end_s:.2f} s"
            note = f"{range_s} was left out: {', '.join(lacking)}."
            if held is None:
                left_out = (*left_out, note)
            else:
                held = _noted(held, (note,))
    except MerEdgeError:
        if held is not None:
            yield held
        raise
    if held is None:
        raise MerEdgeError(_nothing_wanted(path, frames, wanted, lacking))
    yield held


def _nothing_wanted(path: Path, frames: int, wanted: tuple[str, ...], lacking: list[str]) -> str:
    looked_at = "the one frame" if frames == 1 else f"any of {frames} frames"
    found = [f"no face in {looked_at} looked at" if name == "no face" else name for name in lacking]
    listed = " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)
    count = {1: "it", 2: "at least one of the two", 3: "at least one of the three"}[len(wanted)]
    words = "give the words with --text, or " if "text" in wanted else ""
    return f"{path}: {listed}; expected {count}; {words}choose another file"


def _noted(prepared: PreparedClip, notes: tuple[str, ...]) -> PreparedClip:
    clip = replace(prepared.clip, notes=(*prepared.clip.notes, *notes))
    return replace(prepared, clip=clip)
