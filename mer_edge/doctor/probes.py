"""The probes. Each runs in a process of its own (see ``isolate``) and tries the real thing.

A probe returns ``(status, detail, fix, facts)``, what ``Finding`` takes
after its name.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable, Sequence

from mer_edge.doctor.isolate import MARK

Answer = tuple[str, str, str, dict[str, str]]

BASE_MODULES = ("numpy", "av", "cv2", "tokenizers", "safetensors", "pysubs2", "rich", "msgspec")
"""What every command imports."""
DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg4", "aac", "mp3", "opus", "flac", "pcm_s16le")
"""What clips of the usual cameras, phones and recorders need."""

REMOTE_PROVIDERS = ("AzureExecutionProvider",)
"""Listed by every ONNX Runtime; they run nothing on the machine."""


def answer(probe: str, arguments: Sequence[str]) -> None:
    """Run one probe and print what it found as one line of JSON."""
    try:
        status, detail, fix, facts = PROBES[probe](*arguments)
    except ModuleNotFoundError as error:
        status, detail, fix, facts = "missing", f"needs {error.name}", "pip install mer-edge", {}
    except (Exception, SystemExit) as error:  # whatever a broken package throws is the finding
        status, detail, fix, facts = "broken", _told(error), "", {}
    found = {"status": status, "detail": detail, "fix": fix, "facts": facts}
    print(f"\n{MARK}{json.dumps(found)}", flush=True)


def _told(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def base_module(name: str) -> Answer:
    """Import one of the base dependencies."""
    if importlib.util.find_spec(name) is None:
        return "missing", "not installed", "pip install mer-edge", {}
    module = importlib.import_module(name)
    version = str(getattr(module, "__version__", "") or getattr(module, "VERSION", ""))
    return "ok", version or "imported", "", {"version": version}


def onnxruntime_package() -> Answer:
    """Import ONNX Runtime and list what it claims to have."""
    from mer_edge.engines import conflict, installed_onnxruntimes

    problem = conflict(installed_onnxruntimes())
    if problem:
        what, _, fix = problem.partition("; run: ")
        return "broken", what, fix.replace(" and then: ", " && "), {}
    if importlib.util.find_spec("onnxruntime") is None:
        return "missing", "not installed", "pip install 'mer-edge[cpu]'", {}
    import onnxruntime

    providers = onnxruntime.get_available_providers()
    facts = {"version": onnxruntime.__version__, "providers": " ".join(providers)}
    return "ok", f"{onnxruntime.__version__}, lists {', '.join(providers)}", "", facts


def int8() -> Answer:
    """The instruction sets that eight bits use, and whether the engine's INT8 kernels saturate."""
    from mer_edge.processor import describe_int8, instruction_sets, int8_saturates

    facts = {
        "instruction_sets": " ".join(instruction_sets()),
        "saturates": str(int8_saturates()).lower(),
    }
    return "ok", describe_int8(), "", facts


def provider(name: str) -> Answer:
    """Run a graph on one of ONNX Runtime's providers."""
    if name in REMOTE_PROVIDERS:
        return "info", "a proxy for a remote service; not used", "", {}
    from mer_edge.doctor.tiny_graph import run_double

    problem = run_double(name)
    if problem is not None:
        return "broken", problem, "", {}
    return "ok", "ran a graph, the numbers are right", "", {}


def media() -> Answer:
    """FFmpeg inside PyAV, and the decoders it has."""
    import av

    missing = []
    for decoder in DECODERS:
        try:
            av.codec.Codec(decoder, "r")
        except Exception:  # PyAV's class of this error has changed its place between versions
            missing.append(decoder)
    ffmpeg = str(getattr(av, "ffmpeg_version_info", "") or av.library_versions["libavcodec"])
    facts = {"pyav": av.__version__, "ffmpeg": ffmpeg, "missing_decoders": " ".join(missing)}
    if missing:
        return "broken", f"FFmpeg {ffmpeg} lacks decoders: {', '.join(missing)}", "", facts
    return "ok", f"FFmpeg {ffmpeg}, decodes {', '.join(DECODERS)}", "", facts


def detector() -> Answer:
    """Find a drawn face with the default detector."""
    from mer_edge.doctor.drawn_face import draw_face
    from mer_edge.errors import MerEdgeError, MissingExtraError
    from mer_edge.faces.detector import open_detector

    try:
        found = open_detector()
    except MissingExtraError:
        return "missing", "needs onnxruntime", "pip install 'mer-edge[cpu]'", {}
    except MerEdgeError as error:
        what, _, fix = str(error).partition("; run: ")
        return "missing", what, fix, {}
    faces = found.detect(draw_face())
    if len(faces) != 1:
        return "broken", f"{found.name} found {len(faces)} faces in a drawing of one", "", {}
    detail = f"{found.name} found a drawn face (score {faces[0].score:.2f})"
    return "ok", detail, "", {"name": found.name, "score": f"{faces[0].score:.3f}"}


def asr() -> Answer:
    """Import faster-whisper and the engine below it."""
    if importlib.util.find_spec("faster_whisper") is None:
        return "missing", "faster-whisper is not installed", "pip install 'mer-edge[asr]'", {}
    import faster_whisper

    engine = importlib.import_module("ctranslate2")
    types = sorted(engine.get_supported_compute_types("cpu"))
    detail = f"faster-whisper {faster_whisper.__version__}, on the CPU: {', '.join(types)}"
    return "ok", detail, "", {"version": faster_whisper.__version__}


def tensorrt(flavour: str) -> Answer:
    """Import one of TensorRT's two flavours and make a builder."""
    from mer_edge.tensorrt_api import is_installed, load_tensorrt

    if not is_installed(flavour):
        return "missing", "not installed (optional)", f"pip install 'mer-edge[{flavour}]'", {}
    api = load_tensorrt(flavour)
    said: list[str] = []
    logger = api.logger(lambda severity, message: said.append(message))
    if api.module.Builder(logger) is None:
        return "broken", f"{api.version}, but it makes no builder: {'; '.join(said)}", "", {}
    return "ok", f"{api.version}, made a builder", "", {"version": api.version}


def starter(directory: str) -> Answer:
    """Load the built-in bundle and run its golden clips on the CPU."""
    from pathlib import Path

    from mer_edge import starter_bundle
    from mer_edge.bundle import MANIFEST, Bundle
    from mer_edge.stages import load_stage

    path = Path(directory)
    if not (path / MANIFEST).is_file():
        return "missing", f"no built-in bundle in {path}; name one with --bundle DIR", "", {}
    bundle = Bundle.load(path)
    manifest = bundle.manifest
    if not (path / starter_bundle.LICENCE).is_file():
        return "broken", f"{path}: no {starter_bundle.LICENCE} of its weights", "", {}
    size_mb = sum(file.stat().st_size for file in path.iterdir() if file.is_file()) / 1e6
    licence = "" if manifest.card is None else manifest.card.licence
    facts = {"name": manifest.model.name, "licence": licence, "size_mb": f"{size_mb:.1f}"}
    backend = load_stage("runtime.backend").open_backend("cpu", bundle, None)
    found = load_stage("runtime.verify").verify(bundle, backend)
    if not found.passed:
        return "broken", f"computes something else here: {found.first_difference}", "", facts
    told = ", ".join(filter(None, (manifest.model.name, f"{size_mb:.1f} MB", licence)))
    return "ok", f"{told}; its golden clips come out right", "", facts


PROBES: dict[str, Callable[..., Answer]] = {
    "base_module": base_module,
    "onnxruntime_package": onnxruntime_package,
    "int8": int8,
    "provider": provider,
    "media": media,
    "detector": detector,
    "asr": asr,
    "tensorrt": tensorrt,
    "starter": starter,
}
