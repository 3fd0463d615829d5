import gc
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from mer_edge.clips import load_clips, prepare_clips
from mer_edge.errors import MerEdgeError
from mer_edge.media import ahead
from mer_edge.media.ahead import beside, read_ahead
from mer_edge.media.decode import decode_threads, set_decode_threads
from mer_edge.media.stopping import check_stopped
from tests.grey_detector import Grey
from tests.media_files import Picture, Voice, damage, write_media


@pytest.fixture(autouse=True)
def _threads_as_in_a_new_process():
    before = decode_threads()
    set_decode_threads(0)
    yield
    set_decode_threads(before)


@pytest.fixture
def one_thread(_threads_as_in_a_new_process):
    set_decode_threads(1)


def ahead_threads() -> int:
    return sum(thread.name == "read-ahead" for thread in threading.enumerate())


def wait_until(condition, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.mark.parametrize("depth", [1, 3])
def test_items_come_in_order_and_only_so_many_ahead(depth):
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    taken = []
    for item in read_ahead(items(), depth):
        taken.append(item)
        wait_until(lambda: len(made) == min(10, len(taken) + depth))
        time.sleep(0.02)
        assert len(made) == min(10, len(taken) + depth)
    assert taken == list(range(10))
    assert ahead_threads() == 0


def failing() -> Iterator[int]:
    yield 1
    raise MerEdgeError("the third packet is missing")


def test_an_error_comes_after_what_was_made_and_says_where_it_was():
    items = read_ahead(failing(), 5)
    assert next(items) == 1
    with pytest.raises(MerEdgeError, match="third packet") as caught:
        next(items)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "failing"
    assert next(items, None) is None


def test_closing_stops_the_thread_where_it_checks_and_closes_the_items():
    events = []

    def endless() -> Iterator[int]:
        try:
            yield 1
            while True:
                check_stopped()
                time.sleep(0.001)
        finally:
            events.append(threading.current_thread().name)

    items = read_ahead(endless())
    assert next(items) == 1
    items.close()
    assert events == ["read-ahead"]
    assert ahead_threads() == 0


def test_a_thread_inside_a_thread_stops_with_it():
    def inner() -> Iterator[int]:
        while True:
            check_stopped()
            time.sleep(0.001)
        yield 1

    def outer() -> Iterator[int]:
        yield 1
        with closing(read_ahead(inner())) as items:
            yield from items

    items = read_ahead(outer())
    assert next(items) == 1
    wait_until(lambda: ahead_threads() == 2)
    items.close()
    assert ahead_threads() == 0


def test_a_generator_that_is_dropped_leaves_no_thread():
    items = read_ahead(iter(range(100)))
    assert next(items) == 0
    del items
    gc.collect()
    assert ahead_threads() == 0


def test_one_decoding_thread_means_no_thread_at_all(one_thread):
    names = set(read_ahead(threading.current_thread().name for _ in range(3)))
    with beside(lambda: threading.current_thread().name) as name_of:
        names.add(name_of())
    assert names == {threading.main_thread().name}


def test_beside_gives_its_result_twice_and_its_error():
    with beside(threading.get_ident) as ident_of:
        assert ident_of() == ident_of() != threading.get_ident()

    def fail() -> int:
        raise MerEdgeError("no sound")

    with beside(fail) as never, pytest.raises(MerEdgeError, match="no sound"):
        never()
    assert ahead_threads() == 0


def grey_voice_file(path, frames=100):
    draw = lambda number, time_s, size: np.full((size[1], size[0], 3), 40 + number, np.uint8)  # noqa: E731
    return write_media(path, Picture(frames=frames, draw=draw), Voice(duration_s=frames / 25))


def test_clips_are_the_same_with_and_without_threads(tmp_path, one_thread):
    path = grey_voice_file(tmp_path / "a.mp4")
    (tmp_path / "a.srt").write_text(
        "1\n00:00:00,100 --> 00:00:01,900\nOne.\n\n2\n00:00:02,000 --> 00:00:03,950\nTwo.\n"
    )
    alone = list(prepare_clips(path, detector=Grey(), crops_per_segment=3))
    set_decode_threads(0)
    threaded = list(read_ahead(prepare_clips(path, detector=Grey(), crops_per_segment=3)))
    assert len(alone) == len(threaded) == 2
    for one, other in zip(alone, threaded, strict=True):
        assert np.array_equal(one.crops, other.crops)
        assert np.array_equal(one.clip.waveform, other.clip.waveform)
        assert one.clip.notes == other.clip.notes


def test_a_corrupt_packet_in_the_middle_is_noted_and_the_rest_recognised(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (100, 120, 160, 3)).astype(np.uint8)
    picture = Picture(frames=100, draw=lambda number, time_s, size: noise[number])
    path = write_media(tmp_path / "a.mp4", picture, Voice(duration_s=4.0))
    damage(path, 0.5, 0.52)
    (clip,) = read_ahead(load_clips(path, detector=Grey()))
    assert clip.audio_present.all()
    assert any("video packets could not be decoded" in note for note in clip.notes)


INTERRUPTED = """
import sys, time
from pathlib import Path
from mer_edge.clips import ClipOptions, load_clips
from mer_edge.media.ahead import read_ahead
try:
    for clip in read_ahead(load_clips(Path(sys.argv[1]), ClipOptions(window_s=0.96))):
        print(clip.start_s, flush=True)
        for _ in range(3000):  # not one long sleep: a signal just before it would not end it
            time.sleep(0.01)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


def test_ctrl_c_ends_the_process_at_once(tmp_path):
    path = grey_voice_file(tmp_path / "a.mp4", frames=200)
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Who is started in the background by a shell ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "0.0"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out.strip(), err) == (130, "interrupted", "")


def test_ctrl_c_before_the_thread_begins_leaves_nothing_to_wait_for(monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    running = set(ahead._running)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(
            KeyboardInterrupt
        ) as held:  # which holds the worker, as a traceback does
            ahead._Worker(iter([1]), 1)
    (worker,) = set(ahead._running) - running
    worker.stop()
    assert held.value is not None
