"""The text encoder, and BERT checkpoints in the layouts that Hugging Face directories have."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizer

from mer_edge.errors import MerEdgeError
from mer_edge.model.build import build_model
from mer_edge.model.config import TINY, TextSizes
from mer_edge.model.text import TextEncoder, load_text_encoder
from tests.mer_edge.model.batches import random_batch

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "i", "am", "so", "hap", "##pier", "."]
SIZES = TextSizes(16, 24, 2, 3, 40, max_position_embeddings=12, layer_norm_eps=1e-7)


def small_bert(seed: int = 0) -> BertModel:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=16,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=12,
        layer_norm_eps=1e-7,
    )
    return BertModel(config).eval()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """What `save_pretrained` makes, with a vocab.txt beside it as in the first BERTs."""
    small_bert().save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return tmp_path


def test_loads_sizes_weights_and_tokenizer(directory: Path) -> None:
    bert, sizes, tokenizer_json = load_text_encoder(directory)
    assert sizes == SIZES
    expected = {n: t for n, t in small_bert().state_dict().items() if not n.startswith("pooler.")}
    found = bert.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    encoded = Tokenizer.from_str(tokenizer_json).encode("I am SO happier.")
    assert encoded.tokens == ["[CLS]", "i", "am", "so", "hap", "##pier", ".", "[SEP]"]
    assert encoded.ids[0] == 2
    assert encoded.ids[-1] == 3


def test_cased_tokenizer_stays_cased(directory: Path) -> None:
    (directory / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    tokenizer = Tokenizer.from_str(load_text_encoder(directory).tokenizer_json)
    assert tokenizer.encode("I am").tokens == ["[CLS]", "[UNK]", "am", "[SEP]"]


def test_tokenizer_json_goes_first_and_loses_truncation(directory: Path) -> None:
    tokenizer = BertTokenizer(vocab={t: i for i, t in enumerate(VOCABULARY)}).backend_tokenizer
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "vocab.txt").unlink()
    loaded = Tokenizer.from_str(load_text_encoder(directory).tokenizer_json)
    assert len(loaded.encode("i am so so so hap .").ids) == 9
    assert loaded.truncation is None
    assert loaded.padding is None


def test_encoder_gives_what_transformers_gives(directory: Path) -> None:
    """Padding included; ours is the output of [CLS], without the pooler."""
    model, tokenizer_json = build_model(TINY, bert=directory)
    assert tokenizer_json is not None
    model.eval()
    ids = torch.tensor([[2, 5, 6, 7, 8, 3], [2, 8, 3, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])
    features = model.encode_text(ids, mask)
    expected = small_bert()(input_ids=ids, attention_mask=mask).last_hidden_state
    assert float((features.vector - expected[:, 0]).abs().max().detach()) <= 1e-5
    difference = (features.tokens - expected)[mask.bool()]
    assert float(difference.abs().max().detach()) <= 1e-5
    assert torch.equal(features.token_mask, mask.bool())
    assert model.config.text == SIZES


def test_model_with_the_loaded_encoder_runs(directory: Path) -> None:
    model, _ = build_model(TINY, bert=directory)
    batch = random_batch(tokens=4)
    batch.input_ids %= 16
    assert torch.isfinite(model(batch).logits).all()


def test_loaded_dropout_is_the_models_own(directory: Path) -> None:
    model, _ = build_model(TINY, bert=directory)
    rates = {m.p for m in model.text_encoder.modules() if isinstance(m, torch.nn.Dropout)}
    assert rates == {TINY.dropout}
    assert model.training
    assert model.text_encoder.bert.training


def test_masked_language_model_checkpoints_load(directory: Path) -> None:
    """The hub's bert-base-uncased has this layout: a prefix, a pooler or none, and a head."""
    torch.manual_seed(3)
    whole = BertForMaskedLM(small_bert().config)
    whole.save_pretrained(directory)
    loaded = load_text_encoder(directory).bert.state_dict()
    expected = whole.bert.state_dict()
    assert all(torch.equal(loaded[name], expected[name]) for name in loaded)


def test_pickled_weights_load_without_code(directory: Path) -> None:
    torch.save(small_bert().state_dict(), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()
    loaded = load_text_encoder(directory).bert.state_dict()
    assert torch.equal(
        loaded["embeddings.word_embeddings.weight"],
        small_bert().embeddings.word_embeddings.weight,
    )


def edit_config(directory: Path, **changes: object) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, "model_type of the text encoder is 'roberta'; expected 'bert'"),
        ({"is_decoder": True}, "is_decoder of the text encoder is True; expected False"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type .* 'relative_key'"),
        (
            {"num_hidden_layers": 3},
            r"weights of the text encoder are missing, the first is encoder",
        ),
        ({"vocab_size": 8}, "cannot load a text encoder"),
    ],
)
def test_other_encoders_are_refused(
    directory: Path, changes: dict[str, object], message: str
) -> None:
    edit_config(directory, **changes)
    with pytest.raises(MerEdgeError, match=message):
        load_text_encoder(directory)


def test_tokenizer_of_another_encoder_is_refused(directory: Path) -> None:
    words = "\n".join([*VOCABULARY, *(f"word{i}" for i in range(20))])
    (directory / "vocab.txt").write_text(words + "\n", encoding="utf-8")
    with pytest.raises(MerEdgeError, match="the tokenizer has 31 tokens, the text encoder only 16"):
        load_text_encoder(directory)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt"])
def test_incomplete_directory_is_one_clear_error(directory: Path, name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(MerEdgeError, match=r"^.*: [^\n]*$"):
        load_text_encoder(directory)


def test_damaged_weights_are_one_clear_error(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MerEdgeError, match="cannot load a text encoder"):
        load_text_encoder(directory)


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match="cannot load a text encoder"):
        load_text_encoder(tmp_path / "nowhere")


def test_a_row_without_tokens_is_finite() -> None:
    encoder = TextEncoder(TINY.text, 0.0)
    hidden = encoder(torch.zeros(2, 5, dtype=torch.int64), torch.zeros(2, 5, dtype=torch.int64))
    assert torch.isfinite(hidden).all()
