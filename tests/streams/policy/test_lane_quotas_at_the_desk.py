"""A quota of a lane is paid once for each message that takes the lane."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from schemas.reasons import Reason
from schemas.records import Deferral, Dispatch, LifecycleEvent, MessageStatus, Stage
from streams.policy.config import PolicyConfig, Quota
from streams.rounds import request_of
from tests.streams.policy.installation import HOUR, MOBILE, NOW, config, request
from tests.streams.policy.test_desk import Counter, asked


def with_quota(lane: str = "long", **limits: Any) -> PolicyConfig:
    base = config()
    quota = Quota(lanes={lane: Quota(**limits)})
    return config(apps={**base.apps, "login": replace(base.apps["login"], quota=quota)})


def latest(counter: Counter) -> Dispatch | Deferral:
    return [record for _, record in counter.written if isinstance(record, Dispatch | Deferral)][-1]


def outcomes(counter: Counter) -> list[tuple[MessageStatus, str | None]]:
    told = [record for _, record in counter.written if isinstance(record, LifecycleEvent)]
    return [(event.status, event.reason) for event in told]


async def ask(counter: Counter, offset: int) -> None:
    await counter.serve(asked(request(deadline=NOW + HOUR), offset=offset))


async def come_back(counter: Counter, deferral: Deferral) -> None:
    counter.now = max(counter.now, deferral.due_at)
    await counter.serve(asked(deferral, topic="comms.deferred.1s", key=MOBILE.encode()))


async def test_what_waited_its_turn_on_the_lane_does_not_pay_again() -> None:
    counter = Counter(configured=with_quota(per_second=0.001))
    await ask(counter, 1)
    await ask(counter, 2)
    waiting = latest(counter)
    assert isinstance(waiting, Deferral)
    assert (waiting.reason, waiting.due_at) == (Reason.LANE_QUOTA_EXCEEDED, NOW + 1_001_000)
    await ask(counter, 3)
    third = latest(counter)
    assert isinstance(third, Deferral)
    assert third.due_at == NOW + 2_001_000, "turns are given one after the other"
    await come_back(counter, waiting)
    assert isinstance(latest(counter), Dispatch)


async def test_other_lanes_and_other_apps_do_not_pay() -> None:
    counter = Counter(configured=with_quota("short", per_day=1))
    for offset in range(3):
        await ask(counter, offset)
    assert outcomes(counter) == [(MessageStatus.ADMITTED, None)] * 3


async def test_the_day_of_a_lane_ends_with_its_quota() -> None:
    counter = Counter(configured=with_quota(per_day=2))
    for offset in range(3):
        await ask(counter, offset)
    admitted = (MessageStatus.ADMITTED, None)
    assert outcomes(counter) == [admitted, admitted, (MessageStatus.DENIED, Reason.LANE_QUOTA_EXCEEDED)]


async def test_what_comes_back_from_its_lane_has_paid_there() -> None:
    """Dispatch gives back what a shared partition has no room for, again and again."""
    counter = Counter(configured=with_quota(per_day=1))
    await ask(counter, 1)
    for number in range(1, 4):
        order = latest(counter)
        assert isinstance(order, Dispatch)
        back = Deferral(
            message_id=order.message_id,
            round=order.round + 1,
            app=order.app,
            due_at=counter.now,
            reason=Reason.LANE_FULL,
            by=Stage.DISPATCH,
            request=request_of(order),
            deadline=order.deadline,
            at=counter.now,
        )
        await come_back(counter, back)
        assert outcomes(counter)[number:] == [(MessageStatus.ADMITTED, None)]


async def test_what_waited_for_something_else_after_its_admission_has_still_paid() -> None:
    counter = Counter(configured=with_quota(per_day=1))
    await ask(counter, 1)
    order = latest(counter)
    assert isinstance(order, Dispatch)
    request_again = replace(request_of(order), not_before=NOW + 60_000)
    back = Deferral(
        message_id=order.message_id,
        round=1,
        app=order.app,
        due_at=NOW,
        reason=Reason.LANE_FULL,
        by=Stage.DISPATCH,
        request=request_again,
        deadline=order.deadline,
        at=NOW,
    )
    await come_back(counter, back)
    waiting = latest(counter)
    assert isinstance(waiting, Deferral)
    await come_back(counter, waiting)
    assert isinstance(latest(counter), Dispatch)
