"""How good a run or a bundle is, with what certainty, and how it compares."""
