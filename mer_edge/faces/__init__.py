"""Faces of a clip: found, aligned and followed over its frames."""
