"""From the graphs of a bundle to TensorRT engines in this device's cache. No PyTorch."""
