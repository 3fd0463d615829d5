"""Measurements; nothing that is installed imports them."""
