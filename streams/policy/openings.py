"""Whom each WhatsApp sender wrote to first within 24 h, by partition: WhatsApp grants a sender so many people (63018).

The count of a partition needs no other process: a person belongs to one partition, and each partition has its share of
the limit (`whatsapp.share_of`). It is in the partition's state, written before the decision that it counts for, so a
new owner counts on from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from .config import Sender
from .whatsapp import WINDOW_MS


class Openings:
    """Belongs to one event loop. Between `others` and `note` for the same message lies no await.

    Args:
        senders: all that are configured; those without a limit are not counted.
    """

    def __init__(self, senders: Iterable[Sender]) -> None:
        self._limited = frozenset(sender.name for sender in senders if sender.daily_people is not None)
        self._people: dict[tuple[int, str], _People] = {}

    def restore(self, home: int, openings: Iterable[tuple[str, str, int]]) -> None:
        """A partition is served from now on, and this is what its state holds: sender, person, moment. It is not read
        where no sender is limited."""
        if not self._limited:
            return
        self.drop(home)
        for name, recipient, at in sorted(openings, key=lambda opening: opening[2]):
            self.note(home, name, recipient, at)

    def drop(self, home: int) -> None:
        """A partition is served no more."""
        for name in self._limited:
            self._people.pop((home, name), None)

    def note(self, home: int, sender: str, recipient: str, at: int) -> None:
        """The sender may write to the person first, from `at` on (epoch milliseconds UTC)."""
        if sender in self._limited:
            self._people.setdefault((home, sender), _People()).note(recipient, at)

    def others(self, home: int, recipient: str, now_ms: int) -> Mapping[str, int]:
        """How many people of the partition beside this one each limited sender wrote to first within 24 h."""
        found = {}
        for name in self._limited:
            people = self._people.get((home, name))
            if people is not None:
                found[name] = people.others(recipient, now_ms - WINDOW_MS)
        return found


class _People:
    """When each was written to last, oldest first; what was noted before is passed over when it comes to the front."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._noted: deque[tuple[int, str]] = deque()

    def note(self, recipient: str, at: int) -> None:
        self._last[recipient] = at
        self._noted.append((at, recipient))

    def others(self, recipient: str, since: int) -> int:
        noted = self._noted
        while noted and noted[0][0] <= since:
            at, name = noted.popleft()
            if self._last.get(name) == at:
                del self._last[name]
        return len(self._last) - (recipient in self._last)
