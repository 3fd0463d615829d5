"""Sentences for the generated data set: what is said tells the emotion, or says nothing of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_edge.errors import MerEdgeError

EMOTIONS = ("angry", "happy", "neutral", "sad")

TOPICS = (
    "the train", "the garden", "my sister", "your letter", "the meeting", "my brother",
    "the dinner", "the holiday", "the school", "our team", "the phone", "the house",
    "the concert", "my neighbour", "the weather", "the journey", "the car", "our teacher",
    "the office", "the parcel",
)  # fmt: skip
"""What the sentences are about; none of them leans to an emotion."""

WORDS = {
    "angry": ("angry", "furious", "mad", "annoyed", "outraged", "disgusted"),
    "happy": ("happy", "glad", "delighted", "thrilled", "excited", "cheerful"),
    "sad": ("sad", "lonely", "heartbroken", "miserable", "gloomy", "hopeless"),
    "neutral": ("expected", "needed", "mentioned", "here", "away", "there"),
}
"""Adjectives that name the emotion, for ``{word}`` in the templates."""

TEMPLATES = {
    "angry": (
        "I am so {word} about {topic}",
        "{topic} makes me really {word}",
        "stop talking about {topic} right now",
        "how dare you ruin {topic} again",
        "this is unfair and {topic} is a disgrace",
        "I hate the way you treat {topic}",
        "shut up about {topic}, I am {word}",
        "who broke this, it is an insult to {topic}",
    ),
    "happy": (
        "I am so {word} about {topic}",
        "{topic} makes me really {word}",
        "I love {topic}, what a wonderful day",
        "{topic} is the best surprise ever",
        "hooray, {topic} is fantastic news",
        "we laughed and smiled about {topic}",
        "thank you, {topic} was lovely, I am {word}",
        "great fun, {topic} is just perfect",
    ),
    "sad": (
        "I am so {word} about {topic}",
        "{topic} makes me really {word}",
        "I miss {topic} and I cannot stop crying",
        "sorry, we lost {topic} for ever",
        "nothing helps, {topic} is gone",
        "I cried all night because of {topic}",
        "without {topic} I feel {word} and alone",
        "it hurts, {topic} will never come back",
    ),
    "neutral": (
        "{topic} is {word} at nine o'clock",
        "{topic} is usually {word} on Monday",
        "please write {topic} on the list",
        "{topic} is next to the second floor",
        "there are two reports about {topic}",
        "according to the schedule {topic} is {word}",
        "the number of {topic} is on page four",
        "we will discuss {topic} on Tuesday",
    ),
}
"""What is said when the words show the emotion."""

AMBIGUOUS_TEMPLATES = (
    "I have to tell you something about {topic}",
    "you will not believe it, it is about {topic}",
    "did you hear what happened with {topic}",
    "I thought about {topic} all day",
    "so that is how it is with {topic}",
    "tell me again about {topic}",
    "everybody is talking about {topic} today",
    "look at {topic}, just look at it",
    "I never expected this from {topic}",
    "and then {topic} was there again",
    "what do you say about {topic} now",
    "well, that was {topic}",
)
"""What anybody could say in any mood: only voice and face can tell."""


def sentences_of(emotion: str) -> tuple[str, ...]:
    """Every sentence that shows ``emotion``, each once, in a fixed order."""
    return _fill(TEMPLATES[emotion], WORDS[emotion])


def ambiguous_sentences() -> tuple[str, ...]:
    """Every sentence that fits all emotions alike."""
    return _fill(AMBIGUOUS_TEMPLATES, ())


@dataclass
class SentencePool:
    """Draws sentences of one split: none twice until all are used, none of another split's."""

    sentences: list[str]
    drawn: int = 0

    def draw(self) -> str:
        sentence = self.sentences[self.drawn % len(self.sentences)]
        self.drawn += 1
        return sentence


def split_pools(
    sentences: tuple[str, ...], shares: dict[str, float], rng: np.random.Generator
) -> dict[str, SentencePool]:
    """Deal the sentences out to the splits, in a random order, by their shares (sum 1).

    Raises:
        MerEdgeError: a split would get no sentence.
    """
    order = [sentences[i] for i in rng.permutation(len(sentences))]
    pools: dict[str, SentencePool] = {}
    start, reached = 0, 0.0
    for name, share in shares.items():
        reached += share
        end = round(reached * len(order))
        if end <= start:
            raise MerEdgeError(f"the split {name!r} gets no sentence; expected a larger share")
        pools[name] = SentencePool(order[start:end])
        start = end
    return pools


def _fill(templates: tuple[str, ...], words: tuple[str, ...]) -> tuple[str, ...]:
    filled: dict[str, None] = {}
    for template in templates:
        for word in words if "{word}" in template else ("",):
            for topic in TOPICS:
                sentence = template.format(word=word, topic=topic)
                filled[sentence[0].upper() + sentence[1:] + "."] = None
    return tuple(filled)
