"""What ``Bundle.load`` refuses of a manifest: what is none, or contradicts itself.

Every error names the file and says what was found and what was expected.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import NoReturn

from mer_edge import starter_bundle
from mer_edge.bundle import (
    BUNDLE_SCHEMA_VERSION,
    FUSED,
    GRAPHS,
    MANIFEST,
    MAPS,
    STEMS,
    Manifest,
    Preprocessing,
    TensorSpec,
)
from mer_edge.decision import decision_fault
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import fault_of
from mer_edge.segments import (
    FACE_SIZE_PX,
    MODALITIES,
    SAMPLE_RATE_HZ,
    SEGMENT_HOP_SAMPLES,
    SEGMENT_SAMPLES,
)

PREPROCESSING = Preprocessing(SAMPLE_RATE_HZ, SEGMENT_HOP_SAMPLES, SEGMENT_SAMPLES, FACE_SIZE_PX)
"""What this version's media side does."""
DTYPES = ("float32", "float16", "int64", "int32", "uint8", "bool")
INPUT_CHOICES: dict[str, tuple[frozenset[str], ...]] = {
    "text": (frozenset({"input_ids", "attention_mask"}),),
    "audio": (
        frozenset({"waveform"}),
        frozenset({"waveform", "text"}),
        frozenset({"waveform", "tokens", "token_mask"}),
    ),
    "visual_stem": (frozenset({"faces"}),),
    "visual": (
        frozenset({"faces"}),
        frozenset({"faces", "text"}),
        frozenset({"faces", "tokens", "token_mask"}),
        frozenset({"visual_map", "text"}),
        frozenset({"visual_map", "tokens", "token_mask"}),
    ),
    "fusion": tuple(
        frozenset(subset) | {f"{name}_mask" for name in subset}
        for size in (3, 2, 1)
        for subset in combinations(MODALITIES, size)
    ),
}
"""Per graph, the sets of input names the runtime knows how to feed.

An encoder without SEMs takes no text; the fusion takes the modalities that have a decision."""
OUTPUTS: dict[str, frozenset[str]] = {
    "text": frozenset({"text"}),
    "audio": frozenset({"audio"}),
    "visual_stem": frozenset({"visual_map"}),
    "visual": frozenset({"visual"}),
    "fusion": frozenset(FUSED),
}
"""Per graph, the outputs the runtime reads; ``tokens`` of the text graph comes on top where the
encoders take it."""


def read_manifest(directory: Path) -> Manifest:
    """Decode ``manifest.json`` strictly, its schema version first.

    Raises:
        MerEdgeError: no such directory, no manifest, no JSON, another schema, a missing field or
            a field of the wrong type.
    """
    import msgspec

    path = directory / MANIFEST
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MerEdgeError(_unreadable(directory, error)) from error
    try:
        version = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("schema_version")
        if version is not None and bytes(version) != str(BUNDLE_SCHEMA_VERSION).encode():
            raise MerEdgeError(
                f"{path}: schema version {bytes(version).decode()[:20]} is unknown; this mer-edge "
                f"reads {BUNDLE_SCHEMA_VERSION}; export the bundle again or update mer-edge"
            )
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.ValidationError as error:
        raise MerEdgeError(f"{path}: {error}; export the bundle again") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MerEdgeError(f"{path}: not JSON ({error}); export the bundle again") from error


def _unreadable(directory: Path, error: OSError) -> str:
    if directory == starter_bundle.STARTER and isinstance(error, FileNotFoundError):
        return starter_bundle.not_there()
    if not directory.exists():
        return f"{directory}: no such bundle; expected a directory made by mer-edge export"
    if not directory.is_dir():
        return f"{directory}: a file; expected a bundle, the directory made by mer-edge export"
    if isinstance(error, FileNotFoundError):
        return f"{directory}: no {MANIFEST} in it; expected a bundle made by mer-edge export"
    return f"{directory / MANIFEST}: cannot be read: {error.strerror}"


def check_manifest(manifest: Manifest, path: Path) -> None:
    """Refuse a manifest that contradicts itself or wants what this runtime does not do.

    Raises:
        MerEdgeError: the first contradiction, named with ``path``.
    """
    _check_labels(manifest, path)
    _check_card(manifest, path)
    if manifest.evidence is not None and (fault := fault_of(manifest.evidence)):
        refuse(path, f"evidence.{fault}")
    if "fusion" not in manifest.graphs:
        refuse(path, "no graph 'fusion'; expected one in every bundle")
    _check_chain(manifest, path)
    _check_sizes(manifest, path)
    for name in GRAPHS:
        if name in manifest.graphs:
            _check_graph(manifest, name, path)


def _check_card(manifest: Manifest, path: Path) -> None:
    for name, text in () if manifest.card is None else vars(manifest.card).items():
        if not text.strip() or "\n" in text:
            refuse(path, f"card.{name} is {text!r}; expected one line")


def _check_chain(manifest: Manifest, path: Path) -> None:
    """Every graph finds what it takes, and what it gives is taken."""
    fused = _names(manifest, "fusion")
    guides = _names(manifest, "audio") | _names(manifest, "visual")
    wanted = {
        "text": "text" in fused or bool(guides & {"text", "tokens"}),
        "audio": "audio" in fused,
        "visual": "visual" in fused,
    }
    wanted |= {stem: MAPS[name] in _names(manifest, name) for name, stem in STEMS.items()}
    for name, needed in wanted.items():
        if needed and name not in manifest.graphs:
            refuse(path, f"no graph {name!r}, which another graph takes the output of")
        if not needed and name in manifest.graphs:
            refuse(path, f"the {name} graph gives what no other graph takes")
    if "tokens" in guides:
        outputs = {tensor.name for tensor in manifest.graphs["text"].outputs}
        if "tokens" not in outputs:
            refuse(path, "an encoder takes tokens but the text graph does not give them")
    for encoder, stem in STEMS.items():
        if stem in manifest.graphs:
            _check_map(manifest, encoder, path)


def _check_map(manifest: Manifest, encoder: str, path: Path) -> None:
    """An encoder takes from its stem what that gives."""
    stem, name = STEMS[encoder], MAPS[encoder]
    given = [tensor for tensor in manifest.graphs[stem].outputs if tensor.name == name]
    taken = [tensor for tensor in manifest.graphs[encoder].inputs if tensor.name == name]
    if given and taken != given:
        wants, gives = (", ".join(f"{x.dtype} {x.shape}" for x in side) for side in (taken, given))
        refuse(path, f"the {encoder} graph takes {name} {wants}; the {stem} graph gives {gives}")


def _check_labels(manifest: Manifest, path: Path) -> None:
    labels = manifest.labels
    if not labels or len(set(labels)) != len(labels) or not all(label.strip() for label in labels):
        refuse(path, f"labels are {labels}; expected at least one, all different, none empty")
    fault = decision_fault(
        len(labels),
        manifest.task,
        manifest.thresholds,
        manifest.temperatures,
        manifest.min_confidence,
    )
    if fault:
        refuse(path, fault)


def _check_sizes(manifest: Manifest, path: Path) -> None:
    graphs = manifest.graphs
    for name, size in (
        ("text", manifest.text_size),
        ("audio", manifest.audio_size),
        ("visual", manifest.visual_size),
    ):
        if name in graphs and size < 1:
            refuse(path, f"{name}_size is {size}; expected at least 1")
        if name not in graphs and size != 0:
            refuse(path, f"{name}_size is {size}; expected 0, because there is no {name} graph")
    if "text" in graphs and manifest.max_tokens < 3:
        refuse(path, f"max_tokens is {manifest.max_tokens}; expected room for [CLS] word [SEP]")
    if manifest.preprocessing != PREPROCESSING:
        refuse(path, f"wants {manifest.preprocessing}; this mer-edge does {PREPROCESSING}")
    required = ["segments"] if "audio" in graphs or "visual" in graphs else []
    required += ["batch", *(["tokens"] if "text" in graphs else [])]
    for name in required:
        if name not in manifest.shape_ranges:
            refuse(path, f"shape_ranges has no {name!r}; expected {', '.join(required)}")
    for name, sizes in manifest.shape_ranges.items():
        if not 1 <= sizes.minimum <= sizes.optimum <= sizes.maximum:
            refuse(path, f"shape_ranges.{name} is {sizes}; expected 1 <= min <= opt <= max")
        if name != "tokens" and sizes.minimum != 1:
            refuse(path, f"shape_ranges.{name}.minimum is {sizes.minimum}; expected 1")


def _check_graph(manifest: Manifest, name: str, path: Path) -> None:
    spec = manifest.graphs[name]
    inputs = _names(manifest, name)
    if inputs not in INPUT_CHOICES[name] or len(inputs) != len(spec.inputs):
        wanted = " or ".join(", ".join(sorted(choice)) for choice in INPUT_CHOICES[name])
        refuse(path, f"the {name} graph takes {', '.join(sorted(inputs))}; expected {wanted}")
    missing = OUTPUTS[name] - {tensor.name for tensor in spec.outputs}
    if missing:
        refuse(path, f"the {name} graph gives no {', '.join(sorted(missing))}")
    widths = _widths(manifest)
    for tensor in (*spec.inputs, *spec.outputs):
        _check_tensor(tensor, widths.get(tensor.name), f"{name}.{tensor.name}", path)


def _widths(manifest: Manifest) -> dict[str, int]:
    """Size of the last dimension of every tensor whose size the manifest states elsewhere."""
    labels = len(manifest.labels)
    return {
        "text": manifest.text_size,
        "tokens": manifest.text_size,
        "audio": manifest.audio_size,
        "visual": manifest.visual_size,
        "waveform": SEGMENT_SAMPLES,
        "faces": 3,
        "logits": labels,
        "decisions": labels,
        "weights": len(MODALITIES),
    }


def _check_tensor(tensor: TensorSpec, width: int | None, name: str, path: Path) -> None:
    if tensor.dtype not in DTYPES:
        refuse(path, f"{name} is of type {tensor.dtype!r}; expected one of {', '.join(DTYPES)}")
    if not tensor.shape or any(isinstance(size, int) and size < 1 for size in tensor.shape):
        refuse(path, f"{name} has the shape {tensor.shape}; expected names and numbers above 0")
    if width is not None and tensor.shape[-1] != width:
        refuse(path, f"{name} ends in {tensor.shape[-1]} values; expected {width}")


def _names(manifest: Manifest, graph: str) -> frozenset[str]:
    """The inputs of a graph; none of one that is not there."""
    spec = manifest.graphs.get(graph)
    return frozenset(tensor.name for tensor in spec.inputs) if spec else frozenset()


def refuse(path: Path, found: str) -> NoReturn:
    """Raise a MerEdgeError that names the file and says what to do."""
    raise MerEdgeError(f"{path}: {found}; export the bundle again")
