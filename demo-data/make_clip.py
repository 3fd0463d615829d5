"""Make ``portrait.mp4``, the clip of ``make demo``: a photograph, panned and zoomed, and a voice.

    pip install --no-deps scikit-image
    apt-get install espeak-ng
    PYTHONPATH=. python demo-data/make_clip.py

The wheel of scikit-image carries the photograph. Where it and the voice come from and on which
terms: ``README.md`` here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.segments import SAMPLE_RATE_HZ
from train.datasets.encode import write_mp4

HERE = Path(__file__).parent
PHOTOGRAPH = "astronaut.png"
PHOTOGRAPH_SHA256 = "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"
WORDS = (HERE / "portrait.txt").read_text(encoding="utf-8").strip()
VOICE = ["-v", "en-us+f3", "-s", "175", "-p", "62"]
"""Of eSpeak NG: American English, a woman's, 175 words a minute, a little higher than usual."""
WIDTH_PX, HEIGHT_PX = 640, 360
FRAMES, FRAME_RATE_HZ = 72, 25
"""2.88 s: three segments of 0.96 s."""
START, END = (232.0, 148.0, 400.0), (226.0, 132.0, 280.0)
"""Middle of the view in the photograph (x, y) and its width, in px: from the bust to the face."""


def main() -> None:
    picture = read_photograph()
    sound = speak(WORDS, round(SAMPLE_RATE_HZ * FRAMES / FRAME_RATE_HZ))
    frames = (view(picture, number / (FRAMES - 1)) for number in range(FRAMES))
    write_mp4(HERE / "portrait.mp4", frames, FRAME_RATE_HZ, sound)


def read_photograph() -> NDArray[np.uint8]:
    """(512, 512, 3) RGB.

    Raises:
        SystemExit: it is not the photograph whose terms are written down.
    """
    package = importlib.util.find_spec("skimage")  # not imported: its dependencies are not needed
    if package is None or not package.submodule_search_locations:
        raise SystemExit("run: pip install --no-deps scikit-image")
    file = Path(package.submodule_search_locations[0]) / "data" / PHOTOGRAPH
    if hashlib.sha256(file.read_bytes()).hexdigest() != PHOTOGRAPH_SHA256:
        raise SystemExit(f"{file}: another picture than the one that {HERE}/README.md speaks of")
    return cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB).astype(np.uint8)


def view(picture: NDArray[np.uint8], moment: float) -> NDArray[np.uint8]:
    """What the camera sees at ``moment`` from 0 to 1: (360, 640, 3) RGB."""
    moment = moment * moment * (3 - 2 * moment)  # begins and ends slowly
    x, y, width = (a + (b - a) * moment for a, b in zip(START, END, strict=True))
    scale = WIDTH_PX / width
    moved = np.array([[scale, 0, WIDTH_PX / 2 - scale * x], [0, scale, HEIGHT_PX / 2 - scale * y]])
    shown = cv2.warpAffine(picture, moved, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_CUBIC)
    return shown.astype(np.uint8)


def speak(words: str, samples: int) -> NDArray[np.float32]:
    """The words in the middle of ``samples`` samples of silence, 16 kHz in [-1, 1]."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "voice.wav"
        subprocess.run(["espeak-ng", *VOICE, "-w", str(file), words], check=True)
        resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE_HZ)
        with av.open(str(file)) as spoken:
            frames = [*spoken.decode(audio=0), None]
            parts = [part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)]
    voice = np.concatenate(parts).astype(np.float32)
    if len(voice) > samples:
        raise SystemExit(f"the words last {len(voice) / SAMPLE_RATE_HZ:.2f} s: too long")
    silence = np.zeros(samples, np.float32)
    first = (samples - len(voice)) // 2
    silence[first : first + len(voice)] = voice
    return silence


if __name__ == "__main__":
    main()
