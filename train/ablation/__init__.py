"""Variants and settings trained over seeds, and the table that compares them."""
