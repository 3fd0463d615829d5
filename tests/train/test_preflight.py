"""What is refused before any clip is prepared."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mer_edge.errors import MerEdgeError
from train.options import only_what_applies, options_for
from train.preflight import check_before_work

TINY = options_for("tiny")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"variant": "audio", "cross_modal": "mbt"}, "cross_modal is 'mbt'; expected 'none'"),
        ({"variant": "mer", "sem_attention": "key"}, "for the variant mer, which has no SEM"),
        ({"variant": "text", "modality_dropout": 0.1}, "decides by one modality"),
        ({"cache": Path("run/cache")}, r"run/cache: the run's cache is inside its --out run"),
        ({"teacher": Path("run/best")}, r"the run's teacher is inside its --out run"),
    ],
)
def test_options_that_cannot_work_are_told(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MerEdgeError, match=message):
        check_before_work(Path("data"), Path("run"), replace(TINY, **changes))


def test_data_inside_out_is_safe_from_it(tmp_path):
    for data in (tmp_path, tmp_path / "data"):
        with pytest.raises(MerEdgeError, match=re.escape(f"{data}: the run's data is inside")):
            check_before_work(data, tmp_path, TINY)
    check_before_work(tmp_path, tmp_path / "run", TINY)


def test_runs_that_share_their_options_keep_what_applies():
    shared = replace(TINY, bert="bert", vggish=Path("v"), resnet=Path("r"), modality_dropout=0.2)
    audio = only_what_applies(replace(shared, variant="audio", sem_attention="key"))
    assert (audio.bert, audio.vggish, audio.resnet) == (None, Path("v"), None)
    assert (audio.sem_attention, audio.modality_dropout) == (None, 0.0)
    text = only_what_applies(replace(shared, variant="text"))
    assert (text.bert, text.vggish, text.resnet) == ("bert", None, None)
    assert only_what_applies(shared) == shared
    impossible = replace(shared, variant="audio", cross_modal="mbt")
    assert only_what_applies(impossible) == impossible
