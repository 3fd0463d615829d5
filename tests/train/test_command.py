"""``mer-edge train`` as a user meets it."""

import argparse
import importlib.util
import json
import subprocess
import sys

import pytest

from mer_edge.cli.main import main
from mer_edge.model.checkpoint import load_checkpoint
from train import command


def test_trains_and_names_the_next_command(drawn_data, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["train", str(drawn_data), "--preset", "tiny", "--out", str(out)]
    assert main([*arguments, "--epochs", "1", "--seed", "4", "--lr", "0.002"]) == 0
    shown = capsys.readouterr()
    assert "Adam at 0.002 falling to 0, batches of 4, at most 1 epochs, seed 4, on cpu" in shown.err
    assert "prepare" in shown.err
    assert "best epoch 1 of 1" in shown.out
    assert "test   4 clips: average F1" in shown.out
    assert shown.out.splitlines()[-2:] == [
        f"next: mer-edge evaluate {out}",
        f"      mer-edge export {out} --out {out}-bundle",
    ]
    assert load_checkpoint(out).provenance["train_seed"] == "4"


def test_json_is_the_report_and_nothing_else(drawn_data, tmp_path, capsys):
    out = tmp_path / "run"
    labels = "sad,happy,neutral,angry"
    arguments = ["train", str(drawn_data), "--preset", "tiny", "--out", str(out), "--epochs", "1"]
    assert main([*arguments, "--labels", labels, "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == json.loads((out / "report.json").read_text())
    assert json.loads(shown.out)["labels"] == labels.split(",")
    assert shown.err == ""


def test_quiet_prints_nothing(drawn_data, tmp_path, capsys):
    out = str(tmp_path / "run")
    arguments = ["train", str(drawn_data), "--preset", "tiny", "--out", out, "--epochs", "1"]
    assert main([*arguments, "--quiet"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--out", "run"], "nowhere: no such file; expected a data set's manifest"),
        (["DATA", "--out", "run", "--preset", "huge"], "unknown preset 'huge'; expected one of"),
        (["DATA", "--out", "run", "--epochs", "0"], "epochs is 0; expected at least 1"),
        (["DATA", "--out", "run", "--labels", "a,a"], "expected at least one name, each once"),
        (["DATA", "--out", "DATA"], "exists already; name another --out"),
        (["DATA", "--out", "DATA", "--overwrite"], "is not a training run"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments, message, drawn_data, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    filled = [str(drawn_data) if word == "DATA" else word for word in arguments]
    assert main(["train", *filled]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert list(tmp_path.iterdir()) == []
    assert (drawn_data / "manifest.jsonl").is_file()


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (["prepare", "DATA"], "filelock"),
        (["train", "DATA", "--out", "RUN"], "transformers"),
        (["evaluate", "RUN"], "sklearn"),
        (["ablate", "DATA", "--out", "OUT"], "accelerate"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(arguments, package, monkeypatch, capsys):
    original = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else original(name)
    )
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"error: mer-edge {arguments[0]} needs the package {package}, which is not installed; "
        "run: pip install 'mer-edge[train,cpu]'"
    )


def test_help_loads_no_torch():
    code = (
        "import sys, contextlib\n"
        "from mer_edge.cli.main import main\n"
        "with contextlib.suppress(SystemExit): main(['train', '--help'])\n"
        "heavy = {'torch', 'av', 'cv2', 'rich', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "--bert" in ran.stdout


@pytest.mark.parametrize(
    ("text", "expected"), [("none", ()), ("2,4", (2, 4)), ("", ()), (" 3 ", (3,))]
)
def test_positions_of_sems_may_be_none(text, expected):
    parser = argparse.ArgumentParser()
    command.configure(parser)
    given = parser.parse_args(["DATA", "--out", "RUN", "--audio-sem", text])
    assert given.audio_sem == expected


def test_positions_that_are_no_numbers_are_refused(capsys):
    parser = argparse.ArgumentParser()
    command.configure(parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["DATA", "--out", "RUN", "--audio-sem", "two"])
    assert "found two; expected numbers separated by commas, or none" in capsys.readouterr().err
