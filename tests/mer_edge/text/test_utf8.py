import pytest

from mer_edge.errors import MerEdgeError
from mer_edge.text.utf8 import has_words, one_spaced, read_utf8


def message(path, **options):
    with pytest.raises(MerEdgeError) as error:
        read_utf8(path, **options)
    return str(error.value)


@pytest.mark.parametrize("data", ["Grüße 👋".encode(), b"\xef\xbb\xbf" + "Grüße 👋".encode()])
def test_utf8_with_or_without_a_byte_order_mark_is_read(tmp_path, data):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    assert read_utf8(path) == "Grüße 👋"


def test_the_first_byte_that_is_not_utf8_is_named_with_its_offset_and_the_way_out(tmp_path):
    path = tmp_path / "a.srt"
    path.write_bytes("Grüße".encode() + b" caf\xe9 \xff")
    text = message(path)
    assert "byte 0xE9 at offset 11" in text
    assert "iconv -f WINDOWS-1252 -t UTF-8 a.srt > a.utf8.srt" in text


@pytest.mark.parametrize("encoding", ["UTF-16", "UTF-32"])
@pytest.mark.parametrize("order", ["LE", "BE"])
def test_utf16_and_utf32_are_named_as_such(tmp_path, encoding, order):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffhello".encode(f"{encoding}-{order}"))
    assert f"the file is {encoding};" in message(path)
    assert f"iconv -f {encoding} -t UTF-8 a.txt" in message(path)


def test_utf16_without_a_mark_is_not_taken_for_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("hello".encode("utf-16-le"))
    assert "byte 0x00 at offset 1" in message(path)


def test_a_file_above_the_limit_is_refused_and_one_at_the_limit_is_not(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 2000)
    assert len(read_utf8(path, max_bytes=2000)) == 2000
    assert "more than 0.001999 MB" in message(path, max_bytes=1999)


def test_ten_megabytes_are_the_limit(tmp_path):
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(10_000_001)  # sparse
    assert "more than 10 MB" in message(path)


def test_missing_empty_and_directory_are_told_apart(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "folder.txt").mkdir()
    assert "No such file" in message(tmp_path / "missing.txt")
    assert "empty (0 bytes)" in message(tmp_path / "empty.txt")
    assert "a directory" in message(tmp_path / "folder.txt")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a", True),
        ("…", True),
        ("👋", True),
        ("", False),
        (" \n\t", False),
        ("\u200b\ufeff", False),
    ],
)
def test_spaces_and_format_characters_are_no_words(text, words):
    assert has_words(text) is words


def test_white_space_becomes_one_space_and_nothing_visible_is_an_error():
    assert one_spaced(" a\r\n\tb\u00a0 c ", "--text") == "a b c"
    with pytest.raises(MerEdgeError, match=r"^--text: the text is empty"):
        one_spaced("\u200b \n", "--text")


def test_bytes_of_the_command_line_that_are_not_utf8_are_an_error():
    with pytest.raises(MerEdgeError, match=r"^--text: character 3 is no Unicode character"):
        one_spaced("caf\udce9", "--text")
