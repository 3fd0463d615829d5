"""The PyTorch model. Importing this package needs torch; mer_edge.model.config does not."""
