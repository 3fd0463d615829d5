"""What every refusal of a media file has in common."""

from pathlib import Path

import pytest

from mer_edge.errors import MerEdgeError
from mer_edge.media.scan import scan_media


def refused(path: Path) -> str:
    """The message with which ``path`` is refused: one line that names it and what was expected."""
    with pytest.raises(MerEdgeError) as caught:
        scan_media(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert "expected" in message
    return message
