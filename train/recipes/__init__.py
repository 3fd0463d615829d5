"""Recipes: from raw data to the models that ship with the product."""
