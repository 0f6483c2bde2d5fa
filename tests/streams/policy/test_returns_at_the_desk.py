"""What comes back from dispatch and feedback: by which channel and sender it is tried next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas.reasons import Reason
from schemas.records import Channel, Deferral, Dispatch, MessageStatus, Stage
from streams.policy.desk import REOPENING_HEARD_MS
from streams.rounds import request_of
from tests.streams.policy.installation import HOUR, MINUTE, MOBILE, NOW, config, request
from tests.streams.policy.test_desk import Counter, asked
from tests.streams.policy.test_rounds_at_the_desk import KEYED, again, orders, told, wheel_record


def given_back(order: Dispatch) -> Any:
    """What dispatch gives back because its sender is refused, as it comes from the wheel."""
    back = Deferral(
        message_id=order.message_id,
        round=1,
        app="shop",
        due_at=NOW,
        reason=Reason.SENDER_REFUSED,
        by=Stage.DISPATCH,
        request=request_of(order),
        deadline=order.deadline,
        at=NOW,
    )
    return asked(back, topic="comms.deferred.1s", key=MOBILE.encode())


@pytest.mark.parametrize(
    ("reason", "channel"), [(Reason.CHANNEL_FAILED, Channel.MMS), (Reason.UNDELIVERED, Channel.SMS)]
)
async def test_what_feedback_sends_back_is_tried_on_the_next_channel_where_the_last_one_cannot_reach_the_person(
    reason: Reason, channel: Channel
) -> None:
    counter = Counter()
    wanted = request(category="service", channel=Channel.SMS, fallback_channels=[Channel.MMS], **KEYED)
    await counter.serve(asked(wanted, topic="comms.requests.shop"))
    [first] = orders(counter)
    assert told(counter)[0].facts["fallback_channels"] == "mms"
    deferral = Deferral(
        message_id=first.message_id,
        round=1,
        app="shop",
        due_at=NOW,
        reason=reason,
        by=Stage.FEEDBACK,
        deadline=first.deadline,
        at=NOW,
    )
    back = asked(deferral, topic="comms.deferred.1s", key=MOBILE.encode())
    await counter.serve(back)
    await counter.serve(again(back))
    # A text without media is denied as MMS: that it was asked as one shows in the story.
    _, second, repeated = told(counter)
    status = MessageStatus.DENIED if channel is Channel.MMS else MessageStatus.ADMITTED
    assert (second.message_id, second.round, second.channel, second.status) == (first.message_id, 1, channel, status)
    assert repeated == second, "a redelivery is served by the decision, whether or not that kept the request"
    assert [each.round for each in orders(counter)] == ([0] if channel is Channel.MMS else [0, 1, 1])


async def test_what_twilio_refused_at_once_is_tried_on_the_next_channel() -> None:
    counter = Counter()
    refused = replace(wheel_record(), by=Stage.DISPATCH, reason=Reason.CHANNEL_FAILED, app="shop")
    assert refused.request is not None
    wanted = replace(refused.request, category="service", fallback_channels=[Channel.MMS, Channel.WHATSAPP])
    await counter.serve(asked(replace(refused, request=wanted), topic="comms.deferred.1s", key=MOBILE.encode()))
    # A text without media is denied as MMS, and WhatsApp is asked next.
    [deferral] = [record for _, record in counter.written if isinstance(record, Deferral)]
    assert told(counter)[0].channel is Channel.MMS
    assert deferral.request is not None
    assert (deferral.request.channel, deferral.request.fallback_channels) == (Channel.WHATSAPP, [])


@pytest.mark.parametrize("hint", [{"sender": "promo-a"}, {"sender": "promo-b"}, {"pool": "one"}], ids=str)
async def test_what_dispatch_gives_back_leaves_by_the_sender_that_the_app_asked_for(hint: dict[str, Any]) -> None:
    plain = config()
    shop = replace(plain.apps["shop"], pools=("campaigns", "one"))
    pools = {**plain.pools, "one": ("promo-a",)}
    counter = Counter(configured=replace(plain, apps={**plain.apps, "shop": shop}, pools=pools))
    await counter.serve(asked(request(category="service", **hint), topic="comms.requests.shop"))
    [first] = orders(counter)
    assert first.lane == hint.get("sender", "promo-a")
    # Without the hint the other sender would be taken: this one is in trouble.
    counter.switched = replace(counter.switched, unhealthy=frozenset({first.lane}))
    await counter.serve(given_back(first))
    assert [order.lane for order in orders(counter)] == [first.lane, first.lane]


async def test_what_dispatch_gives_back_for_its_country_leaves_by_another_sender() -> None:
    counter = Counter()
    await counter.serve(asked(request(category="service"), topic="comms.requests.shop"))
    [first] = orders(counter)
    counter.switched = replace(counter.switched, refused=frozenset({(first.lane, "CH")}))
    await counter.serve(given_back(first))
    assert {order.lane for order in orders(counter)} == {"promo-a", "promo-b"}


async def test_the_next_message_leaves_by_another_sender_when_too_many_of_the_first_one_fail() -> None:
    counter = Counter()
    await counter.serve(asked(request(category="service"), topic="comms.requests.shop", offset=1))
    [first] = orders(counter)
    counter.switched = replace(counter.switched, failing={first.lane: "24% of 50 messages failed"})
    await counter.serve(asked(request(category="service"), topic="comms.requests.shop", offset=2))
    assert {order.lane for order in orders(counter)} == {"promo-a", "promo-b"}
    [_, second] = told(counter)
    assert second.facts["avoided"] == f"{first.lane}: 24% of 50 messages failed"


@pytest.mark.parametrize(
    ("reason", "reopened_after_ms", "tier"),
    [
        (Reason.DAY_CAP_REACHED, None, "1h"),
        (Reason.DAY_CAP_REACHED, -REOPENING_HEARD_MS, "1h"),
        (Reason.DAY_CAP_REACHED, 1 - REOPENING_HEARD_MS, None),
        (Reason.DAY_CAP_REACHED, 1, None),
        (Reason.LANE_FULL, 1, "6h"),
    ],
)
async def test_what_waits_for_a_carriers_next_day_looks_every_hour_whether_the_day_is_open_again(
    reason: Reason, reopened_after_ms: int | None, tier: str | None
) -> None:
    counter = Counter()
    await counter.serve(asked(request(category="service", **KEYED), topic="comms.requests.shop"))
    [first] = orders(counter)
    counter.now += HOUR
    back = Deferral(
        message_id=first.message_id,
        round=1,
        app="shop",
        due_at=counter.now + 7 * HOUR,
        reason=reason,
        by=Stage.DISPATCH,
        request=request_of(first),
        deadline=first.deadline + 9 * HOUR,
        at=counter.now,
    )
    if reopened_after_ms is not None:
        counter.switched = replace(counter.switched, days_reopened_at=back.at + reopened_after_ms)
    counter.now += MINUTE
    event = asked(back, topic="comms.deferred.10s", key=MOBILE.encode())
    assert await counter.serve(event) is None
    assert event.acked
    assert [each.round for each in orders(counter)] == ([0, 1] if tier is None else [0])
    hops = [topic for topic, record in counter.written if record == back]
    assert hops == ([] if tier is None else [f"comms.deferred.{tier}"])


async def test_what_waits_less_than_an_hour_for_a_carriers_next_day_is_not_late_for_it() -> None:
    counter = Counter()
    back = replace(wheel_record(), reason=Reason.DAY_CAP_REACHED, by=Stage.DISPATCH, due_at=NOW + 11 * MINUTE)
    await counter.serve(asked(back, topic="comms.deferred.1s", key=MOBILE.encode()))
    assert [topic for topic, _ in counter.written] == ["comms.deferred.10m"]
