"""What ``make bench-gpu`` measures on a machine with a CUDA GPU. See ``benchmarks/on_gpu.py``."""
