from __future__ import annotations

import asyncio

import aiohttp
import pytest
from pydantic import ValidationError

from tests.support.waiting import until
from tests.twin.rig import ACCOUNT, LONG, Caller
from twin.faults import FaultPlan
from twin.server import Twin
from twin.settings import CallbackFault, FaultSettings, ListingLag, RequestFault


def _plan(twin: Twin, **fault: object) -> None:
    twin.plan_faults(FaultSettings(requests=(RequestFault.model_validate(fault),)))


async def test_an_error_before_accepting_leaves_nothing(twin: Twin, caller: Caller) -> None:
    _plan(twin, kind="error_before", first=1, status=500)
    answers = [await caller.create(), await caller.create()]
    assert [answer.status for answer in answers] == [500, 201]
    assert answers[0].json["code"] == 20500
    assert len(twin.books.messages) == 1


async def test_an_error_after_accepting_is_the_duplicate_trap(twin: Twin, caller: Caller) -> None:
    _plan(twin, kind="error_after", first=1)
    assert (await caller.create(StatusCallback="https://a.example/cb?m=1")).status == 503
    assert (await caller.create(StatusCallback="https://a.example/cb?m=1")).status == 201
    (refusal,) = twin.books.refusals
    assert refusal.accepted_sid == twin.books.messages[0].sid
    (duplicate,) = twin.books.duplicates()
    assert (duplicate["m"], duplicate["count"]) == ("1", 2)


@pytest.mark.parametrize(("kind", "accepted"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_reset_tears_the_connection(kind: str, accepted: int, twin: Twin, caller: Caller) -> None:
    _plan(twin, kind=kind, first=1)
    with pytest.raises(aiohttp.ClientError):
        await caller.create()
    assert len(twin.books.messages) == accepted
    (refusal,) = twin.books.refusals
    assert (refusal.code, refusal.accepted_sid is not None) == (None, bool(accepted))
    assert (await caller.create()).status == 201


async def test_a_hang_gives_no_answer_and_tears_the_connection_in_the_end(twin: Twin, caller: Caller) -> None:
    _plan(twin, kind="hang_after", delay_s=0.5, first=1)
    began = asyncio.get_running_loop().time()
    with pytest.raises(aiohttp.ClientError):
        await caller.create()
    assert asyncio.get_running_loop().time() - began >= 0.5
    assert len(twin.books.messages) == 1


async def test_a_burst_of_20429_ends(twin: Twin, caller: Caller) -> None:
    _plan(twin, kind="throttle", from_s=10, until_s=20)
    statuses = []
    for _ in range(3):
        statuses.append((await caller.create()).status)
        await twin.advance(10)
    assert statuses == [201, 429, 201]


async def test_troubles_can_be_aimed(twin: Twin, caller: Caller) -> None:
    _plan(twin, kind="throttle", to_suffix="5311", from_address=LONG, skip=1, first=1)
    assert (await caller.create()).status == 201
    assert [(await caller.create(To="+15558675311")).status for _ in range(3)] == [201, 429, 201]
    _plan(twin, kind="error_before", on="read")
    assert (await caller.create()).status == 201
    assert (await caller.get("/Messages.json")).status == 503


async def test_latency_counts_as_a_request_in_flight(twin: Twin, caller: Caller) -> None:
    _plan(twin, kind="latency", delay_s=[1.0, 1.0])
    answers = await asyncio.gather(*(caller.create() for _ in range(3)))
    assert max(int(answer.headers["Twilio-Concurrent-Requests"]) for answer in answers) == 3
    assert all(float(answer.headers["Twilio-Request-Duration"]) >= 0.99 for answer in answers)
    assert twin.exchange.directory.accounts[ACCOUNT].in_flight == 0


async def test_an_answer_drips_and_the_message_is_accepted_before_it(twin: Twin, caller: Caller) -> None:
    _plan(twin, kind="drip", delay_s=0.5, first=1)
    began = asyncio.get_running_loop().time()
    answer = await caller.create()
    assert asyncio.get_running_loop().time() - began >= 0.5
    (message,) = twin.books.messages
    assert (answer.status, answer.json["sid"]) == (201, message.sid)
    assert twin.books.refusals == []


async def test_who_does_not_wait_for_the_end_of_a_dripping_answer_is_in_the_books(
    twin: Twin, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    _plan(twin, kind="drip", delay_s=20, first=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.7):
            await caller.create()
    await until(lambda: twin.books.refusals)
    (refusal,) = twin.books.refusals
    assert (refusal.accepted_sid, refusal.status) == (twin.books.messages[0].sid, 0)
    await twin.hang_up()
    assert caplog.records == [], "that is no error of the twin's"


async def test_a_trouble_comes_again(twin: Twin, caller: Caller) -> None:
    _plan(twin, kind="throttle", from_s=10, until_s=20, every_s=30)
    statuses = []
    for _ in range(6):
        statuses.append((await caller.create()).status)
        await twin.advance(10)
    assert statuses == [201, 429, 201, 201, 429, 201]


async def test_some_messages_are_missing_from_lists_for_longer(twin: Twin, caller: Caller) -> None:
    late = "+15558675388"
    twin.plan_faults(FaultSettings(listing_lags=(ListingLag(lag_s=(20, 20), to_suffix="88"),), listing_lag_s=(5, 5)))
    await caller.create()
    await caller.create(To=late)
    shown = []
    for _ in range(3):
        shown.append([message["to"] == late for message in (await caller.get("/Messages.json")).json["messages"]])
        await twin.advance(10)
    assert shown == [[], [False], [True, False]]


def test_a_long_tail_has_its_median_and_its_99th_percentile() -> None:
    fault = RequestFault(kind="latency", delay_s=(0.05, 2.0), spread="long_tail")
    plan = FaultPlan(FaultSettings(requests=(fault,)), 0.0)
    drawn = sorted(plan.for_request("create", "+1", "+2", 0.0).latency_s for _ in range(20_000))
    assert drawn[10_000] == pytest.approx(0.05, rel=0.05)
    assert drawn[19_800] == pytest.approx(2.0, rel=0.2)


def test_a_long_tail_may_have_an_end() -> None:
    fault = RequestFault(kind="latency", delay_s=(0.05, 2.0), spread="long_tail", at_most_s=1.5)
    plan = FaultPlan(FaultSettings(requests=(fault,)), 0.0)
    drawn = [plan.for_request("create", "+1", "+2", 0.0).latency_s for _ in range(2_000)]
    assert max(drawn) == 1.5
    assert min(drawn) < 0.05


def test_a_long_tail_without_a_median_is_refused() -> None:
    with pytest.raises(ValidationError, match="median"):
        RequestFault(kind="latency", delay_s=(0.0, 2.0), spread="long_tail")


def test_shares_are_drawn_by_seed() -> None:
    settings = FaultSettings(
        seed=3,
        requests=(RequestFault(kind="throttle", share=0.25),),
        callbacks=(CallbackFault(kind="lose", share=0.25),),
    )

    def run() -> list[bool]:
        plan = FaultPlan(settings, 0.0)
        requests = [plan.for_request("create", "+1", "+2", 0.0).before is not None for _ in range(400)]
        return requests + [plan.for_callback("status", "sent").lost for _ in range(400)]

    assert run() == run()
    assert 60 < sum(run()[:400]) < 140
    assert 60 < sum(run()[400:]) < 140
