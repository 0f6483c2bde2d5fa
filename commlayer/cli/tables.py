"""Tables on standard output."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def print_(what: Table) -> None:
    """To standard output: as wide as the terminal or COLUMNS, as wide as needed where there is neither. A table that is
    wider than that loses the room around its words before it folds them."""
    from rich.console import Console
    from rich.measure import Measurement

    told = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(file=sys.stdout, width=None if told else 200)
    unfolded = console.options.update(max_width=10_000)
    if Measurement.get(console, unfolded, what).maximum > console.width:
        what.padding = (0, 0)
    console.print(what)
