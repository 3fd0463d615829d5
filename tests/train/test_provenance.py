"""The fingerprint of a data set."""

from mer_edge.samples.sample import Sample
from train.provenance import fingerprint


def test_a_link_to_nothing_in_a_folder_of_frames_is_no_file(tmp_path):
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip/0.jpg").write_bytes(b"1234")
    samples = [Sample(media=tmp_path / "clip", text=None, labels=("sad",), split="train")]
    before = fingerprint(samples)
    (tmp_path / "clip/1.jpg").symlink_to(tmp_path / "nowhere")
    assert fingerprint(samples) == before
    (tmp_path / "clip/0.jpg").write_bytes(b"12345")
    assert fingerprint(samples) != before
