"""A miniature bundle whose arithmetic fits on a sheet of paper, built with onnx.helper.

Text: [sum of the token ids, number of tokens]. Audio of a segment: [mean of the waveform, first
value of the guide]. Visual: [mean of the face / 255, second value of the guide]. The guide is the
text vector, or with ``tokens`` the masked mean of the token vectors [id, 1]. Fusion: a modality's
decision is the masked mean of its features (the text's: the vector itself), the modalities that are
there count alike, and the logits are the weighted sum. With ``stem`` the visual graph is two: the
stem gives the mean of each row of a face's pixels / 255, the rest is the visual graph's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from mer_edge.bundle import (
    CONSTANTS,
    GOLDEN,
    TOKENIZER,
    GraphSpec,
    Manifest,
    Parity,
    Preprocessing,
    ShapeRange,
    TensorSpec,
    sha256_of,
    write_manifest,
)
from mer_edge.clip import Clip
from mer_edge.segments import FACE_SIZE_PX

VOCABULARY = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "good": 4, "bad": 5, "day": 6}
LABELS = ["happy", "sad"]
THRESHOLDS = [0.5, 0.25]
ABSENT_TEXT = np.array([-1.0, 0.5], np.float32)
NOTICE = "this bundle knows arithmetic only"
F32, I64, U8, BOOL = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.BOOL,
)


def make_bundle(
    path: Path,
    *,
    tokens: bool = False,
    stem: bool = False,
    max_tokens: int = 8,
    max_segments: int = 4,
    max_clip_segments: int = 6,
    max_batch: int = 3,
    notice: str = NOTICE,
    **decision: Any,
) -> Path:
    """Write a whole valid bundle to ``path`` and return it.

    Args:
        decision: fields of the manifest that say how it decides; with ``task="multiclass"``
            without thresholds.
    """
    path.mkdir(parents=True)
    specs = {
        "text": _save(path, _text_graph(tokens)),
        "audio": _save(path, _audio_graph(tokens)),
        **({"visual_stem": _save(path, _stem_graph())} if stem else {}),
        "visual": _save(path, _tail_graph(tokens) if stem else _visual_graph(tokens)),
        "fusion": _save(path, _fusion_graph()),
    }
    (path / TOKENIZER).write_text(tokenizer_json())
    save_file({"absent_text": ABSENT_TEXT}, path / CONSTANTS)
    save_file({"full.fusion.logits": np.array([[1.0, 2.0]], np.float32)}, path / GOLDEN)
    manifest = Manifest(
        schema_version=2,
        variant="MER-SEM-MBT",
        preset="paper-and-pencil",
        labels=LABELS,
        thresholds=[] if decision.get("task") == "multiclass" else list(THRESHOLDS),
        text_size=2,
        audio_size=2,
        visual_size=2,
        max_tokens=max_tokens,
        preprocessing=Preprocessing(16_000, 15_360, 15_600, 224),
        graphs=specs,
        files={name: sha256_of(path / name) for name in (TOKENIZER, CONSTANTS, GOLDEN)},
        shape_ranges={
            "segments": ShapeRange(1, 2, max_segments),
            "clip_segments": ShapeRange(1, 2, max_clip_segments),
            "batch": ShapeRange(1, 1, max_batch),
            "tokens": ShapeRange(3, 4, max_tokens),
        },
        target="cpu",
        parity=Parity(0.0, 1e-4, 1),
        notice=notice,
        provenance={"made by": "tests"},
        **decision,
    )
    write_manifest(path, manifest)
    return path


def make_clip(
    text: str | None = "good day",
    audio: list[float | None] | None = None,
    faces: list[int | None] | None = None,
    source: str = "clip.mp4",
) -> Clip:
    """A clip whose segments have a constant sample and a constant grey; None is absent."""
    audio = [0.25, 0.75] if audio is None else audio
    faces = [51, 102] if faces is None else faces
    assert len(audio) == len(faces)
    waveform = np.zeros((len(audio), 15_600), np.float32)
    pictures = np.zeros((len(faces), 224, 224, 3), np.uint8)
    for index, (sample, grey) in enumerate(zip(audio, faces, strict=True)):
        waveform[index] = sample or 0.0
        pictures[index] = grey or 0
    return Clip(
        text=text,
        waveform=waveform,
        faces=pictures,
        audio_present=np.array([sample is not None for sample in audio]),
        face_present=np.array([grey is not None for grey in faces]),
        source=source,
        start_s=0.0,
        end_s=0.96 * len(audio),
    )


def expected_logits(clip: Clip) -> NDArray[np.float64]:
    """The arithmetic of the graphs in plain NumPy, shape = (2,)."""
    text = ABSENT_TEXT.astype(np.float64)
    if clip.text is not None:
        ids = [2, *(VOCABULARY.get(word, 1) for word in clip.text.split()), 3]
        text = np.array([sum(ids), len(ids)], np.float64)
    said = []
    if clip.has_audio:
        said.append([clip.waveform[clip.audio_present].astype(np.float64).mean(), text[0]])
    if clip.has_face:
        said.append([clip.faces[clip.face_present].mean() / 255, text[1]])
    if clip.text is not None:
        said.append(list(text))
    return np.mean(np.array(said), axis=0)


def tokenizer_json() -> str:
    """One word, one token, between [CLS] and [SEP]."""
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return str(tokenizer.to_str())


def _save(path: Path, graph: onnx.GraphProto) -> GraphSpec:
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    file = path / f"{graph.name}.onnx"
    onnx.save(model, file)
    return GraphSpec(file.name, sha256_of(file), "fp32", _specs(graph.input), _specs(graph.output))


def _specs(values: list[onnx.ValueInfoProto]) -> list[TensorSpec]:
    return [
        TensorSpec(
            value.name,
            helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
            [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
        )
        for value in values
    ]


def _value(name: str, dtype: int, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def _constant(name: str, value: object, dtype: type = np.int64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, dtype), name)


_AXES = [_constant(f"axis{axis}", [axis]) for axis in range(4)]


def _text_graph(tokens: bool) -> onnx.GraphProto:
    node = helper.make_node
    nodes = [
        node("Mul", ["input_ids", "attention_mask"], ["kept"]),
        node("Unsqueeze", ["kept", "axis2"], ["id_column"]),
        node("Unsqueeze", ["attention_mask", "axis2"], ["one_column"]),
        node("Concat", ["id_column", "one_column"], ["pairs"], axis=2),
        node("Cast", ["pairs"], ["tokens"], to=F32),
        node("ReduceSum", ["tokens", "axis1"], ["text"], keepdims=0),
    ]
    outputs = [_value("text", F32, "batch", 2)]
    if tokens:
        outputs.append(_value("tokens", F32, "batch", "tokens", 2))
    inputs = [_value(name, I64, "batch", "tokens") for name in ("input_ids", "attention_mask")]
    return helper.make_graph(nodes, "text", inputs, outputs, _AXES)


def _guide(tokens: bool) -> tuple[list[onnx.NodeProto], list[onnx.ValueInfoProto]]:
    """Nodes that give ``guide`` (S, 2), and the inputs they read."""
    node = helper.make_node
    if not tokens:
        return [node("Identity", ["text"], ["guide"])], [_value("text", F32, "segments", 2)]
    nodes = [
        node("Cast", ["token_mask"], ["token_weight"], to=F32),
        node("Unsqueeze", ["token_weight", "axis2"], ["token_column"]),
        node("Mul", ["tokens", "token_column"], ["shown"]),
        node("ReduceSum", ["shown", "axis1"], ["shown_sum"], keepdims=0),
        node("ReduceSum", ["token_weight", "axis1"], ["token_count"], keepdims=1),
        node("Div", ["shown_sum", "token_count"], ["guide"]),
    ]
    return nodes, [
        _value("tokens", F32, "segments", "tokens", 2),
        _value("token_mask", BOOL, "segments", "tokens"),
    ]


def _encoder(
    name: str, mean: list[onnx.NodeProto], signal: onnx.ValueInfoProto, tokens: bool, column: int
) -> onnx.GraphProto:
    """Features [mean of the signal, one column of the guide]."""
    nodes, inputs = _guide(tokens)
    nodes = [
        *nodes,
        *mean,
        helper.make_node("Gather", ["guide", "column"], ["guide_column"], axis=1),
        helper.make_node("Concat", ["mean", "guide_column"], [name], axis=1),
    ]
    constants = [*_AXES, _constant("column", [column]), _constant("full", 255.0, np.float32)]
    outputs = [_value(name, F32, "segments", 2)]
    return helper.make_graph(nodes, name, [signal, *inputs], outputs, constants)


def _audio_graph(tokens: bool) -> onnx.GraphProto:
    mean = [helper.make_node("ReduceMean", ["waveform", "axis1"], ["mean"], keepdims=1)]
    return _encoder("audio", mean, _value("waveform", F32, "segments", 15_600), tokens, 0)


def _visual_graph(tokens: bool) -> onnx.GraphProto:
    signal = _value("faces", U8, "segments", FACE_SIZE_PX, FACE_SIZE_PX, 3)
    return _encoder("visual", [*_row_means(), _mean_of_rows()], signal, tokens, 1)


def _stem_graph() -> onnx.GraphProto:
    inputs = [_value("faces", U8, "segments", FACE_SIZE_PX, FACE_SIZE_PX, 3)]
    outputs = [_value("visual_map", F32, "segments", FACE_SIZE_PX)]
    constants = [*_AXES, _constant("full", 255.0, np.float32)]
    return helper.make_graph(_row_means(), "visual_stem", inputs, outputs, constants)


def _tail_graph(tokens: bool) -> onnx.GraphProto:
    signal = _value("visual_map", F32, "segments", FACE_SIZE_PX)
    return _encoder("visual", [_mean_of_rows()], signal, tokens, 1)


def _row_means() -> list[onnx.NodeProto]:
    """``visual_map``, the mean of each row of pixels / 255."""
    node = helper.make_node
    return [
        node("Cast", ["faces"], ["grey"], to=F32),
        node("Div", ["grey", "full"], ["unit"]),
        # One axis at a time: 150528 values added up one by one in fp32 miss the mean by 2e-4.
        node("ReduceMean", ["unit", "axis3"], ["columns"], keepdims=0),
        node("ReduceMean", ["columns", "axis2"], ["visual_map"], keepdims=0),
    ]


def _mean_of_rows() -> onnx.NodeProto:
    return helper.make_node("ReduceMean", ["visual_map", "axis1"], ["mean"], keepdims=1)


def _fusion_graph() -> onnx.GraphProto:
    node = helper.make_node
    nodes = []
    for name in ("audio", "visual"):
        nodes += [
            node("Cast", [f"{name}_mask"], [f"{name}_on"], to=F32),
            node("Unsqueeze", [f"{name}_on", "axis2"], [f"{name}_column"]),
            node("Mul", [name, f"{name}_column"], [f"{name}_kept"]),
            node("ReduceSum", [f"{name}_kept", "axis1"], [f"{name}_sum"], keepdims=0),
            node("ReduceSum", [f"{name}_on", "axis1"], [f"{name}_count"], keepdims=1),
            node("Max", [f"{name}_count", "one"], [f"{name}_least"]),
            node("Div", [f"{name}_sum", f"{name}_least"], [f"{name}_decision"]),
            node("Unsqueeze", [f"{name}_decision", "axis1"], [f"{name}_row"]),
            node("Min", [f"{name}_count", "one"], [f"{name}_there"]),
        ]
    nodes += [
        node("Cast", ["text_mask"], ["text_on"], to=F32),
        node("Unsqueeze", ["text_on", "axis1"], ["text_there"]),
        node("Unsqueeze", ["text", "axis1"], ["text_row"]),
        node("Concat", ["audio_row", "visual_row", "text_row"], ["decisions"], axis=1),
        node("Concat", ["audio_there", "visual_there", "text_there"], ["there"], axis=1),
        node("ReduceSum", ["there", "axis1"], ["there_count"], keepdims=1),
        node("Max", ["there_count", "one"], ["there_least"]),
        node("Div", ["there", "there_least"], ["weights"]),
        node("Unsqueeze", ["weights", "axis2"], ["weight_column"]),
        node("Mul", ["decisions", "weight_column"], ["weighted"]),
        node("ReduceSum", ["weighted", "axis1"], ["logits"], keepdims=0),
    ]
    inputs = [
        _value("audio", F32, "batch", "clip_segments", 2),
        _value("visual", F32, "batch", "clip_segments", 2),
        _value("text", F32, "batch", 2),
        _value("audio_mask", BOOL, "batch", "clip_segments"),
        _value("visual_mask", BOOL, "batch", "clip_segments"),
        _value("text_mask", BOOL, "batch"),
    ]
    outputs = [
        _value("logits", F32, "batch", 2),
        _value("decisions", F32, "batch", 3, 2),
        _value("weights", F32, "batch", 3),
    ]
    constants = [*_AXES, _constant("one", 1.0, np.float32)]
    return helper.make_graph(nodes, "fusion", inputs, outputs, constants)
