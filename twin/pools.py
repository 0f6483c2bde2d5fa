"""A Messaging Service: which sender of its pool takes a message."""

from __future__ import annotations

from twin.accounts import Account
from twin.addresses import parse
from twin.senders import Sender
from twin.settings import ServiceSettings

# Twilio's order of preference (docs: messaging/services).
_PREFERENCE = {"whatsapp": 0, "short_code": 0, "alphanumeric": 1, "long_code": 2, "toll_free": 2}
NANP_COUNTRIES = frozenset({"US", "CA"})


def reaches(sender: Sender, to: str, *, media: bool) -> bool:
    """Whether this sender can carry a message to this address at all.

    WhatsApp reaches WhatsApp only, short codes their own country, alphanumeric ids not the US and Canada.
    """
    target = parse(to)
    if (sender.type == "whatsapp") != (target.channel == "whatsapp"):
        return False
    if media and not sender.settings.mms:
        return False
    in_nanp = target.person.startswith("+1")
    if sender.type == "alphanumeric":
        return not in_nanp and not media
    if sender.type == "short_code" and sender.settings.country in NANP_COUNTRIES:
        return in_nanp
    return True


class Service:
    """A Messaging Service at work.

    Attributes:
        pool: its senders.
        sticky: the sender that each person got last.
    """

    def __init__(self, settings: ServiceSettings, account: Account, pool: list[Sender]) -> None:
        self.settings = settings
        self.sid = settings.sid
        self.account = account
        self.pool = pool
        self.sticky: dict[str, Sender] = {}

    def choose(self, to: str, cost: int, *, media: bool) -> Sender | int:
        """The sender for a message, or the code it fails with: 21703 nobody reaches To, 30001 all queues are full."""
        able = [sender for sender in self.pool if reaches(sender, to, media=media)]
        if not able:
            return 21703
        free = [sender for sender in able if sender.has_room(cost)]
        if not free:
            return 30001
        kept = self.sticky.get(to) if self.settings.sticky_sender else None
        if kept is not None and kept in free:
            return kept
        best = min(free, key=lambda sender: (_PREFERENCE[sender.type], sender.wait_s()))
        if self.settings.sticky_sender:
            self.sticky[to] = best
        return best
