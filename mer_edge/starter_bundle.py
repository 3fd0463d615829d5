"""Where the built-in bundle is: what runs where no bundle is named.

``mer_edge/starter`` is a bundle directory like any other, shipped as package data, with its model
card and the licence of its weights beside the graphs.
"""

from __future__ import annotations

from pathlib import Path

STARTER = Path(__file__).parent / "starter"
MODEL_CARD = "MODEL_CARD.md"
LICENCE = "LICENSE"


def in_commands(bundle: Path) -> str:
    """A bundle as the next command names it: nothing for the starter, else a space and its path.

    >>> "mer-edge infer" + in_commands(Path("runs/bundle")) + " YOUR_CLIP.mp4"
    'mer-edge infer runs/bundle YOUR_CLIP.mp4'
    """
    return "" if bundle == STARTER else f" {bundle}"


def not_there() -> str:
    """What is said where no bundle was named and the installation has none."""
    return (
        f"no bundle was named, and this installation has no built-in one (looked in {STARTER}); "
        "expected --bundle DIR, a directory made by mer-edge export"
    )
