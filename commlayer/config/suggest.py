"""What somebody probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def instead(written: object, known: Iterable[str], *, otherwise: str) -> str:
    """A fix for a word that is none of the known ones: the nearest of them, else the list of them, else `otherwise`."""
    names = sorted(known)
    nearest = difflib.get_close_matches(str(written), names, n=1, cutoff=0.6)
    if nearest:
        return f"did you mean `{nearest[0]}`?"
    return f"write one of: {', '.join(names)}." if names else otherwise
