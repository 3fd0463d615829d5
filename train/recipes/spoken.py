"""Written sentences made like those that a device meets: typed in haste, or heard by an ASR."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

NAMES = (
    "Anna", "Ben", "Carlos", "Chandler", "David", "Emily", "Grace", "James", "Joey", "John",
    "Julia", "Kevin", "Laura", "Maria", "Mike", "Monica", "Paul", "Peter", "Rachel", "Ross",
    "Sarah", "Steve", "Tom", "Wei",
)  # fmt: skip
"""What stands for the place holder [NAME] of GoEmotions."""
RELIGIONS = ("Christian", "Muslim", "Catholic", "Jewish", "Buddhist", "Hindu")


@dataclass(frozen=True)
class SpokenChanges:
    """Probabilities, each a sentence; the tokenizer does not see case."""

    fill_names: float = 0.7
    """[NAME] and [RELIGION] become a name and a religion."""
    no_punctuation: float = 0.25
    """All of it goes, but for apostrophes: what an ASR writes."""
    no_last_mark: float = 0.25
    """The marks at the end go."""
    no_apostrophes: float = 0.1
    """"don't" becomes "dont"."""
    other_apostrophes: float = 0.2
    """' becomes the curly one and the other way round."""


def spoken(text: str, changes: SpokenChanges, rng: np.random.Generator) -> str:
    """``text`` with random changes; never empty where it was not."""
    draws = rng.random(5)
    changed = text
    if draws[0] < changes.fill_names:
        changed = re.sub(r"\[NAME\]", lambda _: str(rng.choice(NAMES)), changed)
        changed = re.sub(r"\[RELIGION\]", lambda _: str(rng.choice(RELIGIONS)), changed)
    if draws[1] < changes.no_punctuation:
        changed = " ".join(re.sub(r"[^\w\s'\u2019]|_", " ", changed).split())
    elif draws[2] < changes.no_last_mark:
        changed = re.sub(r"[\s.,;:!?…]+$", "", changed)
    if draws[3] < changes.no_apostrophes:
        changed = re.sub(r"(?<=\w)['\u2019](?=\w)", "", changed)
    elif draws[4] < changes.other_apostrophes:
        changed = changed.translate(str.maketrans("'\u2019", "\u2019'"))
    return changed if any(c.isalnum() for c in changed) else text
