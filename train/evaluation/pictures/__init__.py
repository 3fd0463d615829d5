"""Pictures of an evaluation, a file each."""
