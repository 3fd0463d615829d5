"""See docs/train.md."""
