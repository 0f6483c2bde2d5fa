"""A quota is asked once for each request, and charged for what goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from schemas.reasons import Reason
from schemas.records import Deferral, Dispatch, LifecycleEvent, MessageStatus
from streams.policy.config import PolicyConfig, Quota
from tests.streams.policy.installation import HOUR, MOBILE, NOW, config, request
from tests.streams.policy.test_desk import Counter, asked


def with_quota(**limits: Any) -> PolicyConfig:
    base = config()
    return config(apps={**base.apps, "login": replace(base.apps["login"], quota=Quota(**limits))})


def latest(counter: Counter) -> Dispatch | Deferral:
    return [record for _, record in counter.written if isinstance(record, Dispatch | Deferral)][-1]


async def test_what_waited_its_turn_is_not_asked_for_it_again() -> None:
    counter = Counter(configured=with_quota(per_second=0.001))
    for offset in (1, 2):
        await counter.serve(asked(request(deadline=NOW + HOUR), offset=offset))
    waiting = latest(counter)
    assert isinstance(waiting, Deferral)
    assert (waiting.reason, waiting.due_at) == (Reason.QUOTA_EXCEEDED, NOW + 1_001_000)
    await counter.serve(asked(request(deadline=NOW + HOUR), offset=3))
    counter.now = waiting.due_at
    await counter.serve(asked(waiting, topic="comms.deferred.1s", key=MOBILE.encode()))
    assert isinstance(latest(counter), Dispatch)


async def test_a_repeat_and_what_is_denied_cost_nothing() -> None:
    counter = Counter(configured=with_quota(per_day=2))
    keyed = request(idempotency_key="k")
    for offset, each in enumerate([keyed, keyed, request(category="nonsense"), request()]):
        await counter.serve(asked(each, offset=offset))
    assert isinstance(latest(counter), Dispatch)
    await counter.serve(asked(request(), offset=9))
    told = [record for _, record in counter.written if isinstance(record, LifecycleEvent)]
    assert [(event.status, event.reason) for event in told].count((MessageStatus.ADMITTED, None)) == 2
    assert told[-1].reason == Reason.QUOTA_EXCEEDED
