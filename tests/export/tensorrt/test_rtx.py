"""The real builder of TensorRT-RTX, which needs no GPU, on every graph in every precision."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from safetensors.numpy import load_file

from export.runners import OnnxRunner
from export.tensorrt.engines import (
    BuildOptions,
    Built,
    Device,
    build_engines,
    describe_device,
)
from mer_edge.bundle import GRAPHS, STEMS, Bundle, sha256_of, write_manifest
from mer_edge.cli.main import main
from mer_edge.golden import golden_cases, maps_from
from mer_edge.tensorrt_api import is_installed, load_tensorrt
from tests.export.tensorrt.conftest import BUNDLE

pytestmark = pytest.mark.skipif(
    not is_installed("tensorrt-rtx"),
    reason="TensorRT-RTX is not installed (its wheels are for Linux x86_64 and Windows)",
)
PRECISIONS = ("fp32", "fp16", "int8")
MAGIC = b"vtrt"
"""First bytes of a serialised engine of TensorRT-RTX 1.7."""


def converted(bundle: Bundle, precision: str) -> dict[str, tuple[onnx.ModelProto, str]]:
    """The graphs in a precision, and what each really is in; golden inputs calibrate INT8."""
    protos = {name: onnx.load(bundle.graph_path(name)) for name in bundle.manifest.graphs}
    if precision == "fp32":
        return {name: (proto, precision) for name, proto in protos.items()}
    calibration = pytest.importorskip("export.precision.calibration")
    convert = pytest.importorskip("export.precision.convert").convert
    clips = calibration.CalibrationSet(2, golden_feeds(bundle))
    made = {n: convert(n, proto, precision, "tensorrt", clips) for n, proto in protos.items()}
    return {name: (one.proto, one.precision) for name, one in made.items()}


def golden_feeds(bundle: Bundle) -> dict[str, list[dict]]:
    """Each graph's golden inputs, case by case; the maps that the file has not, from their stem."""
    path = bundle.path / "golden.safetensors"
    specs = bundle.manifest.graphs
    stem = OnnxRunner({name: bundle.graph_path(name) for name in STEMS.values()})
    feeds: dict[str, list[dict]] = {name: [] for name in specs}
    for case in golden_cases(load_file(path), path).values():
        given = {}
        for graph, tensors in case.graphs.items():
            if graph in STEMS.values():
                given[graph] = stem.run(graph, {"faces": tensors["faces"]})
        for graph, tensors in case.graphs.items():
            known = maps_from(given) | tensors
            feeds[graph].append({tensor.name: known[tensor.name] for tensor in specs[graph].inputs})
    return feeds


def copy_in(precision: str, out: Path) -> Path:
    """The committed bundle with its graphs in another precision."""
    bundle = Bundle.load(BUNDLE)
    out.mkdir()
    for file in BUNDLE.iterdir():
        (out / file.name).write_bytes(file.read_bytes())
    specs = {}
    graphs = converted(bundle, precision)
    for name, spec in bundle.manifest.graphs.items():
        proto, really = graphs[name]
        onnx.save(proto, out / spec.file)
        specs[name] = replace(spec, precision=really, sha256=sha256_of(out / spec.file))
    write_manifest(out, replace(bundle.manifest, graphs=specs))
    return out


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Built]:
    """Builds a graph in a precision, once, into one cache."""
    folder = tmp_path_factory.mktemp("rtx")
    options = BuildOptions("tensorrt-rtx", folder / "cache")

    @cache
    def device() -> Device:
        return describe_device(options)

    @cache
    def bundle(precision: str) -> Bundle:
        return Bundle.load(copy_in(precision, folder / precision))

    @cache
    def build(precision: str, graph: str) -> Built:
        whole = bundle(precision)
        part = replace(whole.manifest, graphs={graph: whole.manifest.graphs[graph]})
        (built,) = build_engines(
            Bundle(whole.path, part), device(), options, lambda *progress: None
        )
        return built

    return build


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_graph_in_every_precision_is_built(precision, graph, builds):
    built = builds(precision, graph)
    content = built.engine.read()
    assert content[:4] == MAGIC
    assert len(content) == built.engine.sidecar.bytes > 100_000
    assert built.replaced == ""
    # The fusion graph of an INT8 bundle is that of an fp16 one, whose engine is there already.
    assert (built.seconds > 0) != ((precision, graph) == ("int8", "fusion"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What ``mer-edge build --json`` says of the committed bundle."""
    folder = tmp_path_factory.mktemp("command")
    stdout = io.StringIO()
    arguments = ["--device", "tensorrt-rtx", "--cache", str(folder / "cache"), "--json"]
    with contextlib.redirect_stdout(stdout):
        assert main(["build", str(BUNDLE), *arguments]) == 0
    return json.loads(stdout.getvalue())


def test_the_second_time_nothing_is_built(built, capsys):
    arguments = ["--device", "tensorrt-rtx", "--cache", built["cache"]]
    assert main(["build", built["bundle"], *arguments]) == 0
    out = capsys.readouterr().out
    assert out.count("in the cache already") == len(GRAPHS)
    assert out.startswith(f"TensorRT-RTX {load_version()}, for RTX GPUs from Ampere on:\n")
    expected = f"next: mer-edge infer {built['bundle']} CLIP.mp4 --device tensorrt-rtx"
    assert out.splitlines()[-1] == expected


def load_version() -> str:
    return load_tensorrt("tensorrt-rtx").version


def test_a_damaged_engine_is_named_and_built_anew(built, capsys):
    plan = Path(built["engines"]["text"]["engine"])
    content = bytearray(plan.read_bytes())
    content[-1] ^= 1
    plan.write_bytes(content)
    arguments = ["--device", "tensorrt-rtx", "--cache", built["cache"], "--json"]
    assert main(["build", built["bundle"], *arguments]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert "the engine is damaged: SHA-256" in outcome["engines"]["text"]["replaced"]
    assert [one["built_now"] for one in outcome["engines"].values()] == [True] + [False] * (
        len(GRAPHS) - 1
    )
    assert plan.read_bytes() != bytes(content)


def broken_bundle(out: Path, change) -> Path:
    """The committed bundle with another audio graph, its manifest knowing."""
    copy = copy_in("fp32", out)
    manifest = Bundle.load(copy).manifest
    proto = onnx.load(copy / "audio.onnx")
    change(proto.graph)
    onnx.save(proto, copy / "audio.onnx")
    spec = replace(manifest.graphs["audio"], sha256=sha256_of(copy / "audio.onnx"))
    write_manifest(copy, replace(manifest, graphs=manifest.graphs | {"audio": spec}))
    return copy


def with_a_zero_point(graph: onnx.GraphProto) -> None:
    """Quantise the output unsigned with a zero point, as ONNX Runtime's CPU kernels want it."""
    last = graph.output[0].name
    (node,) = (node for node in graph.node if last in node.output)
    node.output[list(node.output).index(last)] = "unquantised"
    constants = {"scale": np.float32(0.1), "zero": np.uint8(128)}
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    pairs = (
        ("QuantizeLinear", "unquantised", "eight_bits"),
        ("DequantizeLinear", "eight_bits", last),
    )
    for operator, source, result in pairs:
        inputs = [source, "scale", "zero"]
        graph.node.append(helper.make_node(operator, inputs, [result], name=f"mer_{operator}"))


def with_an_unknown_operator(graph: onnx.GraphProto) -> None:
    last = graph.output[0].name
    (node,) = (node for node in graph.node if last in node.output)
    node.output[list(node.output).index(last)] = "before"
    graph.node.append(
        helper.make_node("Conjure", ["before"], [last], name="mer_conjure", domain="mer.example")
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [(with_an_unknown_operator, "mer_conjure"), (with_a_zero_point, "mer_QuantizeLinear")],
)
def test_a_graph_that_is_not_taken_is_refused_with_its_node(change, told, tmp_path, capsys):
    bundle = broken_bundle(tmp_path / "broken", change)
    arguments = ["--device", "tensorrt-rtx", "--cache", str(tmp_path / "cache"), "--quiet"]
    assert main(["build", str(bundle), *arguments]) == 2
    error = capsys.readouterr().err
    assert "does not take the graph audio" in error
    assert told in error
    assert not list((tmp_path / "cache").glob("audio*/*"))


def test_the_stage_is_light():
    program = (
        "import sys, export.tensorrt.engines, export.build_command;"
        "print([m for m in ('torch', 'tensorrt_rtx_bindings', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
