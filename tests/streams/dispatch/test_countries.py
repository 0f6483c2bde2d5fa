"""A refusal that is about the recipient's country holds what its lane has for that country, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from connectors.twilio.answers import Answer
from schemas.reasons import Reason
from schemas.records import (
    Attempt,
    Channel,
    Control,
    ControlAction,
    Deferral,
    Dispatch,
    Follows,
    LifecycleEvent,
    MessageStatus,
)
from schemas.topics import ATTEMPTS, CONTROL, deferral_topic
from streams.control.switches import Aspect, control_key
from streams.control.trouble import trouble_key
from streams.dispatch import metrics
from streams.dispatch.breaker import Backoff
from streams.dispatch.countries import RefusedCountries
from streams.dispatch.findings import SUSPECTED_PART
from streams.dispatch.jobs import Job, JobState
from streams.dispatch.scheduler import Scheduler
from streams.dispatch.settling import FULL_SPREAD, REFUSED_HEARD_MS, REFUSED_WAIT_S
from streams.dispatch.snapshot import LaneView
from streams.dispatch.verdict import ROUNDS_MAX, Pause, Paused

from .simulation import job, lane, order, scheduler, table
from .test_sending import QUICK
from .test_switching import switching_of
from .test_verdict import rejected
from .world import Consumed, World, wall_ms, world

US, CA, DE, FR = "+14155550123", "+16135550123", "+4915112345678", "+33612345678"
NOWHERE = "+19995550123"
STEADY = Backoff(first_s=60.0, cap_s=200.0, jitter=0.0)
SHORT = Backoff(first_s=0.3, cap_s=0.3, jitter=0.0)
NEVER = Backoff(first_s=3600.0, cap_s=3600.0, jitter=0.0)
PAUSE = Pause(Paused.LANE, "21606: no", fix="stop route", code=21606, may_be_country=True)


# What is known, on a clock of the test's own --------------------------------------------------------------------------


class Lane:
    """One lane that meets answers."""

    def __init__(self) -> None:
        self.scheduler: Scheduler = scheduler(table([lane("a", 1.0)]), country_backoff=STEADY)
        self.countries: RefusedCountries = self.scheduler.pauses.countries
        self.now = 0.0

    def refused(self, recipient: str) -> bool:
        """Whether it is the country's."""
        known = self.countries.refused(job(recipient=recipient), PAUSE, self.now, int(self.now * 1000))
        return known is not None and known.marked

    def worked(self, recipient: str, *, accepted: bool = True) -> tuple[list[str], str | None]:
        sent = job(recipient=recipient)
        begun, over = self.countries.worked(sent, self.now, int(self.now * 1000), accepted=accepted)
        return [each.name for each in begun], None if over is None else over.name

    def planned(self, recipient: str) -> Job:
        made = job(recipient=recipient)
        made.state = JobState.PREPARING
        return made

    def stops(self, made: Job) -> bool:
        return self.countries.stops(made, self.now)

    def left_s(self, recipient: str) -> float:
        return self.countries.left_s(order(recipient=recipient), self.now)


@pytest.fixture
def here() -> Lane:
    return Lane()


def test_a_refusal_is_the_countrys_if_the_lane_has_just_worked_for_another(here: Lane) -> None:
    here.worked(US)
    assert here.refused(DE)
    assert here.stops(here.planned(DE))
    assert not here.stops(here.planned(US))
    assert not here.stops(here.planned(CA)), "which shares the country code"


def test_that_a_lane_worked_proves_something_for_one_country_only(here: Lane) -> None:
    here.worked(US)
    assert here.refused(DE)
    assert not here.refused(FR), "the sender may have become bad"
    here.worked(US)
    assert here.refused(FR)


@pytest.mark.parametrize("recipient", [DE, NOWHERE])
def test_that_a_lane_worked_for_the_same_country_or_for_none_proves_nothing(here: Lane, recipient: str) -> None:
    here.worked(recipient)
    assert not here.refused(DE)


def test_a_country_is_suspected_until_the_lane_works_for_another(here: Lane) -> None:
    assert not here.refused(DE)
    here.scheduler.pauses.trip_lane("a", here.now, "no")
    assert here.countries.suspects(order(recipient=DE))
    assert not here.countries.suspects(order(recipient=US))
    assert here.worked(US) == ([], None), "the answer to a POST from before the trouble"
    here.now = here.scheduler.lanes["a"].breaker.open_until
    assert here.worked(NOWHERE) == ([], None)
    assert here.worked(US) == (["a@DE"], None)
    assert not here.countries.suspects(order(recipient=DE))
    assert here.left_s(DE) == 60.0
    assert here.stops(here.planned(DE))


def test_where_somebody_ended_the_trouble_of_the_lane_nothing_is_suspected(here: Lane) -> None:
    here.refused(DE)
    here.scheduler.pauses.trip_lane("a", here.now, "no")
    here.scheduler.lanes["a"].breaker.reset()
    assert not here.countries.suspects(order(recipient=DE))
    assert not here.stops(here.planned(DE))
    assert here.worked(US) == (["a@DE"], None)


def test_a_number_of_no_country_is_refused_for_its_sender(here: Lane) -> None:
    here.worked(US)
    assert not here.refused(NOWHERE)
    assert not here.countries
    assert not here.refused(DE), "and what worked before that proves nothing"


def test_one_message_tries_again_and_the_others_wait_for_what_it_finds(here: Lane) -> None:
    here.worked(US)
    here.refused(DE)
    here.now = 59.9
    assert here.stops(here.planned(DE))
    here.now = 60.0
    probe, other = here.planned(DE), here.planned(DE)
    assert not here.stops(probe)
    assert here.stops(other)
    assert not here.stops(probe), "it is asked about again right before its POST"
    here.countries.refused(other, PAUSE, here.now, 60_000)
    here.now = here.now + here.left_s(DE)
    assert here.stops(other), "a late answer to another one does not take its place"
    probe.state = JobState.OUT
    assert not here.stops(other), "it left without finding out"


def test_each_refusal_doubles_the_wait_and_what_was_under_way_meanwhile_does_not(here: Lane) -> None:
    here.worked(US)
    waits = []
    for _ in range(4):
        assert here.refused(DE), "the lane works for others"
        waits.append(here.left_s(DE))
        here.now += 1.0
        assert here.refused(DE)
        assert here.left_s(DE) == waits[-1] - 1.0
        here.now += here.left_s(DE)
    assert waits == [60.0, 120.0, 200.0, 200.0]


def test_a_probe_that_is_refused_is_no_probe_any_more(here: Lane) -> None:
    here.worked(US)
    here.refused(DE)
    here.now = 60.0
    probe = here.planned(DE)
    assert not here.stops(probe)
    here.countries.refused(probe, PAUSE, here.now, 60_000)
    assert here.stops(probe)


def test_a_message_that_is_accepted_ends_it_and_one_refused_for_itself_does_not(here: Lane) -> None:
    here.worked(US)
    here.refused(DE)
    assert here.worked(DE) == ([], None), "the answer to a POST from before"
    here.now = 60.0
    assert here.worked(DE, accepted=False) == ([], None), "Twilio may have looked at the recipient alone"
    assert here.countries
    assert here.worked(DE) == ([], "a@DE")
    assert not here.countries
    here.worked(US)
    assert here.refused(DE)
    assert here.left_s(DE) == 60.0, "it begins anew"


def test_another_owner_begins_anew(here: Lane) -> None:
    here.worked(US)
    here.refused(DE)
    here.worked(US)
    here.scheduler.clear()
    assert not here.countries
    assert not here.refused(FR), "nothing has worked here"


def test_what_another_owner_has_marked_is_tried_again_when_that_said(here: Lane) -> None:
    here.now = 1000.0
    here.countries.hold("a", "DE", PAUSE, 1050.0, 120.0, told_ms=930_000)
    assert here.stops(here.planned(DE))
    here.now = 1050.0
    assert not here.stops(here.planned(DE))
    assert here.refused(DE), "it holds nothing else, though nothing has worked here"
    assert here.left_s(DE) == 200.0, "and waits longer than the other did"


def test_the_end_of_a_mark_ends_no_later_one(here: Lane) -> None:
    here.worked(US)
    here.refused(DE)
    assert not here.countries.release("a", "DE", 59.0)
    assert here.stops(here.planned(DE))
    assert here.countries.release("a", "DE", 60.0)
    assert not here.countries
    assert not here.countries.release("a", "DE", 60.0)


# A whole process ------------------------------------------------------------------------------------------------------


def refuses(here: World, *prefixes: str, code: int = 21606) -> None:
    """From here on Twilio refuses this lane for numbers that begin so."""

    def answer(sent: Dispatch, attempt: int, number: int) -> Answer:
        return rejected(code) if sent.recipient.startswith(prefixes) else here.twilio.accepted(sent, number)

    here.twilio.answer = answer


def trips_of(here: World) -> list[int]:
    """From here on, how often in a row the lane was held, after each refusal that held it."""
    pauses, trips = here.scheduler.pauses, list[int]()
    trip = pauses.trip_lane

    def counted(name: str, now: float, why: str, *, at_least_s: float = 0.0) -> float:
        wait_s = trip(name, now, why, at_least_s=at_least_s)
        trips.append(here.scheduler.lanes[name].breaker.troubles)
        return wait_s

    pauses.trip_lane = counted  # type: ignore[method-assign]
    return trips


def posts(here: World) -> Counter[str]:
    return Counter(sent.recipient for sent, _, _ in here.twilio.posts)


def written(here: World) -> list[tuple[str, ControlAction]]:
    records: list[Control] = here.told(CONTROL)
    return [(each.subject, each.action) for each in records]


def given_back(here: World) -> list[Deferral]:
    return [each for each in here.told(deferral_topic("1s")) if isinstance(each, Deferral)]


async def finished(here: World, records: list[Consumed]) -> None:
    await here.until(lambda: all(record.finished for record in records))


async def sent_elsewhere(here: World) -> None:
    """The lane is seen to work."""
    record = here.take(order(recipient=US))
    await here.until(lambda: record.finished)


@pytest.mark.parametrize("works_before", [True, False])
async def test_a_thousand_messages_to_a_refused_country_do_not_hold_the_others(works_before: bool) -> None:
    async with world(max_in_flight=10, lane_backoff=QUICK) as here:
        refuses(here, "+49")
        if works_before:
            await sent_elsewhere(here)
        trips = trips_of(here)
        with capture_logs() as logs:
            bad = [here.take(order(recipient=DE)) for _ in range(1_000)]
            good = [here.take(order(recipient=US)) for _ in range(1_000)]
            await finished(here, [*bad, *good])
        holds = [(line["what"], line["name"]) for line in logs if line["event"] == "held"]
        assert holds == ([] if works_before else [("lane", "a")]) + [("country", "a@DE")]
        assert max(trips, default=0) == (0 if works_before else 1), "others probed"
        assert posts(here)[DE] <= 10, "those that were under way when the first was refused"
        assert posts(here)[US] == 1_000 + works_before
        assert {each.reason for each in given_back(here)} == {Reason.SENDER_REFUSED}
        assert len(given_back(here)) == 1_000
        assert here.scheduler.lanes["a"].breaker.closed


async def test_what_is_refused_for_the_sender_alone_holds_the_lane_whatever_it_did_before() -> None:
    async with world(lane_backoff=NEVER) as here:
        refuses(here, "+49", code=21212)
        await sent_elsewhere(here)
        record = here.take(order(recipient=DE))
        await here.until(lambda: record.finished)
        assert not here.scheduler.lanes["a"].breaker.closed
        assert not here.scheduler.pauses.countries


async def test_a_lane_that_is_refused_for_every_country_is_held() -> None:
    async with world(lane_backoff=QUICK, max_in_flight=2) as here:
        refuses(here, "+")
        taken = [here.take(order(recipient=recipient)) for recipient in (DE, FR, US) * 20]
        await here.until(lambda: here.scheduler.lanes["a"].breaker.troubles >= 4)
        assert {subject for subject, _ in written(here)} == {"a"}
        assert not any(refused.marked for _, _, refused in here.scheduler.pauses.countries)
        refuses(here, "nobody")
        assert not all(record.finished for record in taken), "the others wait for the lane"
        await finished(here, taken)
        assert ("a", ControlAction.CLEAR) in written(here)


async def test_one_message_a_time_finds_out_and_the_last_lets_all_go_again() -> None:
    async with world(lane_backoff=NEVER, country_backoff=SHORT) as here:
        refuses(here, "+49")
        await sent_elsewhere(here)
        tried = 0
        while tried < 3:
            taken = [here.take(order(recipient=DE)) for _ in range(20)]
            await finished(here, taken)
            assert posts(here)[DE] - tried <= 1 or not tried
            tried = posts(here)[DE]
            assert here.scheduler.lanes["a"].breaker.closed, "it works for others"
            await asyncio.sleep(SHORT.first_s)
        refuses(here, "nobody")
        before = len(given_back(here))
        assert (await sends(here, DE)).status is MessageStatus.ACCEPTED
        assert not here.scheduler.pauses.countries
        assert [(await sends(here, DE)).status for _ in range(5)] == [MessageStatus.ACCEPTED] * 5
        assert len(given_back(here)) == before
        assert written(here)[0] == ("a@DE", ControlAction.PAUSE)
        assert written(here)[-1] == ("a@DE", ControlAction.CLEAR)
        assert here.troubles.health().detail == ""


async def sends(here: World, recipient: str) -> LifecycleEvent:
    sent = order(recipient=recipient)
    record = here.take(sent)
    await here.until(lambda: record.finished)
    return here.ends()[sent.message_id]


async def test_a_message_whose_intent_is_written_when_its_country_is_refused_is_closed_without_a_post() -> None:
    async with world(lane("a", 2.0), lead_s=0.6, lane_backoff=NEVER) as here:
        refuses(here, "+49")
        await sent_elsewhere(here)
        here.twilio.hold = asyncio.Event()
        first, second = order(recipient=DE), order(recipient=DE)
        records = [here.take(first)]
        await here.until(lambda: len(here.twilio.posts) == 2)
        records.append(here.take(second))
        await here.until(lambda: second.message_id in {each.message_id for each in here.told(ATTEMPTS)})
        here.twilio.hold.set()
        await finished(here, records)
        assert posts(here)[DE] == 1
        told: list[Attempt] = [each for each in here.told(ATTEMPTS) if each.message_id == second.message_id]
        assert [(each.kind.value, each.outcome, each.follows, each.reason) for each in told] == [
            ("intent", None, None, None),
            ("result", "not_started", Follows.WHEEL, Reason.SENDER_REFUSED),
        ]
        assert given_back(here)[-1].message_id == second.message_id
        assert given_back(here)[-1].request is not None


async def test_policy_is_asked_soon_whether_it_has_another_sender_and_else_when_the_country_is_tried_again() -> None:
    async with world(country_backoff=STEADY) as here:
        refuses(here, "+49")
        await sent_elsewhere(here)
        record = here.take(order(recipient=DE))
        await here.until(lambda: record.finished)
        [(_, _, refused)] = here.scheduler.pauses.countries
        heard = refused.told_ms + REFUSED_HEARD_MS
        before = replace(order(recipient=DE), decided_at=heard - 1)
        after = replace(order(recipient=DE), decided_at=heard)
        hurried = replace(order(recipient=DE, deadline=wall_ms() + 30_000), decided_at=heard)
        await finished(here, [here.take(each) for each in (before, after, hurried)])
        waits = {each.message_id: each.due_at - each.at for each in given_back(here)}
        assert waits[before.message_id] == REFUSED_WAIT_S * 1000 > REFUSED_HEARD_MS
        assert 55_000 < waits[after.message_id] <= 60_000 * (1 + FULL_SPREAD)
        assert 25_000 < waits[hurried.message_id] <= 30_000, "it ends there"


async def test_a_message_that_policy_sent_round_often_enough_goes_back_with_the_others() -> None:
    async with world(lane_backoff=NEVER) as here:
        refuses(here, "+49")
        await sent_elsewhere(here)
        record = here.take(order(recipient=DE, round=ROUNDS_MAX))
        await here.until(lambda: record.finished)
        assert posts(here)[DE] == 1
        assert [each.reason for each in given_back(here)] == [Reason.SENDER_REFUSED]


async def test_whatsapp_has_countries_too() -> None:
    async with world(lane_backoff=NEVER) as here:
        refuses(here, "+49")
        for recipient in (US, DE, DE):
            await finished(here, [here.take(replace(order(recipient=recipient), channel=Channel.WHATSAPP))])
        assert posts(here) == {US: 1, DE: 1}
        assert here.scheduler.lanes["a"].breaker.closed


@pytest.mark.parametrize("waiting", [11, 10])
async def test_a_held_lane_gives_back_what_it_is_suspected_for_once_that_fills_its_window(waiting: int) -> None:
    async with world(lane("a", 4.0), lane_backoff=Backoff(first_s=0.3, cap_s=3600.0, jitter=0.0)) as here:
        window = here.scheduler.table.window(0)
        refuses(here, "+49")
        record = here.take(order(recipient=DE))
        await here.until(lambda: record.finished)
        taken = [here.take(order(recipient=DE)) for _ in range(waiting)]
        await here.until(lambda: here.scheduler.lanes["a"].breaker.troubles == 2)
        await here.until(lambda: any(each.finished for each in taken))
        await asyncio.sleep(0.05)
        left = sum(not each.finished for each in taken)
        assert posts(here)[DE] == 2, "one has probed"
        assert window // SUSPECTED_PART == 10
        assert left == (0 if waiting == 11 else 9)


async def test_a_first_refusal_gives_back_nothing_that_waits() -> None:
    async with world(lane("a", 4.0), lane_backoff=NEVER) as here:
        refuses(here, "+49")
        taken = [here.take(order(recipient=DE)) for _ in range(19)]
        await finished(here, taken[:1])
        await asyncio.sleep(0.05)
        assert not any(record.finished for record in taken[1:]), "the sender may be bad, and policy have no other"


async def test_operators_see_which_country_is_refused_with_the_fix() -> None:
    async with world(lane_backoff=NEVER) as here:
        refuses(here, "+49")
        await sent_elsewhere(here)
        with capture_logs() as logs:
            for _ in range(5):
                await finished(here, [here.take(order(recipient=DE))])
        [line] = [line for line in logs if line["event"] == "held"]
        assert (line["what"], line["name"], line["code"], line["log_level"]) == ("country", "a@DE", 21606, "error")
        assert "leave DE out of `countries` of the sender" in line["fix"]
        [record] = [each for each in here.told(CONTROL) if each.action is ControlAction.PAUSE]
        assert (record.error_code, record.fix, record.by) == (21606, line["fix"], "dispatch")
        assert record.until is not None
        [key] = [each.key for each in here.kafka.records if each.topic == CONTROL]
        assert key == control_key(record.subject_kind, "a@DE", Aspect.TROUBLE)
        assert here.troubles.health().ok
        assert "country a@DE" in here.troubles.health().detail
        view = LaneView(
            here.scheduler, here.troubles, owns=lambda name: True, clock=time.monotonic, now_ms=wall_ms
        ).show()
        [shown] = view["lanes"]
        assert shown["held"] is None
        refused = shown["refused_countries"]["DE"]
        assert (refused["code"], refused["fix"], refused["next_probe"]) == (21606, line["fix"], record.until)
        registry = CollectorRegistry()
        metrics.watch(here.scheduler, registry, sending=lambda name: 0.0)
        labels = {"lane": "a", "country": "DE"}
        assert registry.get_sample_value("commlayer_dispatch_country_refused", labels) == 1


async def test_what_is_marked_is_known_after_a_rebalance_and_to_the_next_owner() -> None:
    async with world(lane_backoff=NEVER) as here:
        refuses(here, "+49")
        switching = switching_of(here)
        await sent_elsewhere(here)
        await sends(here, DE)
        await here.until(lambda: here.told(CONTROL))
        [record] = here.told(CONTROL)
        switching.take(trouble_key(record), record)
        here.engine.drop()
        assert not here.scheduler.pauses.countries
        switching.again()
        here.engine.open(2)
        assert here.scheduler.pauses.countries
    async with world(lane_backoff=NEVER) as successor:
        switching = switching_of(successor)
        switching.take(trouble_key(record), record)
        refuses(successor, "+49")
        assert (await sends(successor, DE)).status is MessageStatus.DEFERRED
        assert "country a@DE" in successor.troubles.health().detail
        over = replace(record, action=ControlAction.CLEAR)
        switching.take(trouble_key(over), over)
        assert successor.troubles.health().detail == ""
        assert posts(successor)[DE] == 0
        refuses(successor, "nobody")
        assert (await sends(successor, DE)).status is MessageStatus.ACCEPTED
