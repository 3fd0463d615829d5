"""The loop on noise: it learns, stops, refuses to diverge and repeats itself to the bit."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mer_edge.errors import MerEdgeError
from mer_edge.model.build import build_model
from tests.train.samples import CONFIG, LABELS, labelled_clips
from train import loop
from train.distributed import make_accelerator
from train.folder import Onlooker
from train.learner import Learner
from train.loop import Training, fit
from train.losses import label_weights, positive_weights
from train.optimizer import make_optimizer, set_learning_rates
from train.options import TrainOptions
from train.predict import Predictions, predict
from train.progress import Silent
from train.setup import reproducible
from train.state import Standing
from train.stopping import StopRequest


class Recorder(Onlooker):
    """Remembers which epochs were the best, with their thresholds."""

    def __init__(self):
        self.kept = []

    def best(self, standing, valid, rule):
        self.kept.append((standing.best_epoch, list(rule.thresholds)))


def run_fit(clips, keeper=None, spoil=None, **changes):
    options = TrainOptions(**{"learning_rate": 3e-3, "batch_size": 4, "threads": 1, **changes})
    standing = Standing()
    with reproducible(options):
        model, _ = build_model(replace(CONFIG, task=options.task), seed=options.seed)
        model.set_gradient_checkpointing(options.gradient_checkpointing)
        if spoil is not None:
            spoil(model)
        targets = np.stack([clip.targets for clip in clips])
        weight = label_weights(targets, LABELS, options.task, options.class_weights)
        learner = Learner(model, weight, options.modality_loss_weight)
        training = Training(
            learner,
            make_optimizer(learner, options),
            make_accelerator(options),
            options,
            Silent(),
            keeper or Onlooker(),
            StopRequest(),
        )
        assert fit(training, clips, clips, standing)
    return model, standing.history


def test_learns_a_handful_of_clips_by_heart(tmp_path):
    clips = labelled_clips(tmp_path, 4)
    model, history = run_fit(clips, epochs=20, patience_epochs=20, learning_rate=1e-2)
    assert history[-1].valid_f1 == 1.0
    assert history[-1].train_loss < 0.1 < history[0].train_loss
    found = predict(model, clips, TrainOptions())
    assert ((found.probabilities > 0.5) == [clip.targets for clip in clips]).all()


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(tmp_path):
    clips = labelled_clips(tmp_path, 5)
    settings = {"epochs": 2, "modality_dropout": 0.3}
    first, first_history = run_fit(clips, seed=1, **settings)
    again, again_history = run_fit(clips, seed=1, **settings)
    other, _ = run_fit(clips, seed=2, **settings)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert [r.valid_loss for r in first_history] == [r.valid_loss for r in again_history]
    name = "fusion.attention_matrix"
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_the_random_state_and_the_settings_of_torch_stay_as_they_were(tmp_path):
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    run_fit(labelled_clips(tmp_path, 2), epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_padding_changes_no_prediction(tmp_path):
    clips = labelled_clips(tmp_path, 6)
    model, _ = build_model(CONFIG, seed=0)
    alone = predict(model, clips, TrainOptions(batch_size=1))
    together = predict(model, clips, TrainOptions(batch_size=6))
    assert together.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
    assert together.loss == pytest.approx(alone.loss, abs=1e-5)
    probability = np.where(alone.targets, alone.probabilities, 1 - alone.probabilities)
    assert alone.loss == pytest.approx(-np.log(probability).mean(), abs=1e-5)


def scripted(monkeypatch, losses):
    """Validation that finds these losses, an epoch each, and always the same decisions."""
    script = iter(losses)

    def predict(model, clips, options, pos_weight=None, accelerator=None):
        targets = np.stack([clip.targets for clip in clips])
        return Predictions(next(script), np.full(targets.shape, 0.9), targets)

    monkeypatch.setattr(loop, "predict", predict)


def test_stops_when_patience_is_over_and_has_shown_every_best_model(tmp_path, monkeypatch):
    scripted(monkeypatch, [1.0, 0.9, 0.95, 0.8, 0.85, 0.8, 0.9])
    recorder = Recorder()
    clips = labelled_clips(tmp_path, 2)
    _, history = run_fit(clips, recorder, epochs=9, patience_epochs=3)
    assert [record.best for record in history] == [True, True, False, True, False, False, False]
    assert recorder.kept == [(1, [0.5, 0.5]), (2, [0.5, 0.5]), (4, [0.5, 0.5])]


def test_epochs_are_the_most(tmp_path, monkeypatch):
    scripted(monkeypatch, [3.0, 2.0, 1.0])
    _, history = run_fit(labelled_clips(tmp_path, 2), epochs=3)
    assert [record.epoch for record in history] == [1, 2, 3]


def test_a_loss_that_is_not_a_number_stops_before_it_spoils_the_weights(tmp_path):
    spoiled = {}

    def spoil(model):
        with torch.no_grad():
            model.fusion.attention_vector.fill_(torch.nan)
        spoiled.update(model=model, before=copy.deepcopy(model.state_dict()))

    expected = r"the loss became nan in epoch 1, step 1; .* no model was kept; .* --lr than 0.125"
    with pytest.raises(MerEdgeError, match=expected):
        run_fit(labelled_clips(tmp_path, 8), spoil=spoil, learning_rate=0.125)
    for name, parameter in spoiled["model"].named_parameters():
        before = spoiled["before"][name]
        assert torch.equal(parameter.nan_to_num(), before.nan_to_num()), name


def test_a_term_or_a_gradient_that_is_not_finite_stops_too(tmp_path, monkeypatch):
    clips = labelled_clips(tmp_path, 4)
    original = Learner.forward
    for spoil in (
        lambda losses: losses._replace(total=losses.total + torch.nan),
        lambda losses: losses._replace(total=losses.total + Explodes.apply(losses.total)),
    ):
        monkeypatch.setattr(
            Learner, "forward", lambda self, batch, spoil=spoil: spoil(original(self, batch))
        )
        with pytest.raises(MerEdgeError, match="the loss became nan in epoch 1, step 1"):
            run_fit(clips, epochs=1)


class Explodes(torch.autograd.Function):
    """Zero, with an infinite gradient."""

    @staticmethod
    def forward(context, values):
        return values * 0

    @staticmethod
    def backward(context, gradient):
        return gradient * torch.inf


def test_divergence_names_the_epoch_that_is_kept(tmp_path, monkeypatch):
    scripted(monkeypatch, [1.0, 1.1, float("inf")])
    with pytest.raises(
        MerEdgeError, match=r"inf on the validation split in epoch 3; .* epoch 1 is"
    ):
        run_fit(labelled_clips(tmp_path, 2), epochs=9)


def test_positive_weights_are_negatives_per_positive():
    targets = np.array([[1, 0], [0, 0], [0, 0], [0, 1], [0, 1]], bool)
    assert positive_weights(targets, LABELS).tolist() == pytest.approx([4.0, 1.5])
    with pytest.raises(MerEdgeError, match="'happy' is on 0 of 2 training clips"):
        positive_weights(np.array([[1, 0], [0, 0]], bool), LABELS)
    with pytest.raises(MerEdgeError, match="'angry' is on 2 of 2 training clips"):
        positive_weights(np.array([[1, 0], [1, 1]], bool), LABELS)


def test_the_modality_loss_reaches_the_decisions_it_is_about(tmp_path):
    clips = labelled_clips(tmp_path, 4)
    plain, _ = run_fit(clips, epochs=1)
    helped, _ = run_fit(clips, epochs=1, modality_loss_weight=1.0)
    name = "fusion.visual_decision.0.weight"
    assert not torch.equal(plain.state_dict()[name], helped.state_dict()[name])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"linear_decay": True}, [1, 0.75, 0.5, 0.25]),
        ({}, [1] * 4),
        ({"warmup_steps": 2}, [1 / 3, 2 / 3, 1, 1]),
        ({"warmup_steps": 1, "linear_decay": True}, [0.5, 0.75, 0.5, 0.25]),
    ],
)
def test_the_rates_rise_and_fall_in_a_line_when_told(changes, expected):
    model, _ = build_model(CONFIG, seed=0)
    options = TrainOptions(learning_rate=0.5, resnet=Path("r.pth"), **changes)
    optimizer = make_optimizer(Learner(model, torch.ones(2)), options)
    for step, part in enumerate(expected):
        set_learning_rates(optimizer, options, step, 4)
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([0.5 * part, 1e-5 * part])


@pytest.mark.parametrize(
    ("changes", "tolerance"),
    [
        ({"loaders": 3}, 0),
        ({"gradient_checkpointing": True}, 0),
        ({"precision": "bf16"}, 0.02),
        # BatchNorm sees half as many faces at a time.
        ({"accumulation": 2}, 0.02),
    ],
)
def test_how_the_work_is_done_does_not_change_what_is_learned(tmp_path, changes, tolerance):
    clips = labelled_clips(tmp_path, 6)
    _, plain = run_fit(clips, epochs=2)
    _, other = run_fit(clips, epochs=2, **changes)
    for one, two in zip(plain, other, strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, rel=tolerance, abs=0)
        assert two.valid_loss == pytest.approx(one.valid_loss, rel=tolerance, abs=0)


def test_parts_of_a_step_add_up_to_it_where_there_is_no_batch_norm(tmp_path):
    clips = labelled_clips(tmp_path, 6)

    def blind(model):
        model.resnet.eval()
        model.resnet.train = lambda mode=True: model.resnet

    _, (whole,) = run_fit(clips, spoil=blind, epochs=1)
    _, (parts,) = run_fit(clips, spoil=blind, epochs=1, accumulation=3)
    assert parts.train_loss == pytest.approx(whole.train_loss, rel=1e-5)
    assert parts.valid_loss == pytest.approx(whole.valid_loss, rel=1e-4)


def test_clipped_gradients_take_other_steps(tmp_path):
    clips = labelled_clips(tmp_path, 4)
    plain, _ = run_fit(clips, epochs=1)
    clipped, _ = run_fit(clips, epochs=1, clip_norm=1e-3)
    name = "fusion.attention_matrix"
    assert not torch.equal(plain.state_dict()[name], clipped.state_dict()[name])


def test_exclusive_labels_are_learned_and_chosen_by_the_most_probable(tmp_path):
    clips = labelled_clips(tmp_path, 5)
    recorder = Recorder()
    model, history = run_fit(
        clips, recorder, task="multiclass", epochs=20, patience_epochs=20, learning_rate=1e-2
    )
    found = predict(model, clips, TrainOptions())
    assert found.probabilities.sum(1) == pytest.approx(1.0)
    truth = np.stack([clip.targets for clip in clips])
    assert (found.probabilities.argmax(1) == truth.argmax(1)).all()
    assert found.loss == pytest.approx(-np.log(found.probabilities[truth]).mean(), abs=1e-9)
    last = history[-1]
    assert (last.valid_f1, last.valid_accuracy, last.valid_weighted_accuracy) == (1.0, 1.0, 1.0)
    assert recorder.kept[-1][1] == []  # no thresholds


def test_the_record_of_exclusive_labels_has_class_scores(tmp_path, monkeypatch):
    clips = labelled_clips(tmp_path, 5)  # three angry, two happy

    def predict(model, clips, options, label_weight=None, accelerator=None):
        targets = np.stack([clip.targets for clip in clips])
        return Predictions(1.0, np.tile([0.4, 0.3], (5, 1)), targets)

    monkeypatch.setattr(loop, "predict", predict)
    _, (record,) = run_fit(clips, task="multiclass", epochs=1)
    assert record.valid_f1 == pytest.approx(0.75 / 2)
    assert record.valid_accuracy == pytest.approx(3 / 5)
    assert record.valid_weighted_accuracy == pytest.approx(0.5)
