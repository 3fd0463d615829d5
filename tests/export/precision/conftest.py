"""Real clips for calibration: what the demo's data set is made of."""

import onnx
import pytest

from export.chain import absent_text_of, encoder_sizes
from export.exporter import tokenizer_of
from export.precision.calibration import CalibrationSet, collect
from export.runners import OnnxRunner
from mer_edge.samples.clips import load_sample
from mer_edge.samples.manifest import read_manifest


@pytest.fixture(scope="session")
def calibration(exported, drawn_clips) -> CalibrationSet:
    model = exported.checkpoint.model
    clips = [load_sample(sample) for sample in read_manifest(drawn_clips)]
    return collect(
        clips,
        OnnxRunner(exported.files),
        tokenizer_of(exported.checkpoint),
        absent_text_of(model),
        encoder_sizes(model.config),
    )


@pytest.fixture
def graph(exported):
    return lambda name: onnx.load(exported.files[name])
