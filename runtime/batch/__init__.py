"""Many files at once: clips of all of them in shared batches, results that survive a kill."""
