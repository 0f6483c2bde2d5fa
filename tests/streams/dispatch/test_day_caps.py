"""What a carrier takes of a brand a day: counted by the log, by whoever has the partition; what is more waits for the
next day of the Pacific coast."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from schemas.reasons import Reason
from schemas.records import (
    Attempt,
    AttemptOutcome,
    Control,
    ControlAction,
    ControlSubject,
    Follows,
    MessageClass,
)
from streams.control.day_caps import day_cap_reached, day_count_key, day_end_ms, day_start_ms
from streams.control.days import Days
from streams.control.trouble import trouble_key
from streams.dispatch.day_caps import TOLD_EVERY, DayCaps
from streams.dispatch.day_counts import EVERY_MS, DayCounts
from streams.dispatch.jobs import Job
from streams.dispatch.lanes import Budget, DayCap, Group, LaneTable

from .simulation import lane, order, table
from .test_attempts import intent, result
from .test_verdict import rejected
from .world import PARTITION, wall_ms, world

PACIFIC = ZoneInfo("America/Los_Angeles")
ACME = ("acme", "tmobile")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=PACIFIC).timestamp() * 1000)


NOON = at("2026-11-29T12:00")


def brand(per_day: int = 10, kept: int = 0) -> LaneTable:
    return table(
        [lane("a", 1e6, group="g"), lane("b", 1e6, group="h"), lane("other", 1e6)],
        [Group("g", PARTITION, budget="acme"), Group("h", PARTITION, budget="acme")],
        budgets=[Budget("acme", 1e6, {"tmobile": DayCap(per_day, kept)})],
    )


def waits(caps: DayCaps, now_ms: int = NOON, **of: object) -> int | None:
    made = Job(order(**{"carrier": "tmobile", **of}))  # type: ignore[arg-type]  # passes keywords through
    return caps.waits_until(made.order, made.segments, now_ms)


def sent(caps: DayCaps, segments: int, at_ms: int = NOON, **of: object) -> None:
    fields = {"carrier": "tmobile", "at": at_ms, "segments": segments, "message_id": f"m{random.random()}", **of}
    record = intent(**fields)  # type: ignore[arg-type]  # passes keywords through
    caps.add(record)
    caps.acknowledged(record)


@pytest.mark.parametrize(
    ("moment", "end", "hours"),
    [
        ("2026-11-29T00:00", "2026-11-30T00:00", 24),
        ("2026-11-29T23:59", "2026-11-30T00:00", 24),
        ("2026-03-08T12:00", "2026-03-09T00:00", 23),
        ("2026-11-01T00:30", "2026-11-02T00:00", 25),
    ],
)
def test_a_day_goes_from_midnight_to_midnight_of_the_pacific_coast(moment: str, end: str, hours: int) -> None:
    assert day_end_ms(at(moment)) == at(end)
    assert day_end_ms(at(moment)) - day_start_ms(at(moment)) == hours * 3_600_000


def test_a_brand_waits_for_the_next_day_when_its_carrier_takes_no_more_and_nobody_else_does() -> None:
    caps = DayCaps(brand(10))
    sent(caps, 4)
    sent(caps, 5, lane="b")
    sent(caps, 100, carrier="att")
    sent(caps, 100, lane="other")
    assert waits(caps, segments=1) is None
    assert waits(caps, segments=2) == at("2026-11-30T00:00")
    sent(caps, 1)
    assert waits(caps, segments=1) == waits(caps, lane="b") == at("2026-11-30T00:00")
    assert waits(caps, carrier="att") is waits(caps, carrier=None) is waits(caps, lane="other") is None
    assert waits(caps, at("2026-11-30T00:00")) is None
    [state] = caps.states(at("2026-11-30T00:00")).values()
    assert (state.used, state.waits_until) == (0, None)


def test_what_is_kept_for_critical_messages_only_they_may_use() -> None:
    caps = DayCaps(brand(10, kept=3))
    sent(caps, 7)
    assert waits(caps) is not None
    assert waits(caps, message_class=MessageClass.CRITICAL, segments=3) is None
    assert waits(caps, message_class=MessageClass.CRITICAL, segments=4) is not None
    assert caps.states(NOON)[ACME].waits_until == at("2026-11-30T00:00")


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (AttemptOutcome.ACCEPTED, True),
        (AttemptOutcome.IN_DOUBT, True),
        (AttemptOutcome.REJECTED, False),
        (AttemptOutcome.THROTTLED, False),
        (AttemptOutcome.TRANSIENT, False),
        (AttemptOutcome.NOT_STARTED, False),
    ],
)
def test_what_was_certainly_not_sent_is_given_back_once(outcome: AttemptOutcome, counts: bool) -> None:
    caps = DayCaps(brand(10))
    caps.add(intent(carrier="tmobile", at=NOON, segments=6))
    ended = result(outcome=outcome, follows=Follows.RETRY)
    ended.carrier, ended.at, ended.segments = "tmobile", NOON, 6
    for _ in range(2):
        caps.add(ended)
    assert caps.states(NOON)[ACME].used == (6 if counts else 0)
    unwritten = result(2, outcome=AttemptOutcome.NOT_STARTED, follows=Follows.WHEEL)
    unwritten.carrier = "tmobile"
    caps.add(unwritten)
    assert caps.states(NOON)[ACME].used == (6 if counts else 0), "an attempt without INTENT was never counted"


def test_what_twilio_says_holds_the_carrier_until_its_next_day_critical_messages_too() -> None:
    caps = DayCaps(brand(10))
    said = day_cap_reached(ACME, code=30023, why="reached", fix="wait", at=NOON)
    assert said.until == at("2026-11-30T00:00")
    assert caps.take(trouble_key(said), said)
    assert waits(caps, message_class=MessageClass.CRITICAL) == at("2026-11-30T00:00")
    assert waits(caps, carrier="att") is None
    assert caps.states(NOON)[ACME].said_by_twilio
    assert waits(caps, at("2026-11-30T00:00")) is None
    pause = Control(subject_kind=ControlSubject.LANE, subject="a", action=ControlAction.PAUSE, by="ada", at=NOON)
    assert not caps.take(b"lane:a", pause)


def reopened(log: _Log, at_ms: int, used: int = 0) -> tuple[bytes, Control]:
    """As the command does it: from what stands on comms.control alone."""
    said = Days()
    for key, record in log.control.items():
        said.take(key, record)
    return said.reopening(ACME, used=used, by="ada", reason=None, at=at_ms)


def test_a_day_that_an_operator_opens_again_is_open_for_every_owner_until_twilio_ends_it_anew() -> None:
    lanes, log = brand(10, kept=2), _Log()
    caps = log.successor(lanes, NOON)

    def hear(key: bytes, record: Control) -> None:
        log.control[key] = record
        assert caps.take(key, record)

    def send(segments: int, name: str) -> None:
        each = intent(message_id=name, carrier="tmobile", at=NOON, segments=segments)
        log.records.append(each)
        caps.add(each)
        caps.acknowledged(each)
        for capped, record in caps.to_tell({PARTITION: len(log.records)}, NOON):
            hear(day_count_key(capped), record)

    send(8, "first")
    said = day_cap_reached(ACME, code=30027, why="reached", fix="wait", at=NOON)
    hear(trouble_key(said), said)
    assert waits(caps, message_class=MessageClass.CRITICAL) is not None
    hear(*reopened(log, NOON + 1))
    for each in (caps, log.successor(lanes, NOON)):
        assert waits(each, NOON + 2, segments=8) is None
        assert waits(each, NOON + 2, segments=9) is not None, "the day is as long as another one"
        state = each.states(NOON + 2)[ACME]
        assert (state.used, state.said_by_twilio, state.reopened_at) == (0, False, NOON + 1)
    send(5, "second")
    for each in (caps, log.successor(lanes, NOON)):
        assert each.states(NOON + 2)[ACME].used == 5
        assert waits(each, NOON + 2, segments=4) is not None
    hear(*reopened(log, NOON + 2, used=7))
    for each in (caps, log.successor(lanes, NOON)):
        assert each.states(NOON + 2)[ACME].used == 7
    again = day_cap_reached(ACME, code=30023, why="reached", fix="wait", at=NOON + 3)
    hear(trouble_key(again), again)
    for each in (caps, log.successor(lanes, NOON)):
        assert waits(each, NOON + 3, message_class=MessageClass.CRITICAL) == at("2026-11-30T00:00")
        assert waits(each, at("2026-11-30T00:00"), segments=8) is None
        assert each.states(at("2026-11-30T00:00"))[ACME].reopened_at is None


class _Log:
    """The attempts log of one partition, and what stands on comms.control."""

    def __init__(self) -> None:
        self.records: list[Attempt] = []
        self.control: dict[bytes, Control] = {}

    def successor(self, lanes: LaneTable, now_ms: int) -> DayCaps:
        caps = DayCaps(lanes)
        for key, word in self.control.items():
            assert caps.take(key, word)
        start = caps.restored_from(PARTITION, now_ms)
        assert start is not None
        position = start[0] or 0
        for offset, record in enumerate(self.records):
            if offset >= position:
                caps.read(record, offset)
        return caps


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_successor_counts_on_and_never_less_than_was_sent(seed: int) -> None:
    """Owners die at any moment, with records written that nobody acknowledged to them; days end. What is given back
    after the end that was told with a count is not known to be in it, and stays in it."""
    rnd, lanes, log, now_ms = random.Random(seed), brand(10**6), _Log(), NOON
    sent_on: dict[int, int] = {}
    given_back = 0
    for _ in range(6):
        caps, acknowledged = log.successor(lanes, now_ms), len(log.records)
        counts = DayCounts(
            caps,
            ends=lambda: {PARTITION: acknowledged},  # noqa: B023
            write=log.control.__setitem__,
            now_ms=lambda: now_ms,  # noqa: B023
        )
        day = day_start_ms(now_ms)
        assert caps.states(now_ms)[ACME].used >= sent_on.get(day, 0)
        assert caps.states(now_ms)[ACME].used <= sent_on.get(day, 0) + given_back
        for number in range(rnd.randrange(40)):
            now_ms += rnd.choice([0, 10, EVERY_MS, 3_600_000 if rnd.random() < 0.05 else 0])
            name, segments = f"{seed}-{now_ms}-{number}-{rnd.random()}", rnd.choice([1, 1, 3])
            begun = intent(message_id=name, carrier=rnd.choice(["tmobile", "att"]), at=now_ms, segments=segments)
            outcome = rnd.choice([AttemptOutcome.ACCEPTED, AttemptOutcome.ACCEPTED, AttemptOutcome.THROTTLED, None])
            written = [begun]
            if outcome is not None:
                ended = result(message_id=name, outcome=outcome, follows=Follows.FINAL)
                ended.carrier, ended.at, ended.segments = begun.carrier, now_ms, segments
                written.append(ended)
            for each in written:
                log.records.append(each)
                caps.add(each)
            if begun.carrier == "tmobile":
                if outcome is AttemptOutcome.THROTTLED:
                    given_back += segments
                else:
                    sent_on[day_start_ms(now_ms)] = sent_on.get(day_start_ms(now_ms), 0) + segments
            until = max(acknowledged, len(log.records) - rnd.choice([0, 0, 1, 3]))
            for each in log.records[acknowledged:until]:
                caps.acknowledged(each)
            acknowledged = until
            counts.turn()


def test_without_unacknowledged_records_a_successor_counts_exactly_what_was_sent() -> None:
    lanes, log = brand(1000), _Log()
    caps = log.successor(lanes, NOON)
    now_ms = NOON
    counts = DayCounts(
        caps, ends=lambda: {PARTITION: len(log.records)}, write=log.control.__setitem__, now_ms=lambda: now_ms
    )
    for number in range(50):
        now_ms += EVERY_MS // 5
        each = intent(message_id=f"m{number}", carrier="tmobile", at=now_ms, segments=2)
        log.records.append(each)
        caps.add(each)
        caps.acknowledged(each)
        counts.turn()
    assert log.successor(lanes, now_ms).states(now_ms)[ACME].used == 100
    [told] = log.control.values()
    assert told.position is not None
    assert told.position > 30, "a successor reads the end of the log only"


def test_who_does_not_serve_a_brand_tells_nothing_of_its_days() -> None:
    caps, served = DayCaps(brand(10)), {PARTITION: 7}
    counts = DayCounts(caps, ends=lambda: served, write=lambda key, record: None, now_ms=lambda: NOON)
    sent(caps, 10)
    [shown] = counts.show()
    assert (shown["budget"], shown["carrier"], shown["used"], shown["per_day"]) == ("acme", "tmobile", 10, 10)
    assert (shown["waits_until"], shown["said_by_twilio"]) == (at("2026-11-30T00:00"), False)
    opened = Days().reopening(ACME, used=0, by="ada", reason=None, at=NOON)
    assert shown["reopened_at"] is None
    assert counts.take(*opened)
    assert counts.show()[0]["reopened_at"] == NOON
    served.clear()
    assert counts.show() == []


def test_the_log_tells_once_that_a_day_is_over_and_that_it_is_open_again() -> None:
    caps, log, now_ms = DayCaps(brand(10)), _Log(), NOON
    counts = DayCounts(caps, ends=lambda: {PARTITION: 7}, write=log.control.__setitem__, now_ms=lambda: now_ms)

    def logged() -> list[str]:
        nonlocal now_ms
        with capture_logs() as entries:
            for _ in range(2):
                now_ms += EVERY_MS
                counts.turn()
        return [each["event"] for each in entries]

    sent(caps, 10)
    over, opened = (
        "a carrier takes no more of a brand today; its messages wait",
        "a carrier takes a brand's messages again",
    )
    assert logged() == [over]
    for key, record in log.control.items():
        assert counts.take(key, record)
    assert counts.take(*reopened(log, now_ms))
    assert logged() == [f"{opened} before its day ends"]
    sent(caps, 10)
    assert logged() == [over]
    now_ms = at("2026-11-30T00:00")
    assert logged() == [], "a new day is no news"


def test_what_is_told_leaves_out_what_lies_beyond_its_end() -> None:
    """Several INTENTs are written at once, and the first acknowledgement may come when a count is told."""
    lanes, log = brand(), _Log()
    caps, first = log.successor(lanes, NOON), intent(message_id="first", carrier="tmobile", at=NOON, segments=2)
    log.records = [first, intent(message_id="second", carrier="tmobile", at=NOON, segments=3)]
    for each in log.records:
        caps.add(each)
    caps.acknowledged(first)
    assert caps.states(NOON)[ACME].used == 5
    for capped, record in caps.to_tell({PARTITION: 1}, NOON):
        log.control[day_count_key(capped)] = record
    assert log.successor(lanes, NOON).states(NOON)[ACME].used == 5


def test_of_two_carriers_each_is_counted_on_from_where_it_was_told() -> None:
    lanes = table(
        [lane("a", 1.0, group="g")],
        [Group("g", PARTITION, budget="acme")],
        budgets=[Budget("acme", 1.0, {"tmobile": DayCap(99), "att": DayCap(99)})],
    )
    log, caps = _Log(), DayCaps(lanes)
    for number in range(20):
        each = intent(message_id=f"m{number}", carrier="tmobile" if number < 10 else "att", at=NOON)
        log.records.append(each)
        caps.add(each)
        caps.acknowledged(each)
        if number in (9, 14):
            for capped, record in caps.to_tell({PARTITION: number + 1}, NOON):
                log.control[day_count_key(capped)] = record
    assert [record.position for record in log.control.values()] == [10, 15]
    assert [state.used for state in log.successor(lanes, NOON).states(NOON).values()] == [10, 10]


def test_a_count_that_does_not_change_is_told_again_when_the_log_has_grown() -> None:
    caps = DayCaps(brand())
    caps.restored_from(PARTITION, NOON)
    ends = {PARTITION: 0}
    assert len(list(caps.to_tell(ends, NOON))) == 1
    ends[PARTITION] = TOLD_EVERY - 1
    assert list(caps.to_tell(ends, NOON)) == []
    ends[PARTITION] = TOLD_EVERY
    [(_, again)] = caps.to_tell(ends, NOON)
    assert (again.used, again.position) == (0, TOLD_EVERY)
    assert list(caps.to_tell({PARTITION + 1: 5}, NOON)) == [], "of a partition that is not ours"


@pytest.mark.parametrize("rate", [1e6, None])
async def test_what_a_carrier_takes_no_more_of_goes_to_the_wheel_until_its_next_day_and_the_rest_is_sent(
    rate: float | None,
) -> None:
    groups = [Group("g", PARTITION, budget="acme")]
    budgets = [Budget("acme", rate, {"tmobile": DayCap(6, 1)})]
    async with world(lane("a", 1e6, group="g"), groups=groups, budgets=budgets) as running:
        began_ms = wall_ms()
        taken = [running.take(order(lane="a", carrier="tmobile", message_id=f"t{number}")) for number in range(8)]
        others = [running.take(order(lane="a", carrier=each)) for each in ("att", None)]
        await running.until(lambda: all(each.finished for each in (*taken, *others)))
        urgent = running.take(order(lane="a", carrier="tmobile", message_class=MessageClass.CRITICAL))
        await running.until(lambda: urgent.finished)
        posted = [each.carrier for each, _, _ in running.twilio.posts]
        assert (posted.count("tmobile"), posted.count("att"), posted.count(None)) == (6, 1, 1)
        back = running.told("comms.deferred.1s")
        assert {(each.round, each.reason) for each in back} == {(1, Reason.DAY_CAP_REACHED)}
        assert len(back) == 3
        assert all(day_end_ms(began_ms) <= each.due_at <= day_end_ms(began_ms) + 600_000 for each in back)
        soon = running.take(order(lane="a", carrier="tmobile", deadline=wall_ms() + 5_000))
        await running.until(lambda: soon.finished)
        assert running.told("comms.deferred.1s")[-1].due_at <= wall_ms() + 5_000, "not after its deadline"


async def test_a_former_owner_whose_last_answer_comes_late_tells_no_count_any_more() -> None:
    """The new owner may have sent more by then, which would be in nobody's count."""
    groups = [Group("g", PARTITION, budget="acme")]
    budgets = [Budget("acme", 1e6, {"tmobile": DayCap(6)})]
    async with world(lane("a", 1e6, group="g"), groups=groups, budgets=budgets) as running:
        running.twilio.hold = asyncio.Event()
        running.take(order(lane="a", carrier="tmobile"))
        await running.until(lambda: running.twilio.posts)
        caps, positions = running.engine.sender._world.day_caps, running.engine.positions
        assert caps is not None
        assert [record.used for _, record in caps.to_tell(positions.ends, wall_ms())] == [1]
        running.engine.drop()
        running.engine.open(2, ends={PARTITION + 1: 0})
        running.twilio.answer = lambda *_: rejected(30006)
        running.twilio.hold.set()
        await running.until(lambda: len(running.attempts()) == 2 and not running.engine.under_way.count)
        assert list(caps.to_tell(positions.ends, wall_ms())) == []
