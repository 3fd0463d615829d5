"""Decoding on a device, as far as it can be tried without one: errors, never the CPU instead."""

import pytest
from av.codec.hwaccel import hwdevices_available

from mer_edge.clips import ClipOptions, load_clips
from mer_edge.errors import MerEdgeError
from mer_edge.media import hardware
from tests.grey_detector import Grey
from tests.media_files import Picture, Voice, write_media


def test_a_kind_that_ffmpeg_was_not_built_for_is_refused_at_once():
    with pytest.raises(MerEdgeError, match=r"--hwaccel abacus; expected a kind of device"):
        ClipOptions(hwaccel="abacus")


def test_a_codec_that_the_device_does_not_decode_is_an_error(tmp_path):
    kind = hwdevices_available()[0]
    path = write_media(tmp_path / "a.mkv", Picture("ffv1"))
    with pytest.raises(MerEdgeError, match=f"--hwaccel {kind}.*leave --hwaccel out"):
        list(load_clips(path, ClipOptions(hwaccel=kind), detector=Grey()))


def test_a_device_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(1, "Operation not permitted")

    kind = hwdevices_available()[0]
    path = write_media(tmp_path / "a.mp4", Picture())
    monkeypatch.setattr(hardware.av, "open", refuse)
    with pytest.raises(MerEdgeError, match=rf"--hwaccel {kind} \(Operation not permitted\)"):
        hardware.open_on_device(path, kind)


def test_where_there_is_no_video_it_is_refused(tmp_path):
    kind = hwdevices_available()[0]
    path = write_media(tmp_path / "a.m4a", None, Voice(duration_s=1.0))
    with pytest.raises(MerEdgeError, match=f"--hwaccel {kind} for a file without a picture"):
        list(load_clips(path, ClipOptions(hwaccel=kind), detector=Grey()))
    with pytest.raises(MerEdgeError, match=f"--hwaccel {kind} for a directory of frames"):
        list(load_clips(tmp_path, ClipOptions(hwaccel=kind), detector=Grey()))
    with pytest.raises(MerEdgeError, match="found --hwaccel where no faces are looked for"):
        ClipOptions(hwaccel=kind, modalities=("audio",))
