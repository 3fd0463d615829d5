"""What benchmarks/batch.py does with files: copies of real ones, whole commands, decoding alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from itertools import cycle, islice
from pathlib import Path

from mer_edge.clips import load_clips
from runtime.batch.pipeline import one_thread_each
from runtime.batch.sources import MEDIA_SUFFIXES
from runtime.recognizer import open_detector

WORDS = "Kids are talking by the door."


def copy_files(folders: list[Path], count: int, target: Path) -> Path | None:
    """``count`` files made of those of the folders, with words beside each."""
    found = [
        file
        for folder in folders
        for file in sorted(folder.iterdir())
        if file.suffix in MEDIA_SUFFIXES
    ]
    if not found:
        return None
    for number, file in enumerate(islice(cycle(found), count)):
        copy = target / f"{number:04}-{file.name}"
        shutil.copyfile(file, copy)
        copy.with_suffix(".txt").write_text(WORDS)
    return target


def infer_s(
    bundle: Path, files: Path, threads: int, *, folder: bool, workers: int | None = None
) -> None:
    """``mer-edge infer`` on the files named one by one, or on their folder."""
    named = [files] if folder else _media(files)
    command = [sys.executable, "-m", "mer_edge", "infer", str(bundle), *map(str, named), "--json"]
    command += ["--threads", str(threads)]
    if workers is not None:
        command += ["--workers", str(workers)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ran.stdout.count("\n") >= len(_media(files))


def decode_half(job: tuple[Path, int]) -> None:
    """Every second file; one of two processes."""
    files, half = job
    with one_thread_each():
        _decode(_media(files)[half::2])


def decode_all(files: Path, threads: int) -> None:
    """All files, shared out among threads of this process."""
    with one_thread_each():
        workers = [
            threading.Thread(target=_decode, args=(_media(files)[number::threads],))
            for number in range(threads)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def _decode(paths: list[Path]) -> None:
    detector = open_detector(None)
    for path in paths:
        for _ in load_clips(path, detector=detector):
            pass


def _media(files: Path) -> list[Path]:
    return sorted(file for file in files.iterdir() if file.suffix in MEDIA_SUFFIXES)
