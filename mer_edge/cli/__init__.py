"""The command line: ``mer-edge COMMAND``. Kept light, so that --help answers at once."""
