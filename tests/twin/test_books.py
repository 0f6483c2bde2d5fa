from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.twin.rig import LONG, PERSON, SECOND, SERVICE, START, Caller, Hook
from twin.pacing import worst_window
from twin.server import Twin


async def test_the_summary_counts_everything(twin: Twin, caller: Caller, hook: Hook) -> None:
    await caller.create(StatusCallback=hook.url("/twilio/status?m=1"), Body="a" * 161)
    await caller.create(To="123")
    await twin.advance(1)
    summary = twin.books.summary()
    assert (summary["accepted"], summary["segments"], summary["final"]) == (1, 2, 1)
    assert summary["by_status"] == {"delivered": 1}
    assert summary["refused_by_code"] == {"21211": 1}
    assert summary["callbacks"] == {"made": 2, "tries": 2, "delivered": 2, "lost": 0}


async def test_a_message_is_told_in_full(twin: Twin, caller: Caller) -> None:
    callback = "https://a.example/cb?m=abc&r=0&a=1#rc=0"
    created = (await caller.create(StatusCallback=callback, Tags='{"campaign":"x"}', MessageIntent="otp")).json
    await twin.advance(1)
    (row,) = twin.books.message_rows({"m": "abc", "to": PERSON, "status": "delivered"})
    assert row["sid"] == created["sid"]
    assert (row["received"], row["accepted"], row["left_queue"]) == (START, START, START)
    assert row["history"] == [
        {"status": "queued", "at": START},
        {"status": "sent", "at": START},
        {"status": "delivered", "at": START},
    ]
    assert row["form"] == {
        "To": PERSON,
        "Body": "Hi",
        "From": LONG,
        "StatusCallback": callback,
        "Tags": '{"campaign":"x"}',
        "MessageIntent": "otp",
    }
    assert list(twin.books.message_rows({"m": "other"})) == []


async def test_every_try_of_a_webhook_and_its_answer_are_told(twin: Twin, caller: Caller, hook: Hook) -> None:
    hook.answers = [500]
    await caller.create(StatusCallback=hook.url("/twilio/status?m=abc#rc=1&rp=5xx"))
    await twin.advance(1)
    sent, delivered = twin.books.webhook_rows({"m": "abc"})
    assert [(one["result"], one["http_status"]) for one in sent["tries"]] == [("5xx", 500), ("2xx", 204)]  # type: ignore[attr-defined]  # a list
    assert (delivered["status"], delivered["delivered"]) == ("delivered", True)


async def test_a_webhook_that_failed_is_an_alert(twin: Twin, caller: Caller, hook: Hook) -> None:
    hook.answers = [500, 404]
    await caller.create(StatusCallback=hook.url())
    await twin.advance(1)
    assert [(alert.code, alert.detail) for alert in twin.books.alerts] == [
        (11200, "answered 500"),
        (11200, "answered 404"),
    ]


async def test_equal_texts_are_duplicates_only_with_equal_message_ids(twin: Twin, caller: Caller) -> None:
    for own_id in ("1", "2", "2", "3"):
        await caller.create(StatusCallback=f"https://a.example/cb?m={own_id}&a=1#rc=1")
    (duplicate,) = twin.books.duplicates()
    assert (duplicate["m"], duplicate["count"], duplicate["to"]) == ("2", 2, PERSON)


async def test_pacing_is_told_per_lane(twin: Twin, caller: Caller) -> None:
    for _ in range(3):
        await caller.create(From=SECOND)  # 1 segment/s
        await twin.advance(1)
    for _ in range(3):
        await caller.create(From=LONG)  # 10 segments/s, at once
    await caller.create(MessagingServiceSid=SERVICE)  # 11 segments/s together
    rows = {str(row["lane"]): row for row in twin.pacing()}
    assert rows[SECOND]["excess_segments"] == 0.0
    assert rows[LONG]["excess_segments"] == 2.0
    assert (rows[LONG]["excess_s"], rows[LONG]["window_segments"]) == (0.2, 3)
    assert (rows[SERVICE]["rate"], rows[SERVICE]["excess_segments"]) == (11.0, 0.0)
    tolerant = {str(row["lane"]): row for row in twin.pacing(tolerance_s=0.2)}
    assert tolerant[LONG]["excess_segments"] == 0.0


def test_the_worst_window_is_found_among_many() -> None:
    steady = [(float(at), 1) for at in range(10)]
    burst = [(20.0, 2), (20.1, 2), (20.2, 2)]
    worst = worst_window(steady + burst, 1.0)
    assert worst is not None
    assert round(worst.segments, 6) == 3.8  # 6 segments in 0.2 s, less 0.2 and the largest message
    assert (worst.from_s, worst.until_s, worst.carried, worst.largest) == (20.0, 20.2, 6, 2)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5)), min_size=1, max_size=12), st.integers(1, 4))
def test_the_worst_window_is_that_of_trying_all(arrivals: list[tuple[int, int]], rate: int) -> None:
    ordered = sorted(arrivals)
    largest = max(cost for _, cost in ordered)
    slow = max(
        sum(cost for _, cost in ordered[first : last + 1]) - rate * (ordered[last][0] - ordered[first][0]) - largest
        for first in range(len(ordered))
        for last in range(first, len(ordered))
    )
    fast = worst_window(((float(at), cost) for at, cost in arrivals), float(rate))
    assert fast is not None
    assert round(fast.segments, 6) == slow
