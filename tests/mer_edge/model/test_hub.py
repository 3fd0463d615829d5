"""Weights by hub names, from a cache made here in the hub client's own layout; no network."""

import shutil
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import save_file
from torchvision.models import resnet18
from transformers import BertConfig, BertModel

from mer_edge.errors import MerEdgeError
from mer_edge.model.build import build_model
from mer_edge.model.config import PAPER, TINY, AudioSizes
from mer_edge.model.hub import find_weights, is_hub_name
from mer_edge.model.vggish import Vggish

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SLIM = replace(TINY, audio=AudioSizes((4, 5, 6, 7), 16, 8), visual=PAPER.visual)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of a machine without a network."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return folder


def snapshot(cache: Path, name: str) -> Path:
    """Where the client keeps the files of a repository."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text(COMMIT)
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def small_bert(folder: Path) -> None:
    config = BertConfig(
        vocab_size=16, hidden_size=24, num_hidden_layers=1, num_attention_heads=3,
        intermediate_size=40, max_position_embeddings=12,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "i", "am", "."]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')


def test_all_three_encoders_by_name(cache: Path) -> None:
    small_bert(snapshot(cache, "someone/small-bert"))
    hearing, seeing = Vggish(SLIM.audio).state_dict(), dict(resnet18(weights=None).state_dict())
    torch.save(hearing, snapshot(cache, "someone/audio") / "vggish-10086976.pth")
    save_file(seeing, snapshot(cache, "someone/faces") / "model.safetensors")
    model, tokenizer_json = build_model(
        SLIM,
        bert="someone/small-bert",
        vggish="someone/audio:vggish-10086976.pth",
        resnet="someone/faces",
    )
    assert model.config.text.hidden_size == 24
    assert tokenizer_json is not None
    assert model.vggish is not None
    assert model.resnet is not None
    for module, state in ((model.vggish.backbone, hearing), (model.resnet.backbone, seeing)):
        for name, tensor in module.state_dict().items():
            assert torch.equal(tensor, state[name]), name


def test_a_name_alone_means_the_usual_files(cache: Path) -> None:
    folder = snapshot(cache, "someone/old")
    (folder / "pytorch_model.bin").write_bytes(b"old")
    assert find_weights("someone/old").read_bytes() == b"old"
    (folder / "model.safetensors").write_bytes(b"new")
    assert find_weights("someone/old").read_bytes() == b"new"


def test_a_path_comes_before_the_hub(cache: Path, tmp_path: Path) -> None:
    (snapshot(cache, "runs/first") / "model.safetensors").write_bytes(b"")
    (tmp_path / "runs" / "first").mkdir(parents=True)
    assert find_weights("runs/first") == Path("runs/first")
    shutil.rmtree(tmp_path / "runs")
    assert find_weights("runs/first").is_relative_to(cache)


def test_what_is_a_name_of_the_hub() -> None:
    for name in ("google-bert/bert-base-uncased", "a/b:c/d.pth", "timm/resnet18.tv_in1k"):
        assert is_hub_name(name), name
    for path in (
        "vggish.pth",
        "weights/vggish.pth",
        "/runs/first",
        "a/b/c",
        "./first",
        "../run",
        "bert",
    ):
        assert not is_hub_name(path), path


@pytest.mark.parametrize("name", ["runs/bundel", "someone/audio:vggish.pth"])
def test_without_a_network_one_line_names_both_readings(cache: Path, name: str) -> None:
    with pytest.raises(MerEdgeError) as caught:
        find_weights(name)
    told = str(caught.value)
    assert told.startswith(f"{name}: no such file or run here, and the hub cannot be reached")
    assert "owner/name:FILE" in told
    assert "\n" not in told


def test_a_bert_without_a_network_is_one_line(cache: Path) -> None:
    with pytest.raises(MerEdgeError, match="nobody/bert: cannot load a text encoder") as caught:
        build_model(TINY, bert="nobody/bert")
    assert "\n" not in str(caught.value)


def test_what_the_hub_says_is_passed_on(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoEntryError(EntryNotFoundError):
        def __init__(self) -> None:
            Exception.__init__(self, "404")

    def absent(*_: object, **__: object) -> str:
        raise NoEntryError

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", absent)
    with pytest.raises(MerEdgeError, match=r"it has no model\.safetensors or pytorch_model\.bin"):
        find_weights("someone/empty")

    def forbidden(*_: object, **__: object) -> str:
        raise OSError("401 Client Error.\nRequest ID: 7")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", forbidden)
    with pytest.raises(MerEdgeError, match=r"and the hub says: 401 Client Error\.; expected"):
        find_weights("someone/private")


def test_code_beside_the_weights_is_not_run(cache: Path) -> None:
    folder = snapshot(cache, "someone/clever")
    small_bert(folder)
    (folder / "evil.py").write_text("open('ran', 'w')\n")
    config = folder / "config.json"
    changed = config.read_text().replace(
        '"model_type": "bert"', '"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}'
    )
    config.write_text(changed)
    with pytest.raises(MerEdgeError, match="cannot load a text encoder") as caught:
        build_model(TINY, bert="someone/clever")
    assert "\n" not in str(caught.value)
    assert not Path("ran").exists()
