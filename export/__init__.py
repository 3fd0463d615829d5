"""See docs/export.md."""
