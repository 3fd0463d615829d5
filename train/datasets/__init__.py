"""Data sets: readers of published and own layouts, and the generated set of drawn speakers."""
