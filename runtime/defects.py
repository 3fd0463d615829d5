"""What nobody foresaw, told in one line."""

from __future__ import annotations

import traceback
from pathlib import Path

from mer_edge.errors import NO_MEMORY, MerEdgeError, is_out_of_memory


def refused(file: Path | str, error: OSError) -> MerEdgeError:
    """What the system said no to, in its own words: a folder on the way, a lack of memory."""
    return MerEdgeError(f"{file}: {NO_MEMORY if is_out_of_memory(error) else error}")


def defect(file: Path | str, error: Exception) -> MerEdgeError:
    """A fault of ours on a file or address, with the place in the code that a report needs; or the
    system's, where there is no memory."""
    if is_out_of_memory(error):
        return MerEdgeError(f"{file}: {NO_MEMORY}")
    project = str(Path(__file__).resolve().parent.parent)
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(project)]
    place = (ours or frames)[-1]
    return MerEdgeError(
        f"{file}: {type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno}); "
        "this is a defect of mer-edge; please report it"
    )
