"""See docs/runtime.md."""
