"""The face recipe: its reader, its framing, and a run that is killed and goes on."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mer_edge.errors import MerEdgeError
from mer_edge.faces.align import TEMPLATE
from mer_edge.model.config import VisualSizes
from mer_edge.model.fusion import _decision
from mer_edge.model.resnet import ResNet, VisualEncoder
from mer_edge.model.sem import TextGuide
from mer_edge.model.weights import load_resnet18
from train.progress import Silent
from train.recipes import faces as recipe
from train.recipes.face_framing import FER_EYES, FRAMED_SCALE, changed, framed, transform
from train.recipes.face_scores import score
from train.recipes.faces import FacesSettings, Schedule, Stage, train_faces
from train.recipes.ferplus import LABELS, OTHER_VOTES, held_out, read_ferplus, soft_label
from train.recipes.temperature import fit_temperature

SETTINGS = FacesSettings(
    sizes=VisualSizes((4, 4, 6, 8), (1, 1, 1, 1), pool=2),
    stages=(Stage(16, 2, (0.8, 1.0)), Stage(24, 1, (0.55, 1.0))),
    batch_size=4,
    hidden_size=6,
    held_out_share=0.2,
)
COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", *OTHER_VOTES)


def write_part(data: Path, part: str, labels: list[str], votes: dict[str, dict[str, int]]) -> None:
    """Pictures of noise; eight votes for the label, or those of ``votes`` by a picture's name."""
    folder = data / "ferplus"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(labels))
    rows = []
    with zipfile.ZipFile(folder / f"{part}.zip", "w") as archive:
        for number, label in enumerate(labels):
            name = f"{part}{number:03d}.jpg"
            picture = rng.integers(0, 256, (48, 48), dtype=np.uint8)
            archive.writestr(name, cv2.imencode(".jpg", picture)[1].tobytes())
            counts = dict.fromkeys(COLUMNS, 0) | votes.get(name, {label: 8})
            rows.append({"file": name, "label": label} | counts)
    with (folder / f"{part}.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "label", *COLUMNS], delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write_part(folder, "train", [*LABELS, "contempt", "unknown", "NF"] * 3, {})
    write_part(folder, "valid", list(LABELS), {})
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_reader_leaves_out_what_is_none_of_the_labels(data: Path) -> None:
    faces = read_ferplus(data, "train")
    assert len(faces) == 21
    assert [LABELS[c] for c in faces.classes[:8]] == [*LABELS, "anger"]
    assert faces.names[7] == "train010.jpg"
    assert faces.pictures.shape == (21, 48, 48)
    assert faces.pictures.dtype == np.uint8
    np.testing.assert_array_equal(faces.shares[:7], np.eye(7))


def test_votes_become_shares_without_single_votes(tmp_path: Path) -> None:
    votes = {"train000.jpg": {"anger": 6, "sadness": 2, "neutral": 1, "contempt": 1}}
    write_part(tmp_path, "train", ["anger"], votes)
    faces = read_ferplus(tmp_path, "train")
    np.testing.assert_allclose(faces.shares, [[0.75, 0, 0, 0, 0, 0.25, 0]])
    only_single = np.array([1, 0, 0, 1, 0, 0, 0])
    np.testing.assert_allclose(soft_label(only_single), [0.5, 0, 0, 0.5, 0, 0, 0])


def test_what_is_not_ferplus_is_refused_in_a_line(data: Path) -> None:
    with pytest.raises(MerEdgeError, match=r"public\.tsv: no such file"):
        read_ferplus(data, "public")
    (data / "ferplus" / "valid.tsv").write_text("file\tlabel\nx.jpg\tanger\n")
    with pytest.raises(MerEdgeError, match="no column NF, anger"):
        read_ferplus(data, "valid")
    (data / "ferplus" / "train.zip").write_bytes(b"no archive")
    with pytest.raises(MerEdgeError, match="not the pictures that its list names"):
        read_ferplus(data, "train")


def test_splits_are_disjoint_whole_and_fixed() -> None:
    training, held = held_out(1000, 0.06, seed=0)
    assert len(held) == 60
    np.testing.assert_array_equal(np.sort(np.concatenate([training, held])), np.arange(1000))
    np.testing.assert_array_equal(held, held_out(1000, 0.06, seed=0)[1])
    assert not np.array_equal(held, held_out(1000, 0.06, seed=1)[1])


def test_framing_puts_the_eyes_where_the_template_has_them() -> None:
    assert abs(FRAMED_SCALE - 0.69) < 0.01
    placed = np.column_stack([FER_EYES, [1, 1]]) @ transform(224).T
    np.testing.assert_allclose(placed, TEMPLATE[:2], atol=0.2)
    picture = np.zeros((48, 48), np.uint8)
    picture[16:19, 14:16] = picture[16:19, 32:34] = 255  # about the points of FER_EYES
    left, right = (
        framed(picture, 224, "black")[:, :112, 0],
        framed(picture, 224, "black")[:, 112:, 0],
    )
    for half, eye, x0 in ((left, TEMPLATE[0], 0), (right, TEMPLATE[1], 112)):
        moments = cv2.moments(half)
        x = moments["m10"] / moments["m00"] + x0
        assert x == pytest.approx(eye[0], abs=1.5)
        assert moments["m01"] / moments["m00"] == pytest.approx(eye[1], abs=1.5)


def test_the_same_place_at_every_size_and_mirrored() -> None:
    for side_px in (48, 112):
        placed = np.column_stack([FER_EYES, [1, 1]]) @ transform(side_px).T
        expected = (TEMPLATE[:2] + 0.5) * side_px / 224 - 0.5
        np.testing.assert_allclose(placed, expected, atol=0.2)
    mirrored = np.column_stack([FER_EYES, [1, 1]]) @ transform(224, mirror=True).T
    np.testing.assert_allclose(mirrored[::-1], TEMPLATE[:2], atol=0.2)


def test_backgrounds_of_a_framed_face() -> None:
    white = np.full((48, 48), 200, np.uint8)
    assert framed(white, 64, "black")[0, 0].tolist() == [0, 0, 0]
    assert (framed(white, 64, "border") == 200).all()


def test_random_views_follow_from_the_generator() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    scale = 0.55, 1.0
    views = [
        changed(picture, 40, scale, SETTINGS.changes, np.random.default_rng(s)) for s in range(30)
    ]
    assert all(v.shape == (40, 40, 3) and np.isfinite(v).all() for v in views)
    assert len({v.tobytes() for v in views}) == 30
    again = changed(picture, 40, scale, SETTINGS.changes, np.random.default_rng(0))
    np.testing.assert_array_equal(again, views[0])


def test_the_schedule_goes_by_pixels_or_by_the_clock() -> None:
    settings = replace(SETTINGS, stages=(Stage(10, 3, (1, 1)), Stage(20, 1, (1, 1))), warm_up=0.1)
    schedule = Schedule(settings, pictures=40)
    position, sides = 0.0, []
    while position < 1 - 1e-9:
        stage = schedule.stage(position)
        sides.append(stage.side_px)
        position = schedule.after(position, stage)
    assert sides == [10] * 30 + [20] * 10
    assert schedule.learning_rate(0.1) == pytest.approx(2e-3)
    assert schedule.learning_rate(1.0) == pytest.approx(0.0)
    now = [0.0]
    timed = Schedule(settings, 40, minutes=2.0, start=0.5, clock=lambda: now[0])
    now[0] = 60.0
    assert timed.after(0.5, settings.stages[0]) == pytest.approx(0.75)


class Killed(Silent):
    def __init__(self, after: int) -> None:
        self.after = after

    def step(self, stage: str, done: int, total: int, detail: str = "") -> None:
        self.after -= 1
        if self.after == 0:
            raise KeyboardInterrupt


def test_a_killed_run_goes_on_to_the_same_bits(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "STEPS_A_CHECKPOINT", 3)
    whole = train_faces(data, tmp_path / "whole", SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        train_faces(data, tmp_path / "killed", SETTINGS, Killed(after=2))
    assert not (tmp_path / "killed" / "faces").exists()
    with pytest.raises(MerEdgeError, match="other settings or data"):
        train_faces(data, tmp_path / "killed", replace(SETTINGS, seed=1))
    killed = train_faces(data, tmp_path / "killed", SETTINGS)
    for name in (recipe.WEIGHTS_FILE, recipe.HEAD_FILE, recipe.RECORD_FILE):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
    assert train_faces(data, tmp_path / "killed", SETTINGS) == killed


def test_what_is_written_is_what_the_model_takes(data: Path, tmp_path: Path) -> None:
    written = train_faces(data, tmp_path, replace(SETTINGS, stages=(Stage(16, 1, (0.6, 0.8)),)))
    load_resnet18(ResNet(SETTINGS.sizes), written / recipe.WEIGHTS_FILE)
    decision = _decision(SETTINGS.sizes.embedding_size, SETTINGS.hidden_size, len(LABELS), 0.0)
    decision.load_state_dict(load_file(written / recipe.HEAD_FILE))
    record = json.loads((written / recipe.RECORD_FILE).read_text())
    assert record["pictures"] == {"train": 17, "held_out": 4}
    assert record["epochs_done"] == {"16px": pytest.approx(20 / 17)}
    test = record["figures"]["ferplus valid.zip, plain"]
    assert test["count"] == 7
    assert 0.2 <= record["temperature"] <= 5


def test_figures_by_hand() -> None:
    logits = np.log(np.full((4, 7), 0.05) + 0.65 * np.eye(7)[[0, 0, 3, 3]])
    found = score(logits, np.array([0, 1, 3, 3]), temperature=1.0)
    assert found["accuracy"] == 0.75
    assert found["uar"] == pytest.approx(2 / 3)
    assert found["recall"] == {"anger": 1.0, "disgust": 0.0, "happiness": 1.0}
    assert found["calibration_error"] == pytest.approx(0.05)
    # Three of four right at one confidence: the best temperature makes it 0.75.
    temperature = fit_temperature(logits, np.array([0, 1, 3, 3]))
    scaled = np.exp(logits[0] / temperature)
    assert temperature < 1.0 < scaled[0] / scaled[1:].sum()


def test_pool_averages_squares_of_the_normalised_face() -> None:
    torch.manual_seed(0)
    sizes = SETTINGS.sizes
    encoder = VisualEncoder(sizes, 8, (), "spatial").eval()
    faces = torch.randint(0, 256, (2, 224, 224, 3)).to(torch.uint8)
    pixels = encoder.normalize(faces)
    by_hand = pixels.reshape(2, 3, 112, 2, 112, 2).mean(dim=(3, 5))
    with torch.inference_mode():
        expected = encoder.feature_maps(by_hand, TextGuide(None))[-1].mean(dim=(2, 3))
        actual = encoder(faces, TextGuide(None))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
