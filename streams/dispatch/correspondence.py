"""Which people are being written to right now, by lane. Pure.

While a POST to somebody is under way, Twilio's list of messages to them cannot be read: it may or may not hold that
message already.
"""

from __future__ import annotations

from collections import Counter

Address = tuple[str, str]
"""(lane, recipient)."""


class Watch:
    """Notices whether anything was begun since it was set up.

    Attributes:
        disturbed: something was.
    """

    __slots__ = ("address", "disturbed")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.disturbed = False


class Correspondence:
    """Counts; a message is under way from the start of its POST until its RESULT is acknowledged."""

    def __init__(self) -> None:
        self._under_way: Counter[Address] = Counter()
        self._watches: dict[Address, list[Watch]] = {}

    def began(self, address: Address) -> None:
        """A POST begins."""
        self._under_way[address] += 1
        for watch in self._watches.get(address, ()):
            watch.disturbed = True

    def ended(self, address: Address) -> None:
        """Its RESULT is acknowledged, or its answer was lost."""
        self._under_way[address] -= 1
        if not self._under_way[address]:
            del self._under_way[address]

    def busy(self, address: Address) -> bool:
        """Whether anything is under way."""
        return address in self._under_way

    def watch(self, address: Address) -> Watch:
        """Begin to watch."""
        watch = Watch(address)
        self._watches.setdefault(address, []).append(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        """End it."""
        watches = self._watches[watch.address]
        watches.remove(watch)
        if not watches:
            del self._watches[watch.address]
