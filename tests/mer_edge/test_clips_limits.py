"""What clips cost, what they leave behind, and real files."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mer_edge.clips import ClipOptions, load_clips
from mer_edge.errors import MerEdgeError
from tests.media_files import Voice, write_media


def test_memory_does_not_grow_with_the_length(tmp_path):
    """Two minutes of sound in windows: numpy's peak is that of a window, not of the file."""
    path = write_media(tmp_path / "a.flac", None, Voice("flac", 16_000, duration_s=120))
    peaks = []
    for count in (2, 24):
        tracemalloc.start()
        clips = load_clips(path, ClipOptions(window_s=4.8))
        for _ in range(count):
            next(clips)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        clips.close()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 8e6  # A window: 5 crops of 150 kB, 5 segments of 62 kB, a few times.


def test_closing_the_generator_closes_the_file(tmp_path):
    path = write_media(tmp_path / "a.flac", None, Voice("flac", 16_000, duration_s=60))
    clips = load_clips(path)
    next(clips)
    descriptors = [p.resolve() for p in Path("/proc/self/fd").iterdir() if p.exists()]
    assert path.resolve() in descriptors
    clips.close()
    descriptors = [p.resolve() for p in Path("/proc/self/fd").iterdir() if p.exists()]
    assert path.resolve() not in descriptors


def test_neither_torch_nor_transformers_is_loaded(tmp_path):
    path = write_media(tmp_path / "a.wav", None, Voice("pcm_s16le"))
    script = (
        "import sys; from mer_edge.clips import load_clips\n"
        "assert next(load_clips(sys.argv[1])).segments == 1\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)


DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CASES = DATA.parent / "cases"


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not here")
@pytest.mark.parametrize(
    ("name", "segments", "faces"),
    [
        ("clips/0Fi83BHQsMA_00002.mp4", 2, 2),
        ("clips/PbgB2TaYhio_00007.mp4", 1, 1),
        ("clips/M003_level_1_disgusted_015.mp4", 5, 5),
        ("clips/W023_level_2_surprised_010.mp4", 3, 3),
        ("clips/W036_level_3_happy_007.mp4", 3, 3),
        ("photos/pf_no_face.mp4", 4, 0),
        ("photos/pf_single_face.mp4", 3, 3),
        ("ravdess_av_actor01/mp4/01-01-01-01-01-01-01.mp4", 3, 3),
        ("ravdess_av_actor01/mp4/01-01-01-01-02-01-01.mp4", 3, 3),
        ("ravdess_audio/03-01-01-01-01-01-01.flac", 3, 0),
    ],
)
def test_real_files(name, segments, faces):
    (clip,) = load_clips(DATA / name)
    assert clip.segments == segments
    assert clip.face_present.sum() == faces
    assert clip.audio_present.all()
    assert 0.005 < np.abs(clip.waveform).max() <= 1


@pytest.mark.shared
@pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is not here")
@pytest.mark.parametrize("name", ["no_face_palm.mp4", "no_face_office.mp4"])
def test_real_files_with_what_only_looks_like_a_face(name):
    with pytest.raises(MerEdgeError, match="no face"):
        list(load_clips(CASES / name, ClipOptions(modalities=("visual",))))
