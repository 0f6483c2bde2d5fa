"""How often Python looks for cycles of dead objects."""

from __future__ import annotations

import gc

YOUNG = 50_000
"""Objects that outlived their making before the youngest are looked through. Python's 700 make for a look every few
messages, which finds hundreds of messages alive and nothing dead: what stages make ends by its count of references.
(Measured in dispatch: a quarter of its own time per message.) 50,000 are some 5 MB."""


def collect_seldom() -> None:
    """For a stage, once it has loaded everything and before it handles records; what is there now is never looked
    through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
