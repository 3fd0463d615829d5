"""A peer with the weights of a training run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from export.peers.network import network_of
from mer_edge.bundle import Bundle
from mer_edge.errors import MerEdgeError
from mer_edge.model.build import build_model
from mer_edge.model.checkpoint import save_checkpoint
from mer_edge.model.config import TINY, with_variant

PATH = Path(__file__).parents[2] / "data" / "tiny-bundle"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(PATH)


def test_a_run_gives_its_weights(bundle: Bundle, tmp_path: Path) -> None:
    trained = build_model(TINY, seed=9)[0]
    save_checkpoint(tmp_path / "run", trained, bundle.tokenizer_path.read_text(), [0.5] * 6)
    model, notes = network_of(bundle.manifest, PATH, tmp_path / "run")
    assert notes == []
    assert not model.training
    expected = trained.state_dict()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)


def test_without_a_run_the_weights_are_random_and_that_is_said(bundle: Bundle) -> None:
    model, notes = network_of(bundle.manifest, PATH, None)
    assert not model.training
    assert "random" in notes[0]


def test_the_run_of_another_network_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    tokenizer = bundle.tokenizer_path.read_text()
    other = build_model(with_variant(TINY, "mer"))[0]
    save_checkpoint(tmp_path / "a", other, tokenizer, [0.5] * 6)
    with pytest.raises(MerEdgeError, match=r"a MER of ang.*is a MER-SEM-MBT of ang.*name the run"):
        network_of(bundle.manifest, PATH, tmp_path / "a")
    labels = build_model(replace(TINY, labels=("one", "two")))[0]
    save_checkpoint(tmp_path / "b", labels, tokenizer, [0.5] * 2)
    with pytest.raises(MerEdgeError, match="a MER-SEM-MBT of one, two; "):
        network_of(bundle.manifest, PATH, tmp_path / "b")
