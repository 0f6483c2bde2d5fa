"""What customer data says of a person's wishes, and what the company calls them."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.records import Channel, CustomerProfile, Dispatch, LifecycleEvent, MessageStatus
from tests.streams.policy.installation import MOBILE, NOW, request
from tests.streams.policy.test_desk import Counter, asked
from tests.streams.policy.test_rounds_at_the_desk import again, orders, told

SMS, MMS, WHATSAPP = Channel.SMS, Channel.MMS, Channel.WHATSAPP


async def knowing(**profile: Any) -> Counter:
    counter = Counter()
    said = CustomerProfile(recipient=MOBILE, updated_at=NOW, **profile)
    await counter.serve(asked(said, topic="comms.profiles", offset=1))
    return counter


def wanted(**changes: Any) -> Any:
    return asked(request(category="service", **changes), topic="comms.requests.shop")


@pytest.mark.parametrize(
    ("wish", "channel", "fallback", "tried"),
    [
        (SMS, MMS, [WHATSAPP, SMS], SMS),
        (SMS, MMS, [WHATSAPP], MMS),
        (SMS, SMS, [WHATSAPP], SMS),
        (None, SMS, [WHATSAPP], SMS),
    ],
    ids=["named among others", "not named", "first anyway", "no wish"],
)
async def test_the_channel_that_a_person_asked_for_is_tried_first_if_the_app_names_it(
    wish: Channel | None, channel: Channel, fallback: list[Channel], tried: Channel
) -> None:
    counter = await knowing(preferred_channel=wish)
    await counter.serve(wanted(channel=channel, fallback_channels=fallback))
    assert told(counter)[0].channel is tried


async def test_the_other_channels_stay_in_the_apps_order() -> None:
    counter = await knowing(preferred_channel=SMS)
    await counter.serve(wanted(channel=MMS, fallback_channels=[WHATSAPP, SMS], sender="promo-a"))
    [order] = orders(counter)
    assert (order.channel, order.fallback_channels, order.lane) == (SMS, [MMS, WHATSAPP], "promo-a")


async def test_a_repeat_of_a_message_that_went_as_wished_is_a_repeat() -> None:
    counter = await knowing(preferred_channel=SMS)
    first = wanted(channel=MMS, fallback_channels=[SMS], idempotency_key="k")
    await counter.serve(first)
    await counter.serve(again(first, offset=43))
    assert [event.status for event in told(counter)] == [MessageStatus.ADMITTED, MessageStatus.ADMITTED]


@pytest.mark.parametrize(("given", "expected"), [(None, "crm-7"), ("app-1", "app-1")])
async def test_a_status_names_the_person_as_the_company_does_unless_the_app_says_how(
    given: str | None, expected: str
) -> None:
    counter = await knowing(customer_id="crm-7")
    await counter.serve(wanted(recipient_id=given))
    records = [record for _, record in counter.written if isinstance(record, Dispatch | LifecycleEvent)]
    assert [record.recipient_id for record in records] == [expected, expected]


@pytest.mark.parametrize(
    ("said", "carrier"), [("T-Mobile USA, Inc.", "tmobile"), ("310-410", "att"), ("Nobody's", None), (None, None)]
)
async def test_dispatch_is_told_our_name_of_the_carrier_that_serves_the_person(
    said: str | None, carrier: str | None
) -> None:
    counter = await knowing(carrier=said)
    await counter.serve(wanted())
    [order] = orders(counter)
    assert order.carrier == carrier
    assert told(counter)[0].facts.get("carrier") == carrier
