"""What a bundle can be measured against, and how that is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_edge.bundle import MANIFEST, Bundle
from mer_edge.errors import MerEdgeError
from mer_edge.stages import require_packages
from runtime.bench.partner import Partner

TRACED = ("torch", "torchvision", "transformers")
"""What whoever builds the PyTorch network needs."""
EXPORTED = (*TRACED, "onnx", "onnx_ir", "onnxscript")


@dataclass(frozen=True)
class PeerKind:
    """One of the names that ``--against`` takes."""

    help: str
    packages: tuple[str, ...]
    graph: str = ""
    """The one graph that is made of the network for it: ``traced`` or ``joined``; none for it."""
    takes_run: bool = True
    """Whether --run can give it the bundle's own weights."""
    devices: tuple[str, ...] = ("cpu",)


PEERS = {
    "pytorch": PeerKind("the PyTorch network as it is, fp32", TRACED, devices=("cpu", "cuda")),
    "torch-compile": PeerKind("the same through torch.compile", TRACED, devices=("cpu", "cuda")),
    "onnxruntime": PeerKind("the network as one ONNX graph, on ONNX Runtime", EXPORTED, "traced"),
    "onnxruntime-merged": PeerKind(
        "the bundle's own graphs joined into one, on ONNX Runtime",
        ("onnx",),
        "joined",
        takes_run=False,
    ),
    "openvino": PeerKind("the network as one ONNX graph, on OpenVINO in bf16", EXPORTED, "traced"),
    "openvino-fp32": PeerKind("the same in fp32", EXPORTED, "traced"),
}
"""By name; everything else is the path of a bundle."""
OPENVINO = "openvino>=2025.1"
"""It comes with no extra: the runtime does not use it."""


@dataclass(frozen=True)
class MadeGraph:
    """The whole network as one ONNX file."""

    file: Path
    notes: list[str]
    """What is to be said of it."""


def check_peer(name: str, run: Path | None, device: str) -> None:
    """Whether ``--against name`` can be had, asked before anything is measured or imported.

    Raises:
        MerEdgeError: no such name and no such bundle; --run or the device does not go with it.
        MissingExtraError: a package is not installed.
    """
    import importlib.util

    kind = PEERS.get(name)
    if kind is None:
        if not (Path(name) / MANIFEST).is_file():
            raise MerEdgeError(
                f"--against {name}: neither a bundle nor one of {', '.join(PEERS)}; name one of "
                "these, or the directory of a bundle"
            )
        if run is not None:
            raise MerEdgeError(f"found --run with --against {name}, a bundle with weights already")
        return
    if run is not None and not kind.takes_run:
        raise MerEdgeError(f"found --run with --against {name}, which takes the bundle's weights")
    if run is not None and not run.is_dir():
        raise MerEdgeError(f"--run {run}: no directory; expected one that mer-edge train made")
    if device not in kind.devices:
        raise MerEdgeError(
            f"--against {name} runs on {' and '.join(kind.devices)}; found --device {device}"
        )
    require_packages(f"--against {name}", kind.packages, "export")
    if name.startswith("openvino") and importlib.util.find_spec("openvino") is None:
        raise MerEdgeError(
            f"--against {name} needs the package openvino, which is not installed; "
            f"run: pip install '{OPENVINO}'"
        )


def start_peer(
    name: str,
    bundle: Bundle,
    clip: Path,
    device: str,
    threads: int | None,
    run: Path | None = None,
    graph: MadeGraph | None = None,
) -> Partner:
    """The child process, ready for its first turn.

    Args:
        clip: .npz of ``mer_edge.clip_file``; a graph that has to be made is put beside it.
        run: a training run, whose weights it takes.
        graph: made before; None makes it.

    Raises:
        MerEdgeError: see ``check_peer``; or the peer cannot run this network.
    """
    check_peer(name, run, device)
    what = f"--against {name}"
    request: dict[str, Any] = {
        "peer": name,
        "bundle": str(bundle.path.absolute()),
        "clip": str(clip.absolute()),
        "device": device,
        "threads": threads,
        "run": None if run is None else str(run.absolute()),
    }
    if name not in PEERS:
        request["bundle"] = str(Path(name).absolute())
        return Partner("runtime.bench.bundle_peer", request, what)
    kind = PEERS[name].graph
    if not kind:
        return Partner("export.peers.torch_peer", request, what)
    graph = graph or make_graph(kind, bundle, clip.with_suffix(".onnx"), run, what)
    request |= {"graph": str(graph.file.absolute()), "notes": graph.notes}
    return Partner("export.peers.graph_peer", request, what)


def make_graph(kind: str, bundle: Bundle, file: Path, run: Path | None, what: str) -> MadeGraph:
    """Write the one graph into ``file``, in a process whose memory is given back at its end.

    Args:
        kind: ``traced`` or ``joined``.

    Raises:
        MerEdgeError: the network cannot be built or traced.
    """
    request = {
        "bundle": str(bundle.path.absolute()),
        "run": None if run is None else str(run.absolute()),
        "graph": str(file.absolute()),
        "joined": kind == "joined",
    }
    with Partner("export.peers.graph_maker", request, what) as maker:
        return MadeGraph(file, maker.notes)
