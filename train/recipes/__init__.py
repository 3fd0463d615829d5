"""Recipes: from raw corpora to the models that ship."""
