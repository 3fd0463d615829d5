"""``python -m mer_edge`` is ``mer-edge``."""

import sys

from mer_edge.cli.main import main

sys.exit(main())
