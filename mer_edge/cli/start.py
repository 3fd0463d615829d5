"""Where the command starts: both signals are held back until somebody answers them.

Until then Python itself would answer: Ctrl-C with a traceback from the middle of an import. So
nothing is imported here that takes time, and the package's own ``__init__`` imports nothing.
"""

from __future__ import annotations

import signal
import sys

HELD = (signal.SIGINT, signal.SIGTERM)


def main() -> int:
    """See ``mer_edge.cli.main.main``; for a process that does nothing else."""
    can_hold = hasattr(signal, "pthread_sigmask")  # Windows cannot
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD) if can_hold else ()
    from mer_edge.cli.signals import ending_in_order

    with ending_in_order() as ending:
        try:
            if can_hold:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            from mer_edge.cli.main import main as run
        except BaseException:  # an import may make something else of the signal's exception
            if ending.signal is None:
                raise
            print("interrupted", file=sys.stderr)
            return 128 + ending.signal
        code = run()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # All is done: who does not want to wait for Python's own end gets no traceback of it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return code
