"""``mer-edge prepare`` as a user meets it."""

import json
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from mer_edge.cli.main import main
from mer_edge.samples.sample import Sample
from train import preparation
from train.datasets.registry import DataSet
from train.preparation import prepare_data
from train.preparation_table import print_preparation
from train.progress import Silent


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory):
    return tmp_path_factory.mktemp("store")


def with_a_bad_clip(folder):
    (folder / "bad.mp4").touch()
    with (folder / "manifest.jsonl").open("a") as manifest:
        line = {"media": "bad.mp4", "text": None, "labels": ["sad"], "split": "test"}
        manifest.write(json.dumps(line) + "\n")
    return folder


def test_counts_labels_and_lists_what_failed(few_clips, store, capsys):
    data = with_a_bad_clip(few_clips)
    arguments = ["prepare", str(data), "--cache", str(store), "--crops", "1", "--workers", "1"]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    rows = {}
    for line in shown.out.splitlines():
        cells = [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]
        if len(cells) == 4:
            rows[cells[0]] = cells[1:]
    assert rows["clips of"] == ["train", "valid", "test"]
    assert rows["sad"] == ["2", "1", "2"]
    assert rows["happy"] == ["2", "1", "1"]
    assert rows["all"] == ["8", "4", "5"]
    assert rows["prepared"] == ["8", "4", "4"]
    reason = f"bad (test): {data / 'bad.mp4'}: the file is empty (0 bytes)"
    assert reason in shown.out
    assert "prepare" in shown.err
    assert shown.out.splitlines()[-1] == f"next: mer-edge train {data} --cache {store} --out run"
    (failed,) = json.loads((store / "failed.json").read_text())
    assert failed["clip"] == "bad"
    assert failed["split"] == "test"
    assert "0 bytes" in failed["reason"]


def test_json_is_one_object_and_what_is_mended_is_off_the_list(few_clips, store, capsys):
    arguments = ["prepare", str(few_clips), "--cache", str(store), "--crops", "1", "--json"]
    assert main([*arguments, "--labels", "sad,neutral,happy,angry"]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert shown.err == ""
    assert found["labels"] == ["sad", "neutral", "happy", "angry"]
    assert found["splits"]["valid"] == {
        "clips": 4,
        "prepared": 4,
        "labels": {"sad": 1, "neutral": 1, "happy": 1, "angry": 1},
        "published": None,
    }
    assert found["failed"] == json.loads((store / "failed.json").read_text()) == []


def test_counts_stand_beside_the_published_ones(drawn_data, tmp_path, monkeypatch):
    samples = [Sample(drawn_data / "clips" / "gone.mp4", None, ("sad",), "valid")]
    for clip in sorted((drawn_data / "clips").glob("*.mp4"))[:2]:
        samples.append(Sample(clip, "Well.", ("sad",), "train"))
    published = {"train": {"sad": 2, "clips": 3}}
    dataset = DataSet("known", samples, ("sad",), ("Be careful.",), published)
    monkeypatch.setattr(preparation, "open_dataset", lambda path, options: dataset)
    found = prepare_data(drawn_data, None, Silent(), store=tmp_path / "store", crops_per_segment=1)
    sentence = "The split train differs from the published one: 2 clips (published: 3)."
    assert found.differences == (sentence,)
    assert found.notes == ("Be careful.",)
    assert found.splits["train"].published == {"sad": 2, "clips": 3}
    assert found.splits["valid"].prepared == 0
    shown = StringIO()
    print_preparation(found, Console(file=shown, width=100))
    lines = [line.replace(" ", "") for line in shown.getvalue().splitlines()]
    assert "│sad│2│2│1│" in lines
    assert "│all│2│≠3│1│" in lines
    assert f"note: {sentence}" in shown.getvalue()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such file; expected a data set's manifest"),
        (["DATA", "--crops", "2"], "found --crops 2; expected an odd number"),
        (["DATA", "--workers", "0"], "found --workers 0; expected at least 1"),
        (["DATA", "--labels", "sad,sad"], "expected names, each once; mend --labels"),
        (["DATA", "--labels", "sad"], "unknown label"),
        (["DATA", "--dataset", "huge"], "unknown data set 'huge'"),
        (["BAD"], "none of 1 clips can be prepared; expected at least one; the first:"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, few_clips, tmp_path, capsys):
    bad = tmp_path / "all bad"
    bad.mkdir()
    with_a_bad_clip(bad)
    places = {"DATA": str(few_clips), "BAD": str(bad)}
    assert main(["prepare", *(places.get(word, word) for word in arguments), "--quiet"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_help_is_light():
    code = (
        "import sys, contextlib\n"
        "from mer_edge.cli.main import main\n"
        "with contextlib.suppress(SystemExit): main(['prepare', '--help'])\n"
        "heavy = {'torch', 'av', 'cv2', 'pyarrow', 'rich', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "--crops" in ran.stdout


def test_preparing_needs_no_torch():
    script = (
        "import sys, train.preparation, train.preparation_table, train.prepare_pool\n"
        "assert 'torch' not in sys.modules\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
