"""Names of the ways INT8 is written; see :mod:`export.precision.integer`."""

from typing import Literal

Recipe = Literal["cpu", "tensorrt"]
