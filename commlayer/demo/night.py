"""Where in the world people sleep now: some place always does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

OPENS, CLOSES = "08:00", "20:00"
"""Open hours of the demo's newsletter, by the recipient's clock."""
_DEEPEST_NIGHT_H = 2.0
"""The middle between closing and opening."""


@dataclass(frozen=True, slots=True)
class Place:
    """A country of one time zone, and a mobile number there."""

    country: str
    zone: str
    number: str


PLACES = (
    Place("JP", "Asia/Tokyo", "+819012345678"),
    Place("DE", "Europe/Berlin", "+4915112345678"),
    Place("CR", "America/Costa_Rica", "+50683123456"),
)
"""At most nine hours apart: at one of them it is always between half past nine in the evening and half past six, so
the place stays closed for longer than a demo lasts."""


def asleep(now: datetime) -> Place:
    """The place where the night is deepest at this moment, which must be aware."""

    def hours_from_deepest(place: Place) -> float:
        local = now.astimezone(ZoneInfo(place.zone))
        distance = abs(local.hour + local.minute / 60 - _DEEPEST_NIGHT_H)
        return min(distance, 24 - distance)

    return min(PLACES, key=hours_from_deepest)
