from pathlib import Path

import pytest

from mer_edge.errors import MerEdgeError
from train.ablation.grid import distinct, make_cells, parse_vary, reference_of
from train.options import options_for


def test_every_variant_with_every_combination():
    varies = [parse_vary("sem-attention=spatial,key"), parse_vary("learning_rate=1e-3,1e-4")]
    cells = make_cells(["mer", "mer-sem-mbt"], varies)
    assert [cell.name for cell in cells[:4]] == [
        "mer_sem_attention-spatial_learning_rate-1e-3",
        "mer_sem_attention-spatial_learning_rate-1e-4",
        "mer_sem_attention-key_learning_rate-1e-3",
        "mer_sem_attention-key_learning_rate-1e-4",
    ]
    assert len(cells) == 8
    options = cells[-1].options(options_for("tiny", epochs=3), seed=7)
    assert (options.variant, options.sem_attention, options.learning_rate) == (
        "mer-sem-mbt",
        "key",
        1e-4,
    )
    assert (options.seed, options.epochs, options.batch_size) == (7, 3, 4)


def test_values_become_what_the_option_is():
    assert parse_vary("audio_sem_positions=2+4,4,none").values == ((2, 4), (4,), ())
    assert parse_vary("augment=true,false").values == (True, False)
    assert parse_vary("warmup_steps=0,100").values == (0, 100)
    assert parse_vary("clip_norm=0.5,1").values == (0.5, 1.0)
    assert parse_vary("teacher=runs/a,runs/b").values == (Path("runs/a"), Path("runs/b"))
    assert parse_vary("cross_modal=none,mbt").values == ("none", "mbt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sem_attention", "expected FIELD=VALUE,VALUE with one of the fields variant|sem"),
        ("seed=1,2", "found --vary seed=1,2; expected FIELD=VALUE"),
        ("colour=red,green", "found --vary colour"),
        ("epochs=3", "expected at least two values, each once"),
        ("epochs=3,3", "expected at least two values, each once"),
        ("epochs=3,many", "found --vary epochs=many; expected values that are int"),
        ("audio_sem_positions=2,x", "found --vary audio_sem_positions=x; expected values"),
    ],
)
def test_what_cannot_vary_is_refused(text, message):
    with pytest.raises(MerEdgeError, match=message):
        parse_vary(text)


@pytest.mark.parametrize(
    ("variants", "varies", "message"),
    [
        (["mer", "big"], [], "unknown variant 'big'; expected some of mer,"),
        (["mer", "mer"], [], "variants mer, mer; expected each once"),
        (["mer"], ["epochs=1,2", "epochs=3,4"], "--vary epochs, epochs; expected each once"),
        (["mer"], ["bert=a/b,a_b"], "two cells are called mer_bert-a_b"),
    ],
)
def test_grids_with_something_unknown_or_twice_are_refused(variants, varies, message):
    with pytest.raises(MerEdgeError, match=message):
        make_cells(variants, [parse_vary(text) for text in varies])


def test_the_reference_is_the_last_variant_or_the_one_named():
    cells = make_cells(["mer", "mer-sem"], [parse_vary("epochs=1,2")])
    assert reference_of(cells, None) == "mer-sem_epochs-1"
    assert reference_of(cells, "mer_epochs-2") == "mer_epochs-2"
    with pytest.raises(MerEdgeError, match="found --reference mer; expected one of mer_epochs-1"):
        reference_of(cells, "mer")


def test_the_same_training_is_one_cell():
    varies = [parse_vary("sem_attention=spatial,key"), parse_vary("cross_modal=none,mbt")]
    cells = make_cells(["mer-sem", "mer", "text"], varies)
    kept, twins = distinct(cells, options_for("tiny"))
    first = "mer_sem_attention-spatial_cross_modal"
    assert twins == {
        # Without SEMs their form changes nothing.
        "mer_sem_attention-key_cross_modal-none": f"{first}-none",
        "mer_sem_attention-key_cross_modal-mbt": f"{first}-mbt",
        "text_sem_attention-key_cross_modal-none": "text_sem_attention-spatial_cross_modal-none",
    }
    # What makes no network is left for its run to say.
    assert [cell.name for cell in kept] == [c.name for c in cells if c.name not in twins]
    assert "text_sem_attention-key_cross_modal-mbt" in [cell.name for cell in kept]


def test_two_variants_may_be_one_network():
    cells = make_cells(["mer-sem", "mer-sem-mbt"], [parse_vary("cross_modal=none,mbt")])
    _, twins = distinct(cells, options_for("tiny"))
    assert twins == {
        "mer-sem-mbt_cross_modal-none": "mer-sem_cross_modal-none",
        "mer-sem-mbt_cross_modal-mbt": "mer-sem_cross_modal-mbt",
    }


@pytest.mark.parametrize(("weights", "count"), [(None, 1), (Path("vggish.pth"), 2)])
def test_the_rate_of_backbones_counts_where_weights_are_loaded(weights, count):
    cells = make_cells(["audio"], [parse_vary("backbone_learning_rate=1e-5,1e-6")])
    kept, _ = distinct(cells, options_for("tiny", vggish=weights))
    assert len(kept) == count
