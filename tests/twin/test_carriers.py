"""What carriers take of a 10DLC campaign, and of a brand a day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from twin.server import Twin
from twin.ten_dlc_settings import TenDlcSettings

from .rig import LONG, SECOND, SHORT, START, Caller, settings

TMOBILE, ATT, NOBODYS = "+1415202", "+1415201", "+1415209"
CARRIERS = [{"name": "tmobile", "prefixes": [TMOBILE]}, {"name": "att", "prefixes": [ATT], "numbers": ["+14152090001"]}]


def ten_dlc(**changes: Any) -> TenDlcSettings:
    news = {"name": "news", "senders": [LONG, SECOND], "brand": "acme", "rates": {"tmobile": 2}}
    given = {"carriers": CARRIERS, "campaigns": [news], "brands": [{"name": "acme", "per_day": {"tmobile": 10}}]}
    return TenDlcSettings.model_validate(given | changes)


async def post(twin: Twin, prefix: str, count: int, *, sender: str = LONG, body: str = "Hi") -> list[int | None]:
    """The error codes with which so many messages end."""
    sent = [
        (await Caller(twin).create(To=f"{prefix}{number:04d}", From=sender, Body=body)).json["sid"]
        for number in range(count)
    ]
    await twin.advance(60)
    return [message.error_code for message in twin.books.messages if message.sid in sent]


async def test_what_exceeds_the_rate_that_a_carrier_takes_of_a_campaign_fails_and_no_other_carrier_cares() -> None:
    async with Twin(settings(ten_dlc=ten_dlc(brands=[{"name": "acme"}]))) as twin:
        # The sender sends ten a second, of which T-Mobile takes two.
        assert await post(twin, TMOBILE, 11) == [None, *[30022] * 4, None, *[30022] * 4, None]
        assert await post(twin, ATT, 11) == [None] * 11
        assert await post(twin, NOBODYS, 11) == [None] * 11
        assert await post(twin, TMOBILE, 11, sender=SHORT) == [None] * 11, "a short code is in no campaign"
        assert twin.exchange.carriers.of("+14152090001") == "att"
        rows = (await Caller(twin).request("GET", "/__twin__/carriers")).json
        assert rows[-1] == {
            "campaign": "news", "carrier": "tmobile", "messages": 3, "segments": 3, "refused": {"30022": 8}
        }  # fmt: skip
        twin.reset()
        assert (await Caller(twin).request("GET", "/__twin__/carriers")).json == []


async def test_a_brands_day_at_a_carrier_ends_at_midnight_of_the_pacific_coast_and_the_debugger_tells_of_it() -> None:
    campaign = {"name": "news", "senders": [LONG], "brand": "acme"}
    async with Twin(settings(ten_dlc=ten_dlc(campaigns=[campaign]))) as twin:
        assert await post(twin, TMOBILE, 4) == [None] * 4
        assert [alert.code for alert in twin.books.alerts] == []
        assert await post(twin, TMOBILE, 1, body="x" * 161) == [None]
        assert [alert.code for alert in twin.books.alerts] == [30025]
        assert await post(twin, TMOBILE, 6) == [*[None] * 4, 30023, 30023]
        assert [alert.code for alert in twin.books.alerts] == [30025, 30026, 30027]
        assert await post(twin, ATT, 3) == [None] * 3
        midnight = datetime(2026, 11, 24, 8, tzinfo=UTC).timestamp()
        [day] = [row for row in twin.exchange.carriers.rows(twin.exchange.clock.now()) if "brand" in row]
        assert day == {"brand": "acme", "carrier": "tmobile", "used": 10, "per_day": 10, "until": midnight}
        await twin.advance(midnight - twin.exchange.clock.now() - 90)
        assert await post(twin, TMOBILE, 1) == [30023]
        await twin.advance(60)
        assert await post(twin, TMOBILE, 1) == [None]
        assert midnight > START


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"campaigns": [{"name": "a", "senders": [LONG], "brand": "none"}]}, "no brand none"),
        ({"campaigns": [{"name": "a", "senders": [LONG], "rates": {"sprint": 1}}]}, "campaigns.0.rates: no carrier"),
        ({"brands": [{"name": "acme", "per_day": {"sprint": 1}}]}, "brands.0.per_day: no carrier sprint"),
        ({"campaigns": [{"name": name, "senders": [LONG]} for name in "ab"]}, f"{LONG} is in campaign a"),
        ({"campaigns": [{"name": "a", "senders": [LONG], "rates": {"att": 0}}]}, "greater than 0"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why.replace("+", r"\+")):
        ten_dlc(**changes)


def test_a_campaign_of_a_number_that_the_twin_lacks_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"ten_dlc\.campaigns\.0\.senders: no sender"):
        settings(ten_dlc=ten_dlc(campaigns=[{"name": "a", "senders": ["+15550009999"]}]))
