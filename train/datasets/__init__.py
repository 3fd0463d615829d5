"""Data sets: the manifest that training reads, and the generated set of drawn speakers."""
