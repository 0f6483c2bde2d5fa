"""How long to wait before a child that ended is started again."""

from __future__ import annotations

FIRST_S, LONGEST_S = 1.0, 30.0
"""A crash is seldom cured within a second; after half a minute an operator who mended something should not wait."""
HEALTHY_AFTER_S = 60.0
"""Who ran for so long did not die of what killed it last time."""


class Backoff:
    """Doubles from `FIRST_S` to `LONGEST_S`; begins anew after a healthy run."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def after(self, ran_s: float) -> float:
        """Seconds to wait after a run of this length."""
        if ran_s >= HEALTHY_AFTER_S:
            self._next_s = FIRST_S
        wait_s, self._next_s = self._next_s, min(self._next_s * 2, LONGEST_S)
        return wait_s
