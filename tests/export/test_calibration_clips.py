"""Which clips of a data set an export is calibrated with and compared on."""

import json
from pathlib import Path

from export.calibration_clips import load_real_clips
from tests.runtime.media import tone_wav


def test_texts_alone_do_not_crowd_out_the_clips(tmp_path: Path) -> None:
    lines = [
        {"text": f"{split} {number}", "labels": ["happy"], "split": split}
        for split in ("train", "test")
        for number in range(300)
    ]
    for number in range(10):
        tone_wav(tmp_path / f"{number}.wav", 1.0)
        split = "train" if number < 9 else "test"
        media = {"media": f"{number}.wav", "text": None, "labels": ["happy"], "split": split}
        lines.append(media)
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = load_real_clips(tmp_path, 20, 0, None)
    assert len(found.calibrate) == 20
    assert sum(clip.has_audio for clip in found.calibrate) == 9
    assert sum(clip.text is not None for clip in found.calibrate) == 11
    assert sum(clip.has_audio for clip in found.compare) == 1
