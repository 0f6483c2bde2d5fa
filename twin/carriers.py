"""What carriers of the USA take of 10DLC traffic: a rate of each campaign, and T-Mobile so much of a brand a day.

Told apart by the recipient, judged when a message leaves its sender's queue. What exceeds a campaign's rate fails with
30022; what a brand's day has no room for with 30023, until 00:00 Pacific time. At 50 %, 70 % and all of the day the
debugger says so once (30025, 30026, 30027).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from twin.messages import Message
from twin.ten_dlc_settings import BrandSettings, CampaignSettings, TenDlcSettings

RATE_EXCEEDED, DAY_OVER = 30022, 30023
_SAID_AT = ((0.5, 30025), (0.7, 30026), (1.0, 30027))
_PACIFIC = ZoneInfo("America/Los_Angeles")

Alarm = Callable[[int, Message, str], None]
"""Given code, message and detail for the debugger."""


class _Pace:
    """At most rate × W, one largest message and what `tolerance_s` lets through in any window of W seconds."""

    __slots__ = ("largest", "paid_at")

    def __init__(self) -> None:
        self.paid_at = float("-inf")
        self.largest = 1

    def takes(self, cost: int, at: float, rate: float, tolerance_s: float) -> bool:
        room_s = (max(self.largest, cost) - cost) / rate + tolerance_s
        if at < self.paid_at - room_s:
            return False
        self.largest = max(self.largest, cost)
        self.paid_at = max(self.paid_at, at) + cost / rate
        return True


class _Day:
    __slots__ = ("ends", "said", "used")

    def __init__(self) -> None:
        self.ends = float("-inf")
        self.used = 0
        self.said: set[int] = set()

    def begin(self, at: float) -> None:
        if at >= self.ends:
            self.ends = _day_end(at)
            self.used = 0
            self.said.clear()


class Carriers:
    """See the module.

    Args:
        alarm: told what Twilio's debugger would show.
    """

    def __init__(self, settings: TenDlcSettings, alarm: Alarm) -> None:
        self._settings = settings
        self._alarm = alarm
        self._campaign_of = {sender: campaign for campaign in settings.campaigns for sender in campaign.senders}
        self._brands = {brand.name: brand for brand in settings.brands}
        self.clear()

    def clear(self) -> None:
        """Forget what was taken and refused."""
        self._paces: dict[tuple[str, str], _Pace] = {}
        self._days: dict[tuple[str, str], _Day] = {}
        self._refused: dict[tuple[str, str, int], int] = {}
        self._taken: dict[tuple[str, str], tuple[int, int]] = {}

    def of(self, person: str) -> str | None:
        """The carrier of a number; None where the settings name none."""
        for carrier in self._settings.carriers:
            if person in carrier.numbers or (carrier.prefixes and person.startswith(carrier.prefixes)):
                return carrier.name
        return None

    def refuses(self, message: Message, at: float) -> int | None:
        """The code that a message fails with which leaves its sender's queue now; None when its carrier takes it."""
        sender = message.sender
        campaign = None if sender is None else self._campaign_of.get(sender.address)
        carrier = None if campaign is None else self.of(message.person)
        if campaign is None or carrier is None:
            return None
        code = self._code(campaign, carrier, message, at)
        if code is not None:
            self._refused[campaign.name, carrier, code] = self._refused.get((campaign.name, carrier, code), 0) + 1
        else:
            messages, segments = self._taken.get((campaign.name, carrier), (0, 0))
            self._taken[campaign.name, carrier] = (messages + 1, segments + message.cost)
        return code

    def rows(self, now: float) -> list[dict[str, object]]:
        """For the books: what each carrier took and refused of each campaign, and of each brand's day."""
        campaigns: list[dict[str, object]] = []
        for place in sorted({*self._taken, *((of, by) for of, by, _ in self._refused)}):
            messages, segments = self._taken.get(place, (0, 0))
            refused = {str(code): count for (*of, code), count in self._refused.items() if tuple(of) == place}
            row = {"campaign": place[0], "carrier": place[1], "messages": messages, "segments": segments}
            campaigns.append(row | {"refused": refused})
        days: list[dict[str, object]] = []
        for (brand, carrier), day in sorted(self._days.items()):
            day.begin(now)
            cap = self._brands[brand].per_day[carrier]
            days.append({"brand": brand, "carrier": carrier, "used": day.used, "per_day": cap, "until": day.ends})
        return campaigns + days

    def _code(self, campaign: CampaignSettings, carrier: str, message: Message, at: float) -> int | None:
        brand = None if campaign.brand is None else self._brands[campaign.brand]
        cap = None if brand is None else brand.per_day.get(carrier)
        if brand is not None and cap is not None and self._day(brand, carrier, at).used + message.cost > cap:
            self._say(brand, carrier, cap, message, over=True)
            return DAY_OVER
        rate = campaign.rates.get(carrier)
        if rate is not None:
            pace = self._paces.setdefault((campaign.name, carrier), _Pace())
            if not pace.takes(message.cost, at, rate, self._settings.tolerance_s):
                return RATE_EXCEEDED
        if brand is not None and cap is not None:
            self._day(brand, carrier, at).used += message.cost
            self._say(brand, carrier, cap, message)
        return None

    def _day(self, brand: BrandSettings, carrier: str, at: float) -> _Day:
        day = self._days.setdefault((brand.name, carrier), _Day())
        day.begin(at)
        return day

    def _say(self, brand: BrandSettings, carrier: str, cap: int, message: Message, *, over: bool = False) -> None:
        day = self._days[brand.name, carrier]
        for share, code in _SAID_AT:
            if code not in day.said and (over or day.used >= share * cap):
                day.said.add(code)
                self._alarm(code, message, f"brand {brand.name}: {day.used} of {cap} segments to {carrier} today")


def _day_end(at: float) -> float:
    # Worked out once more in streams/control/day_caps.py, and not shared: the twin imports nothing of ours, or a day
    # that both took for too long would look right.
    day = datetime.fromtimestamp(at, _PACIFIC).date() + timedelta(days=1)
    return datetime.combine(day, time.min, _PACIFIC).timestamp()
