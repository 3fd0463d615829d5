"""Runs and bundles asked about the same clips; the demo's are the only ones trained."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from mer_edge.bundle import Bundle, write_manifest
from mer_edge.cli.main import main
from mer_edge.decision import Temperatures
from mer_edge.errors import MerEdgeError
from mer_edge.model.checkpoint import calibrate_checkpoint, load_checkpoint, save_checkpoint
from mer_edge.samples.sample import Sample
from train.datasets.registry import DatasetOptions
from train.evaluation.data import open_data
from train.evaluation.features import clip_features, map_features
from train.evaluation.intervals import Bootstrap
from train.evaluation.pictures.curves import draw_curves
from train.evaluation.pictures.embedding import draw_features
from train.evaluation.session import Request, evaluate, unique_names
from train.evaluation.subject import check_subject, open_subject
from train.predict import predict
from train.prepare import ReadySample
from train.progress import Silent

QUICK = Bootstrap(resamples=100)
LABELS = ("angry", "happy", "neutral", "sad")


@pytest.fixture(scope="module")
def clips(trained):
    splits = ["train", "valid", "test"]
    data = open_data(
        trained.data, DatasetOptions(), LABELS, splits, Silent(), store=trained.store, workers=1
    )
    return data.splits


def test_a_run_and_its_bundle_say_the_same_of_the_same_clips(trained, clips):
    """With and without text, and of different lengths, so that batches are padded differently."""
    ready = clips["train"]
    no_text = [replace(item, sample=replace(item.sample, text=None)) for item in ready[:3]]
    blank = [replace(item, sample=replace(item.sample, text=" ")) for item in ready[:1]]
    alone = [ReadySample(Sample(None, item.sample.text, (), "train"), None) for item in ready[:1]]
    asked = [*ready, *alone, *no_text, *blank]
    run = open_subject(trained.run, "run").predict(asked, Silent())
    bundle = open_subject(trained.bundle, "bundle").predict(asked, Silent())
    assert run.probabilities.shape == (len(ready) + 5, 4)
    assert np.abs(run.probabilities - bundle.probabilities).max() < 1e-4
    assert np.abs(run.weights - bundle.weights).max() < 1e-4
    assert np.array_equal(run.targets, bundle.targets)
    assert (run.weights[-4:, 2] == 0).all()  # no text, no weight
    assert run.weights[-5].tolist() == [0, 0, 1]  # text alone
    # The clips differ in what is said of them, or the comparison would compare nothing.
    assert np.ptp(run.probabilities, axis=0).min() > 1e-3


def test_figures_equal_those_of_the_training_report(trained):
    evaluation, _ = evaluate(Request((trained.run,), bootstrap=QUICK, store=trained.store))
    report = json.loads((trained.run / "report.json").read_text())
    (subject,) = evaluation.subjects
    assert subject.headline["f1"] == pytest.approx(report["test"]["tuned"]["f1"], abs=1e-12)
    assert subject.headline["f1_at_half"] == pytest.approx(report["test"]["at_half"]["f1"])
    assert evaluation.data.clips == report["clips"]["test"]
    assert evaluation.data.fingerprint == report["data_fingerprint"]
    assert not [note for note in subject.notes if "other data" in note]
    assert subject.info.seed == 5


def test_everything_at_once_as_a_user_types_it(trained, tmp_path, capsys):
    out = tmp_path / "found"
    subjects = [str(trained.run), str(trained.bundle)]
    options = ["--split", "train", "--temperature", "--resamples", "100", "--out", str(out)]
    options += ["--cache", str(trained.store)]
    assert main(["evaluate", *subjects, *options]) == 0
    shown = capsys.readouterr().out
    assert "Avg F1" in shown
    assert "with temperature" in shown
    assert "the model has learned from these clips: the scores flatter it" in shown
    assert "needs the run" in shown  # a bundle's features
    assert shown.splitlines()[-1].startswith("next: mer-edge export ")
    written = json.loads((out / "evaluation.json").read_text())
    first, second = written["subjects"]
    assert (first["info"]["kind"], second["info"]["kind"]) == ("run", "bundle")
    assert first["info"]["seed"] == second["info"]["seed"] == 5
    assert first["headline"] == pytest.approx(second["headline"], abs=1e-9)
    assert first["temperature"]["temperature"] == pytest.approx(
        second["temperature"]["temperature"], rel=1e-2
    )
    pictures = {path.stem for path in (out / "run").glob("*.png")}
    assert pictures == {"classes", "confusion", "curves", "labels", "reliability", "weights"}
    assert "no picture of features (t-SNE)" in shown  # of so few clips
    with (out / "run/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == written["data"]["clips"]
    assert {row["truth"] for row in rows} == set(LABELS)
    assert main(["evaluate", *subjects, "--out", str(out)]) == 2  # not a second time


def test_features_of_every_stage_have_a_point_a_clip(trained, clips, tmp_path):
    subject = open_subject(trained.run, "run")
    ready = [*clips["train"], *clips["train"], *clips["train"]]
    maps = map_features(subject, ready, Silent(), seed=1)
    names = {(one.modality, one.stage) for one in maps}
    assert names == {(m, s) for m in ("audio", "visual") for s in ("before", "sem", "mbt")}
    assert all(one.points.shape == (len(ready), 2) for one in maps)
    assert map_features(subject, ready[:5], Silent()) == []  # too few for t-SNE
    draw_features(maps, LABELS, "run", tmp_path / "features.png")
    assert (tmp_path / "features.png").read_bytes().startswith(b"\x89PNG")


def test_features_are_means_over_the_segments_that_are_there(trained, clips):
    subject = open_subject(trained.run, "run")
    alone = [clip_features(subject, [item])[0] for item in clips["train"]]
    together, targets = clip_features(subject, clips["train"])
    for name, (values, present) in together.items():
        assert present.all()
        assert values == pytest.approx(np.concatenate([one[name][0] for one in alone]), abs=1e-4)
    assert targets.shape == (len(clips["train"]), 4)
    before, after = together["audio_before"][0], together["audio_sem"][0]
    assert np.abs(before - after).max() > 1e-3


def test_other_data_is_told(trained, manifest_of):
    data = manifest_of(lambda line: None if line["split"] == "train" else line)
    evaluation, _ = evaluate(
        Request((trained.bundle,), data=data, bootstrap=QUICK, store=trained.store)
    )
    assert "trained on other data" in evaluation.subjects[0].notes[0]


def never(split):
    return lambda line: None if line["split"] == split else line


@pytest.mark.parametrize(
    ("change", "request_of", "message"),
    [
        (never("test"), {}, "no clip of the split 'test'; expected at least one"),
        (never("valid"), {"temperature": True}, "no clip of the split 'valid'"),
        (never(""), {"split": "dev"}, "unknown split 'dev'; expected one of train, valid, test"),
        (
            lambda line: {**line, "labels": ["bored"]},
            {},
            "has the label 'bored'; expected one that the model knows: angry, happy",
        ),
    ],
)
def test_data_that_does_not_fit_is_refused(trained, manifest_of, change, request_of, message):
    data = manifest_of(change)
    with pytest.raises(MerEdgeError, match=message):
        evaluate(
            Request((trained.run,), data=data, bootstrap=QUICK, store=trained.store, **request_of)
        )


def test_subjects_that_do_not_fit_are_refused(trained, tmp_path):
    with pytest.raises(MerEdgeError, match="neither a training run nor a bundle"):
        check_subject(trained.data)
    with pytest.raises(MerEdgeError, match=r"does not say where its data is; .* add --data DATA"):
        evaluate(Request((trained.bundle,)))
    with pytest.raises(MerEdgeError, match="run is named twice; expected each subject once"):
        evaluate(Request((trained.run, trained.run)))
    other = tmp_path / "other"
    shutil.copytree(trained.bundle, other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["labels"][0] = "bored"
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(MerEdgeError, match="knows the labels bored, happy, neutral, sad and"):
        evaluate(Request((trained.run, other), bootstrap=QUICK, store=trained.store))


def test_data_that_has_moved_is_asked_for(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    report = json.loads((run / "report.json").read_text())
    report["options"]["dataset"] = {"name": "ravdess", "split_by": "actors"}
    (run / "report.json").write_text(json.dumps(report | {"data": "../gone"}))
    with pytest.raises(
        MerEdgeError,
        match=r"/gone: the data that the run was trained on is not there; .* where it is now with "
        r"--data DATA --dataset ravdess --split-by actors$",
    ):
        evaluate(Request((run,)))


def test_a_run_without_an_epoch_says_so(trained, tmp_path):
    (tmp_path / "report.json").write_text((trained.run / "report.json").read_text())
    with pytest.raises(MerEdgeError, match="the run has no checkpoint yet"):
        check_subject(tmp_path)


def test_names_are_as_long_as_they_must_be(tmp_path):
    paths = [tmp_path / name for name in ("a/seed-0", "b/seed-0", "b/seed-1")]
    assert unique_names(paths[1:]) == ["seed-0", "seed-1"]
    assert unique_names(paths) == ["a-seed-0", "b-seed-0", "b-seed-1"]


@pytest.fixture(scope="module")
def exclusive(trained, tmp_path_factory):
    """The demo's run and bundle as if their labels were exclusive, calibrated."""
    folder = tmp_path_factory.mktemp("exclusive")
    run, bundle = folder / "run", folder / "bundle"
    known = load_checkpoint(trained.run)
    known.model.config = replace(known.model.config, task="multiclass")
    save_checkpoint(run, known.model, known.tokenizer_path.read_text(), [])
    temperatures = Temperatures(audio=1.5, fused=0.5)
    calibrate_checkpoint(run, temperatures, 0.6)
    shutil.copytree(trained.bundle, bundle)
    manifest = replace(
        Bundle.load(bundle).manifest,
        task="multiclass",
        thresholds=[],
        temperatures=temperatures,
        min_confidence=0.6,
    )
    write_manifest(bundle, manifest)
    return run, bundle


def test_exclusive_labels_of_a_run_and_its_bundle_agree(
    exclusive, trained, clips, tmp_path, capsys
):
    ready = clips["train"]
    run, bundle = (open_subject(path, path.name).predict(ready, Silent()) for path in exclusive)
    assert np.abs(run.probabilities - bundle.probabilities).max() < 1e-4
    assert run.probabilities.sum(1) == pytest.approx(1.0)
    plain = open_subject(trained.run, "plain")
    logits = predict(plain.model, plain.labelled(ready), plain.options).logits
    scaled = np.exp(2 * (logits - logits.max(1, keepdims=True)))  # of the fused temperature 0.5
    assert run.probabilities == pytest.approx(scaled / scaled.sum(1, keepdims=True), abs=1e-5)

    out = tmp_path / "found"
    options = ["--data", str(trained.data), "--split", "train", "--temperature", "--out", str(out)]
    options += ["--resamples", "100", "--cache", str(trained.store)]
    assert main(["evaluate", *map(str, exclusive), *options]) == 0
    shown = capsys.readouterr().out
    assert "at its min_confidence 0.600:" in shown
    first, second = json.loads((out / "evaluation.json").read_text())["subjects"]
    assert first["info"]["task"] == second["info"]["task"] == "multiclass"
    assert first["headline"] == pytest.approx(second["headline"], abs=1e-9)
    assert first["coverage"]["own"]["coverage"] == second["coverage"]["own"]["coverage"]
    assert first["at_half"] is None
    assert (out / "run/classes.png").read_bytes().startswith(b"\x89PNG")


def test_a_history_of_exclusive_labels_is_drawn_under_its_names(tmp_path):
    entry = dict.fromkeys(
        ("train_loss", "valid_loss", "valid_f1", "valid_accuracy", "valid_weighted_accuracy"), 0.5
    )
    history = [{**entry, "epoch": 1, "best": True}]
    draw_curves(history, "run", tmp_path / "curves.svg", "multiclass")
    draw_curves(history, "run", tmp_path / "paper.svg")
    drawn, paper = ((tmp_path / name).read_text() for name in ("curves.svg", "paper.svg"))
    assert "<!-- UAR -->" in drawn
    assert "<!-- Avg WA -->" in paper
