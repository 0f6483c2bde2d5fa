"""`commlayer`, also as `python -m commlayer`: how `run all` starts its children."""

from __future__ import annotations

import os
import signal
import sys

_SERVES = frozenset({"run", "twin"})


def main() -> None:
    """Run a command.

    The first process of a container ignores SIGTERM until it handles it, and to load what a stage needs takes a second
    or two. So those that serve answer it from here on, until they have a handler of their own; they have begun nothing.
    """
    if _SERVES & set(sys.argv):
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    from commlayer.cli import main as command_line  # this, too, takes its time

    command_line(prog_name="commlayer")


if __name__ == "__main__":
    main()
