"""How near each graph comes to what the machine can do."""
