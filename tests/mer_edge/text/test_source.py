import pytest

from mer_edge.errors import MerEdgeError
from mer_edge.text.source import TextFound, TextOptions, find_text
from mer_edge.text.subtitles import Utterance

SRT = "1\n00:00:01,000 --> 00:00:02,000\nfrom srt\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:02.000\nfrom vtt\n"
EMBEDDED = ("mov_text", [(1000, 2000, "embedded")])


def utterance(text):
    return (Utterance(1.0, 2.0, text),)


def find(media, **options):
    return find_text(media, TextOptions(**options), None)


def test_what_the_user_says_comes_before_what_lies_there(mux, tmp_path):
    clip = mux("clip.mp4", EMBEDDED)
    (tmp_path / "clip.srt").write_text(SRT)
    (tmp_path / "other.txt").write_text("from\nother file\n")
    assert find(clip, no_text=True) == TextFound(None, None, "none")
    assert find(clip, text=" what I\nsay ") == TextFound("what I say", None, "--text")
    named = find(clip, text_file=tmp_path / "other.txt")
    assert named == TextFound("from other file", None, "other.txt")


def test_the_order_of_what_lies_beside_and_inside(mux, tmp_path):
    clip = mux("clip.mp4", EMBEDDED)
    (tmp_path / "other.srt").write_text(SRT)  # another clip's
    assert find(clip) == TextFound(None, utterance("embedded"), "embedded subtitles")
    (tmp_path / "clip.TXT").write_text("from txt")
    assert find(clip) == TextFound("from txt", None, "clip.TXT")
    (tmp_path / "clip.vtt").write_text(VTT)
    assert find(clip) == TextFound(None, utterance("from vtt"), "clip.vtt")
    (tmp_path / "clip.srt").write_text(SRT)
    assert find(clip) == TextFound(None, utterance("from srt"), "clip.srt")


def test_nothing_anywhere_is_no_text(mux):
    assert find(mux("clip.mp4")) == TextFound(None, None, "none")


def test_the_only_text_file_in_a_directory_of_frames(tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    assert find(frames) == TextFound(None, None, "none")
    (frames / "said.txt").write_text("hello")
    (frames / "._said.txt").write_bytes(b"\x00\x05")  # macOS leaves these beside copies
    assert find(frames) == TextFound("hello", None, "said.txt")
    (frames / "more.srt").write_text(SRT)
    with pytest.raises(MerEdgeError, match=r"2 text files \(more.srt, said.txt\).*--text-file"):
        find(frames)
    assert find(frames, text_file=frames / "more.srt").utterances == utterance("from srt")


@pytest.mark.parametrize(
    "options",
    [
        {"text": "a", "no_text": True},
        {"text": "", "asr_model": "model"},
        {"text_file": "a.srt", "asr_model": "model"},
    ],
)
def test_conflicting_options_are_named(options):
    with pytest.raises(MerEdgeError) as error:
        TextOptions(**options)
    flags = {"text": "--text", "no_text": "--no-text", "asr_model": "--asr"}
    flags["text_file"] = "--text-file"
    for option in options:
        assert flags[option] in str(error.value)
    assert "leave out all but one" in str(error.value)


@pytest.mark.parametrize("text", ["", " \n", "\u200b"])
def test_empty_text_is_an_error_that_names_where_it_came_from(mux, tmp_path, text):
    clip = mux("clip.mp4")
    with pytest.raises(MerEdgeError, match=r"^--text: the text is empty"):
        find(clip, text=text)
    (tmp_path / "clip.txt").write_text(text)
    with pytest.raises(MerEdgeError, match=r"clip.txt: the (text|file) is empty"):
        find(clip)
    with pytest.raises(MerEdgeError, match=r"clip.txt: the (text|file) is empty"):
        find(clip, text_file=tmp_path / "clip.txt")


def test_a_text_file_must_exist_and_be_of_a_known_kind(mux, tmp_path):
    clip = mux("clip.mp4")
    with pytest.raises(MerEdgeError, match=r"gone.srt: cannot be read \(No such file"):
        find(clip, text_file=tmp_path / "gone.srt")
    with pytest.raises(MerEdgeError, match=r"'.docx'; expected one of .srt, .vtt, .txt"):
        find(clip, text_file=tmp_path / "talk.docx")


def test_bad_files_beside_a_clip_are_errors_not_skipped(mux, tmp_path):
    clip = mux("clip.mp4", EMBEDDED)
    (tmp_path / "clip.txt").write_bytes(b"caf\xe9")
    with pytest.raises(MerEdgeError, match="byte 0xE9 at offset 3"):
        find(clip)
    (tmp_path / "clip.srt").write_text("no cue here")
    with pytest.raises(MerEdgeError, match=r"clip.srt: no cue"):
        find(clip)


def test_a_wrong_model_directory_is_an_error_without_sound_too(mux, tmp_path):
    with pytest.raises(MerEdgeError, match="no such directory"):
        find(mux("clip.mp4"), asr_model=tmp_path / "model")


def test_the_sound_is_not_read_unless_it_is_transcribed(mux):
    def waveform():
        raise AssertionError("read")

    clip = mux("clip.mp4", EMBEDDED)
    for options in ({"text": "a"}, {"no_text": True}, {}):
        find_text(clip, TextOptions(**options), waveform)
