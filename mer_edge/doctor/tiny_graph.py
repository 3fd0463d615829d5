"""An ONNX graph of one node, as bytes: a device has no onnx package to make one with."""

from __future__ import annotations

from typing import Any

DOUBLE = bytes.fromhex(
    "08083a3a"  # ir_version 8, graph
    "0a0e0a01780a01781201792203416464"  # y = Add(x, x)
    "1206646f75626c65"  # graph's name: double
    "5a0f0a0178120a0a08080112040a020802"  # input x: float, shape (2)
    "620f0a0179120a0a08080112040a020802"  # output y: float, shape (2)
    "42040a001011"  # opset 17
)


def run_double(provider: str) -> str | None:
    """Run the graph on one of ONNX Runtime's providers.

    Returns:
        None when that provider itself ran it and the numbers are right, else what happened.
    """
    import numpy as np
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if provider != "CPUExecutionProvider":
        # A provider may be listed and leave all work to the CPU: that is not running.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session = onnxruntime.InferenceSession(DOUBLE, options, providers=[provider])
    session.disable_fallback()
    (doubled,) = session.run(None, {"x": np.array([1.5, -2.0], np.float32)})
    has = session.get_providers()
    if has[0] != provider:
        return f"the session came up with {', '.join(has)} instead"
    if doubled.tolist() != [3.0, -4.0]:
        return f"twice (1.5, -2) came out as {doubled.tolist()}"
    return None
