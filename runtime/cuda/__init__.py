"""Running a bundle's graphs on an NVIDIA GPU: arrays that stay there, and engines that run them.

The CUDA runtime is the package ``cuda-bindings``. Nothing here has been run on a GPU by the
project: what the tests prove, with a CUDA of their own that runs streams in any order the events
allow, and what only a GPU can tell, is in docs/gpu.md.
"""
