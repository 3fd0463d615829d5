"""What a bundle costs on this machine, and what others cost beside it."""
