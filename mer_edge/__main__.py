"""``python -m mer_edge`` is ``mer-edge``."""

import sys

from mer_edge.cli.start import main

sys.exit(main())
