"""Other ways to run the same network, each in a process of its own, to measure a bundle against."""
