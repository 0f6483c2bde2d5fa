from __future__ import annotations

from typing import Any

import pytest

from tests.twin.rig import LONG, SECOND, SERVICE, SHORT, START, WHATSAPP, Caller, Hook, settings
from twin.clock import VirtualClock
from twin.server import Twin
from twin.settings import SenderSettings


def _left(twin: Twin, lane: str = LONG) -> list[Any]:
    """When messages left the queue, in seconds from the start."""
    rows = twin.books.message_rows({"lane": lane})
    return [pytest.approx(row["left_queue"] - START) for row in rows if row["left_queue"] is not None]  # type: ignore[operator]  # a float


async def test_a_queue_drains_exactly_at_its_rate_in_segments(twin: Twin, caller: Caller) -> None:
    for body in ("a", "a" * 161, "a" * 307, "a"):  # 1, 2, 3, 1 segments at 10/s
        await caller.create(Body=body)
    await twin.advance(0.25)
    assert _left(twin) == [0.0, 0.1]
    await twin.advance(0.5)
    assert _left(twin) == [0.0, 0.1, 0.3, 0.6]


async def test_an_hour_of_traffic_keeps_to_the_rate(twin: Twin, caller: Caller) -> None:
    for _ in range(300):
        await caller.create(From=SECOND, Body="a" * 161)  # 2 segments at 1/s
    await twin.advance(299)
    assert sum(message.left_queue is not None for message in twin.books.messages) == 150
    await twin.advance(301)
    times = [message.left_queue or 0.0 for message in twin.books.messages]
    assert times == [pytest.approx(START + 2 * number) for number in range(300)]


async def test_an_idle_sender_saves_no_rate_for_later(twin: Twin, caller: Caller) -> None:
    await caller.create()
    await twin.advance(100)
    await caller.create()
    await caller.create()
    await twin.advance(1)
    assert _left(twin) == [0.0, 100.0, 100.1]


async def test_senders_do_not_wait_for_each_other(twin: Twin, caller: Caller) -> None:
    for _ in range(5):
        await caller.create(From=SECOND)
    await caller.create(From=SHORT)
    await twin.advance(0)
    assert (_left(twin, SECOND), _left(twin, SHORT)) == ([0.0], [0.0])


@pytest.mark.parametrize(("fields", "step_s"), [({"MediaUrl": "https://a.example/1"}, 0.1), ({"Body": "a" * 320}, 0.3)])
async def test_mms_counts_as_one_message_whatever_its_text(
    fields: dict[str, str], step_s: float, twin: Twin, caller: Caller
) -> None:
    await caller.create(**({"Body": "a" * 320} | fields))
    await caller.create()
    await twin.advance(5)
    assert _left(twin) == [0.0, step_s]


async def test_validity_ends_in_the_queue(twin: Twin, caller: Caller, hook: Hook) -> None:
    for _ in range(4):
        await caller.create(From=SECOND, ValidityPeriod="2", StatusCallback=hook.url("/twilio/status?m=1"))
    await caller.create(From=SECOND, Body="patient")
    await twin.advance(2.5)
    assert twin.books.messages[3].status == "failed"  # not only when its turn would have come
    await twin.advance(10)
    rows = list(twin.books.message_rows({}))
    assert [(row["status"], row["error_code"]) for row in rows] == [
        ("delivered", None),
        ("delivered", None),
        ("delivered", None),
        ("failed", 30036),
        ("delivered", None),
    ]
    assert rows[3]["error_message"] == "Validity Period Expired"
    assert rows[3]["history"] == [{"status": "queued", "at": START}, {"status": "failed", "at": START + 2}]
    assert rows[4]["left_queue"] == START + 3  # what expired took nothing of the rate
    assert [call.fields["ErrorCode"] for call in hook.calls if call.fields["MessageStatus"] == "failed"] == ["30036"]


async def test_a_full_queue_refuses_with_429_21611_until_it_drains(twin: Twin, caller: Caller) -> None:
    twin.exchange.directory.put_sender(SenderSettings(address=SECOND, rate=0.001))  # 36 segments in 10 h
    first = [await caller.create(From=SECOND, Body="a" * 1530) for _ in range(4)]  # 10 segments; the first leaves
    assert [answer.status for answer in first] == [201] * 4
    full = await caller.create(From=SECOND, Body="a" * 1071)  # 7 segments
    assert (full.status, full.json["code"], full.json["message"]) == (429, 21611, "SMS queue is full.")
    assert (await caller.create(From=SECOND, Body="a" * 900)).status == 201  # 6 fit
    await twin.advance(10_000)
    assert (await caller.create(From=SECOND, Body="a" * 1071)).status == 201


async def test_a_whatsapp_queue_holds_4_hours() -> None:
    async with Twin(settings()) as twin:
        senders = twin.exchange.directory.senders
        assert senders[WHATSAPP].queue_limit == 80 * 4 * 3600
        assert senders[SHORT].queue_limit == 100 * 10 * 3600


async def test_with_a_service_a_full_queue_fails_later_with_30001(twin: Twin, caller: Caller, hook: Hook) -> None:
    for sender in (LONG, SECOND):
        twin.exchange.directory.put_sender(SenderSettings(address=sender, rate=1 / 36_000))  # one segment in 10 h
    for _ in range(5):
        answer = await caller.create(MessagingServiceSid=SERVICE, StatusCallback=hook.url())
        assert answer.status == 201
        await twin.advance(1)
    rows = list(twin.books.message_rows({}))
    assert [row["error_code"] for row in rows] == [None, None, None, None, 30001]
    assert hook.calls[-1].fields["ErrorCode"] == "30001"


async def test_a_new_rate_holds_for_what_waits(twin: Twin, caller: Caller) -> None:
    for _ in range(4):
        await caller.create(From=SECOND)
    await twin.advance(1.5)
    twin.exchange.directory.put_sender(SenderSettings(address=SECOND, rate=10))
    await twin.advance(10)
    assert _left(twin, SECOND) == [0.0, 1.0, 2.0, 2.1]


def test_a_virtual_clock_runs_calls_in_order_at_their_own_time() -> None:
    clock = VirtualClock(100.0)
    seen: list[tuple[str, float]] = []

    def note(name: str) -> None:
        seen.append((name, clock.now()))
        if name == "b":
            clock.call_at(103.0, note, "d")

    clock.call_at(105.0, note, "e")
    clock.call_at(102.0, note, "b")
    clock.call_at(102.0, note, "c")
    clock.call_at(99.0, note, "a")
    clock.call_at(104.0, note, "never").cancel()
    assert clock.run_until(104.5)
    assert seen == [("a", 100.0), ("b", 102.0), ("c", 102.0), ("d", 103.0)]
    assert (clock.now(), clock.next_due()) == (104.5, 105.0)
