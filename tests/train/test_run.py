"""Whole runs on a small generated data set: what is left behind, repeated, refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mer_edge.errors import MerEdgeError
from mer_edge.model.build import build_model
from mer_edge.model.checkpoint import load_checkpoint
from mer_edge.model.config import PRESETS
from train import loop, run
from train.command import summary
from train.datasets.tokenizer import build_tokenizer
from train.evaluation.trained import trained_on
from train.options import options_for
from train.progress import Silent
from train.run import train

QUICK = options_for("tiny", epochs=1, workers=1)


def rewrite(data: Path, change) -> None:
    """Pass every line of the manifest through ``change``, which may give None to drop it."""
    manifest = data / "manifest.jsonl"
    lines = [change(json.loads(line)) for line in manifest.read_text().splitlines()]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines if line is not None))


@pytest.fixture(scope="module")
def first_run(drawn_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "first"
    options = replace(QUICK, notice="Made by a test.", modality_dropout=0.2)
    return out, train(drawn_data, out, options), options


def test_leaves_a_checkpoint_with_its_reports(first_run, drawn_data):
    out, report, _ = first_run
    assert sorted(path.name for path in out.iterdir()) == [
        "best",
        "history.json",
        "report.json",
        "tensorboard",
    ]
    assert sorted(path.name for path in (out / "best").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    checkpoint = load_checkpoint(out)
    assert checkpoint.model.config.labels == ("angry", "happy", "neutral", "sad")
    assert checkpoint.thresholds == report.thresholds
    assert checkpoint.notice.startswith("Made by a test. The text encoder has learned from")
    assert checkpoint.provenance["train_seed"] == "0"
    assert checkpoint.provenance["train_data_fingerprint"] == report.data_fingerprint
    written = json.loads((out / "report.json").read_text())
    assert written["finished"] is True
    assert written["clips"] == {"train": 8, "valid": 4, "test": 4}
    assert (out / written["data"]).resolve() == drawn_data.resolve()
    assert written["options"]["modality_dropout"] == 0.2
    assert written["test"]["clips"] == 4
    assert set(written["test"]["tuned"]["labels"]) == set(written["labels"])
    assert written["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert written["parameters"] == sum(p.numel() for p in checkpoint.model.parameters())
    (record,) = json.loads((out / "history.json").read_text())
    assert record["epoch"] == written["best_epoch"] == 1
    assert record["valid_f1"] == written["valid"]["tuned"]["f1"]


def test_the_same_run_again_gives_the_same_bits(first_run, drawn_data, tmp_path):
    out, report, options = first_run
    again = train(drawn_data, tmp_path / "again", options)
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "again/best" / name).read_bytes() == (
            out / "best" / name
        ).read_bytes(), name
    assert (again.valid, again.test) == (report.valid, report.test)


def test_clips_and_texts_alone_learn_together(few_clips, drawn_data, tmp_path):
    manifest = few_clips / "manifest.jsonl"
    texts = [
        {"text": text, "labels": [label], "split": split}
        for text, label in (("I am glad.", "happy"), ("Go away.", "angry"))
        for split in ("train", "valid", "test")
    ]
    with manifest.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in texts)
    cache = drawn_data / ".prepared"
    report = train(few_clips, tmp_path / "run", replace(QUICK, cache=cache, modality_dropout=0.3))
    assert report.clips == {"train": 10, "valid": 6, "test": 6}
    assert report.skipped == []


def test_a_data_set_of_text_alone_trains_the_text_variant(tmp_path):
    (tmp_path / "data").mkdir()
    lines = [
        {"text": f"{word} {number}", "labels": [label], "split": split}
        for number, split in enumerate(("train",) * 4 + ("valid", "test"))
        for word, label in (("good", "happy"), ("bad", "sad"))
    ]
    manifest = tmp_path / "data" / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = replace(QUICK, variant="text")
    report = train(tmp_path / "data", tmp_path / "run", options)
    assert report.clips == {"train": 8, "valid": 2, "test": 2}
    assert not (tmp_path / "data" / ".prepared").exists()  # there was nothing to prepare
    with pytest.raises(MerEdgeError, match="has any of what this variant decides by"):
        train(tmp_path / "data", tmp_path / "heard", replace(QUICK, variant="audio"))


def test_a_bad_clip_is_left_out_and_named(few_clips, drawn_data, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no film")

    def change(line):
        bad = str(tmp_path / "bad.mp4")
        return {**line, "media": bad} if line["media"].endswith("0001.mp4") else line

    rewrite(few_clips, change)
    report = train(few_clips, tmp_path / "run", replace(QUICK, cache=drawn_data / ".prepared"))
    (skipped,) = report.skipped
    assert skipped["media"].endswith("bad.mp4")
    assert "bad.mp4" in skipped["reason"]
    assert sum(report.clips.values()) == 15


def test_clips_without_text_or_test_split_are_fine(few_clips, drawn_data, tmp_path):
    def change(line):
        return None if line["split"] == "test" else {**line, "text": None}

    rewrite(few_clips, change)
    report = train(few_clips, tmp_path / "run", replace(QUICK, cache=drawn_data / ".prepared"))
    assert report.test is None
    assert report.finished


def test_weights_are_loaded_and_their_first_groups_stay(drawn_data, tmp_path):
    donor, _ = build_model(PRESETS["tiny"], seed=9)
    backbones = {"vggish": donor.vggish.backbone, "resnet": donor.resnet.backbone}
    for name, backbone in backbones.items():
        torch.save(backbone.state_dict(), tmp_path / f"{name}.pth")
    donor.text_encoder.bert.save_pretrained(tmp_path / "bert")
    tokenizer = build_tokenizer(["it is so"], PRESETS["tiny"].text.vocab_size)
    (tmp_path / "bert/tokenizer.json").write_text(tokenizer)
    options = replace(
        QUICK,
        bert=str(tmp_path / "bert"),
        vggish=tmp_path / "vggish.pth",
        resnet=tmp_path / "resnet.pth",
    )
    report = train(drawn_data, tmp_path / "run", options)
    assert report.text_encoder == str(tmp_path / "bert")
    assert "text encoder has learned" not in report.notice
    weights = load_file(tmp_path / "run/best/model.safetensors")
    for part, still, moving in (
        ("vggish", "features.3.weight", "features.6.weight"),
        ("resnet", "layer2.0.bn1.running_var", "layer3.0.conv1.weight"),
    ):
        loaded = backbones[part].state_dict()
        assert torch.equal(weights[f"{part}.backbone.{still}"], loaded[still])
        moved = (weights[f"{part}.backbone.{moving}"] - loaded[moving]).abs().max()
        assert 0 < moved < 1e-3


def test_a_run_that_diverges_leaves_its_best(drawn_data, tmp_path, monkeypatch):
    losses = iter([1.0, float("nan")])
    original = loop.predict

    def predict(*arguments, **named):
        return replace(original(*arguments, **named), loss=next(losses))

    monkeypatch.setattr(loop, "predict", predict)
    with pytest.raises(MerEdgeError, match=r"nan on the validation split in epoch 2; .* epoch 1"):
        train(drawn_data, tmp_path / "run", replace(QUICK, epochs=3))
    load_checkpoint(tmp_path / "run")
    written = json.loads((tmp_path / "run/report.json").read_text())
    assert (written["finished"], written["best_epoch"], written["test"]) == (False, 1, None)


def test_nothing_is_left_where_the_first_loss_is_not_a_number(drawn_data, tmp_path):
    with pytest.raises(MerEdgeError, match="no model was kept"):
        train(drawn_data, tmp_path / "run", replace(QUICK, learning_rate=1e30, epochs=3))
    assert not (tmp_path / "run").exists()


def test_an_error_within_the_first_epoch_leaves_a_state_that_was_saved(
    drawn_data, tmp_path, monkeypatch
):
    def fit(training, train_clips, valid_clips, standing):
        training.keeper.state(standing)  # as SIGTERM does, in an earlier call
        raise MerEdgeError("a clip cannot be read")

    monkeypatch.setattr(run, "fit", fit)
    with pytest.raises(MerEdgeError, match="cannot be read"):
        train(drawn_data, tmp_path / "run", QUICK)
    assert (tmp_path / "run/last/state.safetensors").is_file()


def test_what_makes_no_network_is_told_before_any_clip_is_prepared(few_clips, tmp_path):
    options = replace(QUICK, variant="audio", cross_modal="mbt")
    with pytest.raises(MerEdgeError, match="cross_modal is 'mbt'"):
        train(few_clips, tmp_path / "run", options)
    assert not (few_clips / ".prepared").exists()


def test_a_run_knows_which_manifest_it_has_learned_from(few_clips, drawn_data, tmp_path):
    manifest = (few_clips / "manifest.jsonl").rename(few_clips / "some.jsonl")
    train(manifest, tmp_path / "run", replace(QUICK, epochs=1, cache=drawn_data / ".prepared"))
    known = trained_on(tmp_path / "run")
    assert known is not None
    assert known.data == manifest


def test_an_earlier_run_is_replaced_only_when_told(drawn_data, tmp_path):
    out = tmp_path / "run"
    train(drawn_data, out, QUICK)
    before = (out / "best/model.safetensors").read_bytes()
    with pytest.raises(
        MerEdgeError, match=r"run exists already; .* add --resume .* or add --overwrite"
    ):
        train(drawn_data, out, QUICK)
    assert (out / "best/model.safetensors").read_bytes() == before
    train(drawn_data, out, replace(QUICK, seed=1), overwrite=True)
    assert (out / "best/model.safetensors").read_bytes() != before


def test_overwrite_leaves_a_folder_alone_that_no_run_made(drawn_data, tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(MerEdgeError, match="is not a training run"):
        train(drawn_data, tmp_path, QUICK, overwrite=True)
    with pytest.raises(MerEdgeError, match="is not a training run"):
        train(drawn_data, tmp_path / "holiday.jpg", QUICK, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def drop(split):
    return lambda line: None if line["split"] == split else line


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (drop("train"), {}, "no usable clip of the split 'train'"),
        (drop("valid"), {}, "no usable clip of the split 'valid'"),
        (lambda line: {**line, "labels": ["sad"]}, {}, "the label 'sad' is on 8 of 8 training"),
        (None, {"labels": ("angry", "happy", "neutral")}, "unknown label 'sad'"),
        (
            None,
            {"labels": ("angry", "happy", "neutral", "sad", "bored")},
            "the label 'bored' is on 0 of 8 training clips",
        ),
        (None, {"device": "tpu"}, "unknown device 'tpu'; expected cpu or cuda"),
        (None, {"vggish": Path("gone.pth")}, "gone.pth: no such file"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_nothing_written(
    few_clips, drawn_data, tmp_path, change, options, message
):
    if change is not None:
        rewrite(few_clips, change)
    data = drawn_data if change is None else few_clips
    with pytest.raises(MerEdgeError, match=message):
        train(data, tmp_path / "run", replace(QUICK, **options))
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_a_gpu_that_is_not_there_is_named(drawn_data, tmp_path):
    with pytest.raises(MerEdgeError, match="PyTorch finds no CUDA GPU"):
        train(drawn_data, tmp_path / "run", replace(QUICK, device="cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_trains_on_a_gpu(drawn_data, tmp_path):
    report = train(drawn_data, tmp_path / "run", replace(QUICK, device="cuda"))
    assert report.finished
    load_checkpoint(tmp_path / "run")


def test_a_student_learns_from_a_run_with_other_sizes_and_words(first_run, drawn_data, tmp_path):
    teacher, _, _ = first_run
    tokenizer = build_tokenizer(["it is so", "leave me alone"], 200)
    donor, _ = build_model(PRESETS["tiny"], seed=9)
    donor.text_encoder.bert.save_pretrained(tmp_path / "bert")
    (tmp_path / "bert/tokenizer.json").write_text(tokenizer)
    options = replace(QUICK, bert=str(tmp_path / "bert"), teacher=teacher)
    report = train(drawn_data, tmp_path / "student", options)
    assert report.options["teacher"] == str(teacher)
    alone = train(drawn_data, tmp_path / "alone", replace(options, teacher=None))
    assert report.parameters == alone.parameters  # nothing of the teacher is in the student
    assert report.valid != alone.valid
    names = load_file(tmp_path / "student/best/model.safetensors").keys()
    assert names == load_file(tmp_path / "alone/best/model.safetensors").keys()


def test_a_teacher_of_other_labels_is_refused(first_run, drawn_data, tmp_path):
    labels = ("sad", "neutral", "happy", "angry")
    options = replace(QUICK, teacher=first_run[0], labels=labels)
    with pytest.raises(MerEdgeError, match="teacher's labels are angry, happy, neutral, sad; exp"):
        train(drawn_data, tmp_path / "run", options)
    assert not (tmp_path / "run").exists()


def test_clips_that_a_variant_cannot_decide_on_are_counted_or_refused(
    few_clips, drawn_data, tmp_path
):
    options = replace(QUICK, variant="text", cache=drawn_data / ".prepared")
    first = []

    def silence_one(line):
        first.append(line)
        return {**line, "text": None} if len(first) == 1 else line

    rewrite(few_clips, silence_one)
    notes = Notes()
    train(few_clips, tmp_path / "run", options, notes)
    (warning,) = [text for text in notes.texts if "nothing is learned from them" in text]
    assert warning.startswith("1 of 16 clips have nothing of what this variant decides by (text)")
    rewrite(few_clips, lambda line: {**line, "text": None})
    with pytest.raises(MerEdgeError, match="none of the 8 clips of the split 'train' has any"):
        train(few_clips, tmp_path / "other", options)
    assert not (tmp_path / "other").exists()


class Notes(Silent):
    def __init__(self):
        self.texts = []

    def note(self, text, *, warning=False):
        self.texts.append(text)


def test_weights_and_teachers_that_do_not_fit_are_told_before_preparing(few_clips, tmp_path):
    for changes, message in (
        ({"resnet": Path("gone.pth")}, "gone.pth: no such file"),
        ({"teacher": tmp_path / "gone"}, "gone is no directory"),
    ):
        with pytest.raises(MerEdgeError, match=message):
            train(few_clips, tmp_path / "run", replace(QUICK, **changes))
    assert not (few_clips / ".prepared").exists()


def test_exclusive_labels_from_data_to_checkpoint(drawn_data, tmp_path):
    out = tmp_path / "run"
    options = replace(QUICK, task="multiclass", class_weights="balanced", modality_dropout=0.2)
    report = train(drawn_data, out, options)
    checkpoint = load_checkpoint(out)
    assert checkpoint.model.config.task == "multiclass"
    assert checkpoint.thresholds == report.thresholds == []
    for scores in (report.valid, report.test):
        assert scores.at_half is None
        assert scores.classes.macro_f1 == pytest.approx(scores.tuned.f1)
    assert (record := json.loads((out / "history.json").read_text())[0])["valid_f1"] == (
        report.valid.classes.macro_f1
    )
    assert record["valid_accuracy"] == report.valid.classes.accuracy
    assert "macro-F1" in summary(report)
    assert "thresholds" not in summary(report)


@pytest.mark.parametrize(("labels", "found"), [([], "none"), (["happy", "sad"], "happy, sad")])
def test_a_clip_without_exactly_one_label_is_refused_for_exclusive_ones(
    few_clips, tmp_path, labels, found
):
    def change(line):
        return {**line, "labels": labels} if line["media"].endswith("0001.mp4") else line

    rewrite(few_clips, change)
    with pytest.raises(MerEdgeError, match=rf"1 of 16 clips .* \({found}\); expected one a clip"):
        train(few_clips, tmp_path / "run", replace(QUICK, task="multiclass"))
    assert not (tmp_path / "run").exists()


def test_a_run_from_before_exclusive_labels_is_taken_up_again(first_run, drawn_data):
    out, report, options = first_run
    older = {k: v for k, v in report.options.items() if k not in ("task", "class_weights")}
    written = json.loads((out / "report.json").read_text())
    (out / "report.json").write_text(json.dumps({**written, "options": older}))
    assert train(drawn_data, out, options, resume=True).finished
    with pytest.raises(MerEdgeError, match="task 'multilabel' and is asked for with 'multiclass'"):
        train(drawn_data, out, replace(options, task="multiclass"), resume=True)
    (out / "report.json").write_text(json.dumps(written))
