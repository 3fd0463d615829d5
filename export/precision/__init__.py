"""Numeric precision of a graph: half precision and eight-bit integers, written into its ONNX."""
