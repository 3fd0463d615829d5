"""``--precision auto``: the fastest mix of precisions that stays within a budget of agreement."""
