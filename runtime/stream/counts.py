"""What happened to a stream that its user should know, in numbers and in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mer_edge.media.sound import CANCELLED_NOTE


@dataclass
class StreamCounts:
    """Totals since the stream began."""

    decisions: int = 0
    dropped_frames: int = 0
    """Frames that were to be looked at and were not, because inference was behind the source."""
    dropped_sound_s: float = 0.0
    """Sound that was left out because inference was far behind the source."""
    failed_packets: int = 0
    """Packets that could not be decoded."""
    flawed_frames: int = 0
    """Frames that the decoder marks as damaged."""
    reconnects: int = 0
    gap_s: float = 0.0
    """Stretches of the stream's time that have no decision because the source was away."""
    changes: int = 0
    """How often the picture's size or the sound's rate, format or layout changed."""
    slips: int = 0
    """How often sound was moved by more than 40 ms to where its time stamps say."""
    slipped_ms: float = 0.0
    """By how much altogether; later is positive."""
    jumps: int = 0
    """How often time stamps jumped by seconds, and were put together again."""
    drift_ms: float = 0.0
    """How far the pictures' clock has run from the sound's since the beginning."""
    realigned: int = 0
    """How often pictures were moved back to the sound because of that drift."""
    broken_samples: int = 0
    """Samples that were NaN or infinite, and are silence now."""
    cancelled: bool = False
    """Whether two channels cancelled each other somewhere, so that one of them was taken."""
    remarks: tuple[str, ...] = ()
    """What the offline readers say of a file, in sentences of their own."""

    def sentences(self) -> list[str]:
        """What went wrong so far, one sentence each; what did not is left out."""
        known = asdict(self)
        counted = [words.format(**known) for name, words in _SENTENCES.items() if known[name]]
        return [*counted, *self.remarks]

    def news_since(self, before: StreamCounts) -> list[str]:
        """The sentences of what has changed since ``before``."""
        known, old = asdict(self), asdict(before)
        counted = [
            words.format(**known) for name, words in _SENTENCES.items() if known[name] != old[name]
        ]
        return [*counted, *(remark for remark in self.remarks if remark not in before.remarks)]


_SENTENCES = {
    "dropped_frames": "{dropped_frames} frames to look at were dropped so far: inference is slower "
    "than the source.",
    "dropped_sound_s": "{dropped_sound_s:.2f} s of sound were dropped so far: inference is slower "
    "than the source.",
    "failed_packets": "{failed_packets} packets could not be decoded so far.",
    "flawed_frames": "{flawed_frames} frames are damaged so far.",
    "reconnects": "The source was lost and found again {reconnects} times so far; {gap_s:.1f} s "
    "are missing.",
    "changes": "The picture's size or the sound's format changed {changes} times so far.",
    "slips": "The sound was moved to its time stamps {slips} times so far, by {slipped_ms:+.0f} ms "
    "altogether.",
    "jumps": "The time stamps jumped {jumps} times so far and were put together again.",
    "realigned": "The pictures were moved back to the sound {realigned} times so far: the two "
    "clocks drift.",
    "cancelled": CANCELLED_NOTE,
    "broken_samples": "{broken_samples} samples are NaN or infinite so far and count as silence.",
}
