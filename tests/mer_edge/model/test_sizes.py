"""Parameter counts against the paper's parts, and the shapes between the groups."""

import pytest
import torch
from transformers import BertConfig, BertModel

from mer_edge.model.config import PRESETS
from mer_edge.model.mer import MerModel
from mer_edge.model.resnet import VisualEncoder
from mer_edge.model.sem import TextGuide
from mer_edge.model.vggish import AudioEncoder
from tests.mer_edge.model.batches import parameter_count


def on_meta(preset: str) -> MerModel:
    with torch.device("meta"):
        return MerModel(PRESETS[preset])


def test_paper_preset_has_the_papers_parts() -> None:
    model = on_meta("paper")
    sems = parameter_count(model.vggish.sems) + parameter_count(model.resnet.sems)
    assert parameter_count(model.vggish.backbone) == 72_141_184
    assert parameter_count(model.resnet.backbone) == 11_176_512
    assert sems == 3_087_872
    assert parameter_count(model.fusion.mbt) == 174_848
    assert parameter_count(model) == 195_532_220


def test_text_encoder_is_bert_base_without_its_pooler() -> None:
    with torch.device("meta"):
        whole = BertModel(BertConfig())
    assert parameter_count(whole) == 109_482_240
    assert parameter_count(whole.pooler) == 590_592
    assert parameter_count(on_meta("paper").text_encoder) == 109_482_240 - 590_592


def test_without_the_embedding_tables_it_is_the_papers_173_million() -> None:
    """The paper states 173 M; its count has the pooler and lacks BERT's embedding tables."""
    model = on_meta("paper")
    tables = parameter_count(model.text_encoder.bert.embeddings)
    assert round((parameter_count(model) + 590_592 - tables) / 1e6) in (172, 173)


@pytest.mark.parametrize(("preset", "exact"), [("edge", 29_128_860), ("tiny", 89_148)])
def test_small_presets(preset: str, exact: int) -> None:
    assert parameter_count(on_meta(preset)) == exact


def test_edge_preset_stays_below_30_million() -> None:
    assert parameter_count(on_meta("edge")) <= 30_000_000


def test_maps_of_vggish_have_the_papers_shapes() -> None:
    sizes = PRESETS["paper"].audio
    with torch.device("meta"):
        encoder = AudioEncoder(sizes, 768, (2, 4), "spatial")
        text = TextGuide(torch.empty(2, 768))
        maps = encoder.feature_maps(torch.empty(2, 96, 64), text)
        embedding = encoder.backbone.embed(maps[-1])
    shapes = [tuple(feature_map.shape[1:]) for feature_map in maps]
    assert shapes == [(64, 48, 32), (128, 24, 16), (256, 12, 8), (512, 6, 4)]
    assert embedding.shape == (2, 128)


def test_maps_of_resnet18_have_the_papers_shapes() -> None:
    with torch.device("meta"):
        encoder = VisualEncoder(PRESETS["paper"].visual, 768, (3, 5), "spatial")
        text = TextGuide(torch.empty(2, 768))
        maps = encoder.feature_maps(torch.empty(2, 3, 224, 224), text)
    shapes = [tuple(feature_map.shape[1:]) for feature_map in maps]
    assert shapes == [(64, 56, 56), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]
