"""The stage on a real broker."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka.app import create_app
from connectors.kafka.publisher import DurablePublisher
from schemas.reasons import Reason
from schemas.records import (
    Callback,
    Channel,
    Consent,
    ConsentScope,
    Control,
    ControlAction,
    Deferral,
    Inbound,
    KeywordIntent,
    LifecycleEvent,
    MessageStatus,
    Record,
    StatusUpdate,
)
from schemas.topics import (
    CONSENT,
    CONTROL,
    DEAD,
    FEEDBACK_INBOUND,
    FEEDBACK_STATUS,
    INBOUND,
    LIFECYCLE,
    deferral_topic,
)
from streams.feedback.facts import fact_of
from streams.feedback.fold import MessageFold
from streams.feedback.ranks import RANK
from streams.feedback.sender_health import SenderHealthSettings
from streams.feedback.stage import FeedbackSettings, FeedbackStage
from tests.streams.cluster import CODEC, WAIT_S, own_cluster, until_committed
from tests.streams.feedback.facts import T, accepted, admitted, callback, dispatched, event
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import Child
from tests.support.stage import quick_settings, running
from tests.support.waiting import until

ROOT = Path(__file__).parents[3]
Said = LifecycleEvent | Callback
S = MessageStatus


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster([]) as kafka:
        yield kafka


@asynccontextmanager
async def feedback(kafka: Kafka, datadir: Path, *, group: str, **settings: Any) -> AsyncIterator[FeedbackStage]:
    kafka_settings = quick_settings(kafka.bootstrap)
    publisher = DurablePublisher(kafka_settings, name=f"feedback-{group}")
    await publisher.start()
    await publisher.warm()
    stage = FeedbackStage(
        kafka=kafka_settings,
        codec=CODEC,
        publisher=publisher,
        now_ms=lambda: time.time_ns() // 1_000_000,
        settings=FeedbackSettings(**settings),
    )
    app = create_app(kafka_settings, group=group, anchor=None, datadir=datadir)
    stage.register(app)
    await stage.start()
    try:
        async with running(app), asyncio.timeout(WAIT_S):
            await app.consumer.can_resume_flow.wait()  # what is there before that is told at once, in its last state
            yield stage
    finally:
        await stage.stop()
        await publisher.stop()


def say(*facts: Said) -> list[Outgoing]:
    return [Outgoing(LIFECYCLE, CODEC.encode(fact), fact.message_id.encode()) for fact in facts]


def told(kafka: Kafka, wanted: Iterable[str]) -> dict[str, list[StatusUpdate]]:
    """What was published of these messages, in order."""
    updates: dict[str, list[StatusUpdate]] = defaultdict(list)
    asked = set(wanted)
    for stored in kafka.consume_all(FEEDBACK_STATUS):
        update = CODEC.decode(stored.value or b"")
        assert isinstance(update, StatusUpdate)
        assert stored.key == update.message_id.encode()
        if update.message_id in asked:
            updates[update.message_id].append(update)
    return updates


def folded(facts: Iterable[Said]) -> dict[str, StatusUpdate]:
    folds: dict[str, MessageFold] = {}
    for fact in facts:
        folds.setdefault(fact.message_id, MessageFold(fact.message_id)).add(fact_of(fact))
    return {message_id: fold.update() for message_id, fold in folds.items()}


def story(message_id: str, kind: int) -> list[Said]:
    """What becomes of a message: delivered, read, failed, denied, or sent in a second round."""
    mine: dict[str, Any] = {"message_id": message_id}
    if kind == 0:
        return [event(S.DENIED, 5, reason="unknown_app", detail="No.", **mine)]
    way: list[Said] = [admitted(**mine), accepted(**mine), callback("sent", 100, **mine)]
    if kind == 1:
        return [*way, callback("undelivered", 900, error_code=30003, **mine)]
    if kind == 2:
        again: dict[str, Any] = {**mine, "round": 1}
        first: list[Said] = [admitted(**mine), dispatched(S.DEFERRED, 30, **mine)]
        return [*first, admitted(600, **again), accepted(620, **again), callback("delivered", 900, **again)]
    return [*way, callback("delivered", 900, **mine), *([callback("read", 1900, **mine)] if kind == 3 else [])]


async def test_each_change_of_a_message_is_published_once_and_in_order(cluster: Kafka, tmp_path: Path) -> None:
    group, message_id = cluster.unique("feedback"), cluster.unique("m")
    facts = story(message_id, 3)
    async with feedback(cluster, tmp_path, group=group):
        await asyncio.to_thread(cluster.produce, say(*facts, *facts))
        await until_committed(cluster, group, LIFECYCLE)
    updates = told(cluster, [message_id])[message_id]
    assert [update.status for update in updates] == [S.ADMITTED, S.ACCEPTED, S.SENT, S.DELIVERED, S.READ]
    assert updates[-1] == folded(facts)[message_id]


async def test_an_app_that_asks_again_is_told_the_status_once_more(cluster: Kafka, tmp_path: Path) -> None:
    mine: dict[str, Any] = {"message_id": cluster.unique("m")}
    first = admitted(**mine)
    facts: list[Said] = [first, accepted(**mine), callback("delivered", 900, **mine)]
    repeated = replace(admitted(**mine), event_id="repeat", at=first.at + 9, reason=Reason.REPEATED.value)
    async with feedback(cluster, tmp_path, group=cluster.unique("feedback")):
        await asyncio.to_thread(cluster.produce, say(*facts))
        await until(lambda: len(told(cluster, mine.values())[mine["message_id"]]) == 3, WAIT_S)
        await asyncio.to_thread(cluster.produce, say(repeated))
        await until(lambda: len(told(cluster, mine.values())[mine["message_id"]]) == 4, WAIT_S)
    *_, last, again = told(cluster, mine.values())[mine["message_id"]]
    assert (again, again.status) == (last, S.DELIVERED)


async def test_poison_among_the_facts_is_kept_and_its_neighbours_are_told(cluster: Kafka, tmp_path: Path) -> None:
    group, message_id = cluster.unique("feedback"), cluster.unique("m")
    facts = story(message_id, 4)
    poison = Outgoing(LIFECYCLE, b"poison " + group.encode(), message_id.encode())
    async with feedback(cluster, tmp_path, group=group):
        await asyncio.to_thread(cluster.produce, [*say(*facts[:2]), poison, *say(*facts[2:])])
        await until_committed(cluster, group, LIFECYCLE)
    assert told(cluster, [message_id])[message_id][-1].status is S.DELIVERED
    assert any(group.encode() in (stored.value or b"") for stored in cluster.consume_all(DEAD))


async def test_a_callback_that_comes_before_policys_event_waits_for_it(cluster: Kafka, tmp_path: Path) -> None:
    group, message_id = cluster.unique("feedback"), cluster.unique("m")
    first, *others = story(message_id, 4)
    async with feedback(cluster, tmp_path, group=group, grace_s=600.0):
        await asyncio.to_thread(cluster.produce, say(*others, first))
        await until_committed(cluster, group, LIFECYCLE)
    [update] = told(cluster, [message_id])[message_id]
    assert update == folded([first, *others])[message_id]


async def test_a_callback_about_a_message_nobody_knows_is_told_all_the_same(cluster: Kafka, tmp_path: Path) -> None:
    group, message_id = cluster.unique("feedback"), cluster.unique("SM")
    async with feedback(cluster, tmp_path, group=group, grace_s=0.2):
        for word in ("sent", "delivered"):
            await asyncio.to_thread(cluster.produce, say(callback(word, 100, message_id=message_id)))
            await until_committed(cluster, group, LIFECYCLE)
    assert [(update.status, update.app) for update in told(cluster, [message_id])[message_id]] == [
        (S.SENT, ""),
        (S.DELIVERED, ""),
    ]


async def test_a_late_callback_about_a_forgotten_message_takes_nothing_back(cluster: Kafka, tmp_path: Path) -> None:
    group, message_id = cluster.unique("feedback"), cluster.unique("m")
    admission, acceptance, sent, delivered = story(message_id, 4)
    # One message at most is remembered, and none for longer than 1.5 s.
    async with feedback(cluster, tmp_path, group=group, grace_s=0.2, keep_s=1.5, max_messages=1) as stage:
        await asyncio.to_thread(cluster.produce, say(admission, acceptance, delivered))
        await until_committed(cluster, group, LIFECYCLE)
        await until(lambda: not len(stage._memory), what="forgotten")
        await asyncio.to_thread(cluster.produce, say(sent))
        await until_committed(cluster, group, LIFECYCLE)
    updates = told(cluster, [message_id])[message_id]
    assert updates[-1] == folded([admission, acceptance, sent, delivered])[message_id]
    assert updates[-1].status is S.DELIVERED
    assert updates[-1].app == "shop"


async def test_a_new_owner_takes_nothing_back_that_was_told_but_not_committed(cluster: Kafka, tmp_path: Path) -> None:
    message_id = cluster.unique("m")
    facts = story(message_id, 4)
    await asyncio.to_thread(cluster.produce, say(*facts))
    for group in (cluster.unique("feedback"), cluster.unique("feedback")):  # the second group has committed nothing
        async with feedback(cluster, tmp_path / group, group=group):
            await until_committed(cluster, group, LIFECYCLE)
    statuses = [update.status for update in told(cluster, [message_id])[message_id]]
    assert set(statuses) == {S.DELIVERED}


def written(kafka: Kafka, topic: str, key: str) -> list[Record]:
    return [CODEC.decode(one.value or b"") for one in kafka.consume_all(topic) if one.key == key.encode()]


async def test_a_lane_of_which_carriers_filter_too_much_is_told_to_policy_once(cluster: Kafka, tmp_path: Path) -> None:
    group, lane = cluster.unique("feedback"), cluster.unique("lane")
    facts: list[Said] = []
    for _ in range(6):
        mine: dict[str, Any] = {"message_id": cluster.unique("m")}
        failure = callback("undelivered", 900, error_code=30007, **mine)
        facts += [admitted(lane=lane, **mine), accepted(lane=lane, **mine), callback("sent", 100, **mine), failure]
    health = SenderHealthSettings(at_least=5)
    async with feedback(cluster, tmp_path, group=group, sender_health=health):
        await asyncio.to_thread(cluster.produce, say(*facts, *facts))
        await until_committed(cluster, group, LIFECYCLE)
    [word] = written(cluster, CONTROL, f"lane:{lane}:health")
    assert isinstance(word, Control)
    assert (word.subject, word.error_code, word.by) == (lane, 30007, "feedback")
    assert word.until == word.at + health.avoid_ms


async def test_what_follows_from_failures_is_written_once_before_they_are_told_whatever_is_repeated(
    cluster: Kafka, tmp_path: Path
) -> None:
    service, lane = "MG" + "4" * 32, cluster.unique("lane")
    optout, retried, refused = (cluster.unique("m") for _ in range(3))
    person = {optout: "+41790000001", retried: "+41790000002", refused: "+41790000003"}

    def failed(message_id: str, code: int, sender: str) -> list[Said]:
        mine: dict[str, Any] = {"message_id": message_id, "recipient": person[message_id]}
        failure = callback("failed", 900, error_code=code, **mine)
        return [
            admitted(sender=sender, lane=lane, **mine),
            accepted(**mine),
            failure,
            replace(failure, received_at=T + 950),
        ]

    facts = [
        *failed(optout, 21610, service),
        *failed(retried, 30003, service),
        *failed(refused, 30034, "+15005550001"),
    ]
    group = cluster.unique("feedback")
    async with feedback(cluster, tmp_path / "a", group=group):
        await asyncio.to_thread(cluster.produce, say(*facts))
        await until_committed(cluster, group, LIFECYCLE)
    wheel = deferral_topic("1s")
    [consent] = written(cluster, CONSENT, person[optout])
    assert isinstance(consent, Consent)
    assert (consent.scope, consent.scope_value, consent.error_code) == (ConsentScope.MESSAGING_SERVICE, service, 21610)
    [deferral] = written(cluster, wheel, person[retried])
    assert isinstance(deferral, Deferral)
    assert (deferral.message_id, deferral.round, deferral.request) == (retried, 1, None)
    [trouble] = written(cluster, CONTROL, f"lane:{lane}@CH:trouble")
    assert isinstance(trouble, Control)
    assert (trouble.action, trouble.error_code, trouble.by) == (ControlAction.PAUSE, 30034, "feedback")
    assert not written(cluster, wheel, person[optout])
    updates = told(cluster, person)
    assert [(each.status, each.is_final) for each in updates[retried]][-1] == (S.FAILED, False)
    assert [(each.status, each.is_final) for each in updates[optout]][-1] == (S.FAILED, True)

    # All of it again, by an owner who knows nothing of the first one's commits.
    again = cluster.unique("feedback")
    async with feedback(cluster, tmp_path / "b", group=again):
        await until_committed(cluster, again, LIFECYCLE)
    assert {each.consent_id for each in written(cluster, CONSENT, person[optout]) if isinstance(each, Consent)} == {
        consent.consent_id
    }
    assert written(cluster, wheel, person[retried]) == [deferral], "the log shows that it goes on"


async def test_what_people_write_is_passed_on_with_its_keyword(cluster: Kafka, tmp_path: Path) -> None:
    group = cluster.unique("feedback")
    said = [
        ("Hello there", None),
        ("STOP", KeywordIntent.STOP),
        ("stop it please", None),
        ("start", KeywordIntent.START),
    ]
    wrote = [
        Inbound(
            sid=f"SM{number:032d}",
            account_sid="AC" + "2" * 32,
            recipient="+41791234567",
            channel=Channel.SMS,
            sender="+15005550001",
            body=body,
            received_at=number,
            profile_name=group,
        )
        for number, (body, _) in enumerate(said)
    ]
    async with feedback(cluster, tmp_path, group=group):
        await asyncio.to_thread(
            cluster.produce, [Outgoing(INBOUND, CODEC.encode(one), one.recipient.encode()) for one in wrote]
        )
        await until_committed(cluster, group, INBOUND)
    passed: list[Record] = [CODEC.decode(stored.value or b"") for stored in cluster.consume_all(FEEDBACK_INBOUND)]
    ours = [one for one in passed if isinstance(one, Inbound) and one.profile_name == group]
    assert [(one.body, one.keyword_intent) for one in ours] == said
    assert [replace(one, keyword_intent=None, keyword=None) for one in ours] == wrote


async def test_killed_again_and_again_it_still_ends_every_message_in_its_state(cluster: Kafka, tmp_path: Path) -> None:
    shuffled = random.Random(4)
    group, prefix = cluster.unique("feedback"), cluster.unique("m")
    stories = [story(f"{prefix}-{number}", number % 5) for number in range(1500)]
    # Messages overlap, callbacks overtake each other, and some come twice.
    placed = [
        (number + shuffled.expovariate(0.01) * place, fact)
        for number, facts in enumerate(stories)
        for place, fact in enumerate(facts)
        for _ in range(2 if shuffled.random() < 0.2 else 1)
    ]
    facts = [fact for _, fact in sorted(placed, key=lambda pair: pair[0])]

    def start(run: int) -> Child:
        log = tmp_path / f"{run}.log"
        command = [sys.executable, "-m", "tests.streams.feedback.worker", cluster.bootstrap, group, str(tmp_path)]
        return Child(f"feedback-{run}", command, log=log, cwd=ROOT)

    def how_many_told() -> int:
        return sum(cluster.end_offsets(FEEDBACK_STATUS).values())

    runs = 5
    for run in range(runs):
        await asyncio.to_thread(cluster.produce, say(*facts[run::runs]))
        enough = how_many_told() + shuffled.randint(1, len(facts) // (2 * runs))  # some are told, some are not
        worker = start(run)
        try:
            deadline = time.monotonic() + WAIT_S
            while await asyncio.to_thread(how_many_told) < enough:
                assert worker.returncode is None, worker.output()
                assert time.monotonic() < deadline, worker.output()
        finally:
            worker.kill()
    worker = start(runs)
    try:
        await until_committed(cluster, group, LIFECYCLE)
    finally:
        worker.stop()

    expected = folded(facts)
    updates = told(cluster, expected)
    assert {message_id: history[-1] for message_id, history in updates.items()} == expected
    assert all(update.is_final for update in expected.values())
    for history in updates.values():
        steps = [(update.round, RANK[update.status]) for update in history]
        assert steps == sorted(steps), "no state was taken back"
