"""Media files with subtitle streams, muxed here by PyAV."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.subtitles.subtitle import SubtitleSet

ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@pytest.fixture
def mux(tmp_path):
    """Returns ``mux(name, *tracks, sound_s, start_s)``: a file with one subtitle stream a track.

    A track is ``(codec, cues)`` or ``(codec, cues, is_default)``; a cue is
    ``(start_ms, end_ms, SubStation text)``, or raw ``bytes`` for the text to go in as they are.
    The sound is silence from ``start_s`` on, on the container's clock.
    """

    def make(name, *tracks, sound_s=8.0, start_s=0.0):
        path = tmp_path / name
        with av.open(str(path), "w") as out:
            streams = [(_subtitle_stream(out, *track), track[1]) for track in tracks]
            codec = "libopus" if name.endswith(".webm") else "aac"
            sound = out.add_stream(codec, rate=16000, layout="mono")
            packets = [p for stream, cues in streams for p in _subtitle_packets(stream, cues)]
            packets += _sound_packets(sound, sound_s, start_s)
            for packet in sorted(packets, key=lambda p: p.pts * p.time_base):
                out.mux(packet)
        return path

    return make


def _subtitle_stream(out, codec, _cues, is_default=False):
    stream = out.add_stream(codec)
    if codec != "dvd_subtitle":
        stream.codec_context.subtitle_header = ASS_HEADER
    stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
    stream.disposition = av.stream.Disposition.default if is_default else 0
    return stream


def _subtitle_packets(stream, cues):
    for start_ms, end_ms, text in cues:
        if isinstance(text, bytes):
            packet = av.Packet(text)
        else:
            dialogue = f"0,0,Default,,0,0,0,,{text}".encode()
            subtitle = SubtitleSet.create(dialogue, 0, max(end_ms - start_ms, 0), start_ms)
            packet = stream.codec_context.encode_subtitle(subtitle)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = start_ms
        packet.duration = end_ms - start_ms
        yield packet


def _sound_packets(stream, sound_s, start_s):
    samples = np.zeros((1, int(sound_s * 16000)), np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
    frame.sample_rate = 16000
    frame.pts, frame.time_base = int(start_s * 16000), Fraction(1, 16000)
    return [p for f in (frame, None) for p in stream.encode(f)]
