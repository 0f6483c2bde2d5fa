"""Frequency caps over what policy remembers: all apps, all rounds, in the order of admission."""

from __future__ import annotations

from dataclasses import replace

from schemas.reasons import Reason
from schemas.records import Deferral, Dispatch, Stage
from streams.policy.config import Cap, PolicyConfig
from tests.streams.policy.installation import HOUR, MOBILE, NOW, config, request
from tests.streams.policy.test_desk import Counter, asked

SERVICE = {"category": "service", "deadline": NOW + 24 * HOUR}


def one_an_hour() -> PolicyConfig:
    return config(caps=(Cap(name="calm", categories=frozenset({"service"}), window_ms=HOUR, at_most=1),))


def latest(counter: Counter) -> Dispatch | Deferral:
    return [record for _, record in counter.written if isinstance(record, Dispatch | Deferral)][-1]


async def come_back(counter: Counter, deferral: Deferral) -> Dispatch | Deferral:
    counter.now = max(counter.now, deferral.due_at)
    await counter.serve(asked(deferral, topic="comms.deferred.1s", key=MOBILE.encode()))
    return latest(counter)


async def test_what_one_app_sent_makes_the_other_wait_and_the_one_that_waited_counts_from_its_admission() -> None:
    counter = Counter(configured=one_an_hour())
    await counter.serve(asked(request(**SERVICE), topic="comms.requests.shop"))
    assert isinstance(latest(counter), Dispatch)
    counter.now += HOUR // 3
    await counter.serve(asked(request(**SERVICE), topic="comms.requests.swiss"))
    second = latest(counter)
    assert isinstance(second, Deferral)
    assert (second.reason, second.due_at) == (Reason.FREQUENCY_CAP, NOW + HOUR)
    counter.now += HOUR // 3
    await counter.serve(asked(request(**SERVICE), topic="comms.requests.swiss", offset=43))
    third = latest(counter)
    assert isinstance(third, Deferral), "what waits takes no place"
    assert third.due_at == NOW + HOUR
    assert isinstance(await come_back(counter, second), Dispatch)
    once_more = await come_back(counter, third)
    assert isinstance(once_more, Deferral)
    assert (once_more.round, once_more.due_at) == (2, NOW + 2 * HOUR)
    assert isinstance(await come_back(counter, once_more), Dispatch)


async def test_a_message_that_dispatch_sends_back_is_not_held_up_by_itself() -> None:
    counter = Counter(configured=one_an_hour())
    await counter.serve(asked(request(**SERVICE), topic="comms.requests.shop"))
    order = latest(counter)
    assert isinstance(order, Dispatch)
    back = Deferral(
        message_id=order.message_id,
        round=1,
        app="shop",
        due_at=NOW + HOUR // 2,
        reason="throttled",
        by=Stage.DISPATCH,
        request=request(**SERVICE),
        origin="comms.requests.shop:3:42",
        deadline=order.deadline,
        at=NOW,
    )
    again = await come_back(counter, back)
    assert isinstance(again, Dispatch)
    assert again.round == 1
    other = replace(back, message_id="m-9", round=3)
    assert isinstance(await come_back(counter, other), Deferral)
