"""What the processor can do, asked of libraries and of the inference engine itself.

x86 processors without VNNI add products of bytes in 16 bits, which saturate: ONNX Runtime's fast
INT8 kernels then give other numbers than the graph says. Bundles exported since have weights that
cannot get there (``export.precision.saturation``); older ones run on slower, exact kernels.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mer_edge.bundle import GraphSpec

LARGEST_SUM = 2**15 - 1
"""That 16 bits hold."""
INSTRUCTION_SETS = (
    *("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8"),  # x86
    *("asimddp", "i8mm", "sve"),  # ARM
)
"""Those that decide how fast eight bits are, by archspec's names (which are Linux's)."""


@cache
def instruction_sets() -> tuple[str, ...]:
    """Those of ``INSTRUCTION_SETS`` that this processor has."""
    import archspec.cpu

    host = archspec.cpu.host()
    return tuple(name for name in INSTRUCTION_SETS if name in host.features)


@cache
def int8_saturates() -> bool:
    """Whether the engine's usual INT8 kernels saturate here, found by running one.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
    """
    import numpy as np

    from mer_edge.engines import import_onnxruntime, set_threads

    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    set_threads(options, 1)
    session = onnxruntime.InferenceSession(PRODUCT, options, providers=["CPUExecutionProvider"])
    size = (1, SIZE)
    (sums,) = session.run(
        None, {"a": np.full(size, 255, np.uint8), "b": np.full((SIZE, SIZE), 127, np.int8)}
    )
    return bool((sums != 255 * 127 * SIZE).any())


SIZE = 32
"""Of the product: one block of every kernel."""
PRODUCT = bytes.fromhex(
    "08083a62"  # ir_version 8, graph
    "0a180a01610a0162120179220d4d61744d756c496e7465676572"  # y = MatMulInteger(a, b)
    "120770726f64756374"  # graph's name: product
    "5a130a0161120e0a0c080212080a0208010a020820"  # input a: uint8, shape (1, 32)
    "5a130a0162120e0a0c080312080a0208200a020820"  # input b: int8, shape (32, 32)
    "62130a0179120e0a0c080612080a0208010a020820"  # output y: int32, shape (1, 32)
    "42040a001011"  # opset 17
)


def exact_int8(options: Any) -> None:
    """Let a session take exact kernels where the usual ones saturate; elsewhere nothing changes.

    ONNX Runtime then makes unsigned bytes of weights that do not fit into 7 bits.

    Args:
        options: an ``onnxruntime.SessionOptions``.
    """
    options.add_session_config_entry("session.x64quantprecision", "1")


def needs_exact_int8(spec: GraphSpec) -> bool:
    """Whether a graph in eight bits could saturate, as those of older exports."""
    known = spec.largest_pair_sum
    return spec.precision == "int8" and (known is None or known > LARGEST_SUM)


def describe_int8() -> str:
    """One line for people: instruction sets, and how eight bits are added up."""
    sets = ", ".join(instruction_sets()) or "none of those that speed eight bits up"
    sums = "in 16 bits that saturate" if int8_saturates() else "exactly"
    return f"{sets}; INT8 products are added {sums}"
