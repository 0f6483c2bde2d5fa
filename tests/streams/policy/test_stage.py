"""The stage on a real broker."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from connectors.health import HealthBoard
from connectors.kafka.partitioning import partition_of
from schemas import ids
from schemas.reasons import Reason
from schemas.records import (
    Cancellation,
    Channel,
    ConsentChange,
    Content,
    Control,
    ControlAction,
    ControlSubject,
    DeadLetter,
    Deferral,
    Dispatch,
    LifecycleEvent,
    MessageClass,
    MessageStatus,
    Stage,
)
from schemas.topics import (
    CONSENT,
    CONTROL,
    DEAD,
    LIFECYCLE,
    POLICY_STATE,
    deferral_topic,
    dispatch_topic,
    request_topic,
)
from streams.control.backlogs import backlog, backlog_key
from streams.control.switches import Aspect, control_key
from streams.policy.intake_windows import WHEEL_WINDOW
from tests.streams.cluster import CODEC, COUNTS, own_cluster, until_committed
from tests.streams.policy.installation import config
from tests.support.kafka import Kafka, Outgoing

from .cluster import OTP, ask, found, opt, ours, person, policy, wall_ms


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(config().apps) as kafka:
        yield kafka


async def test_every_request_is_decided_once_and_its_offset_committed(cluster: Kafka, tmp_path: Path) -> None:
    group = cluster.unique("policy")
    good, bad = range(200), range(200, 220)
    asked = [ask(number, idempotency_key="k", urgent=number % 2 == 0) for number in good]
    asked += [ask(number, app="shop", category="otp") for number in bad]
    async with policy(cluster, tmp_path, group=group):
        await asyncio.to_thread(cluster.produce, asked)
        sent = await found(cluster, OTP, Dispatch, ours(*good, *bad), 200)
        told = await found(cluster, LIFECYCLE, LifecycleEvent, ours(*good, *bad), 220)
        for topic in {record.topic for record in asked}:
            await until_committed(cluster, group, topic)
    assert {dispatch.message_id for dispatch in sent} == {
        ids.message_id_by_key("login", person(number), "k") for number in good
    }
    assert len(sent) == 200
    assert Counter((event.status, event.reason) for event in told) == {
        (MessageStatus.ADMITTED, None): 200,
        (MessageStatus.DENIED, Reason.CATEGORY_NOT_GRANTED): 20,
    }


async def test_a_dispatch_record_lies_in_the_partition_of_its_group(cluster: Kafka, tmp_path: Path) -> None:
    people = range(300, 340)
    async with policy(cluster, tmp_path, group=cluster.unique("policy")):
        await asyncio.to_thread(cluster.produce, [ask(number, app="shop", category="service") for number in people])
        topic = dispatch_topic(MessageClass.NORMAL)
        sent = await found(cluster, topic, Dispatch, ours(*people), 40)
        stored = await asyncio.to_thread(cluster.consume_all, topic)
    partitions = {CODEC.decode(one.value or b"").message_id: one.partition for one in stored}  # type: ignore[attr-defined]  # a Dispatch
    configured = config().senders
    assert {dispatch.lane for dispatch in sent} == {"promo-a", "promo-b"}
    assert all(partitions[dispatch.message_id] == configured[dispatch.lane].partition for dispatch in sent)


async def test_poison_is_kept_and_its_neighbours_are_served(cluster: Kafka, tmp_path: Path) -> None:
    group = cluster.unique("policy")
    marker = cluster.unique("poison").encode()
    key = person(400).encode()
    topic = request_topic("login")
    asked = [ask(400), Outgoing(topic, marker, key), Outgoing(topic, None, key), ask(400)]
    async with policy(cluster, tmp_path, group=group):
        await asyncio.to_thread(cluster.produce, asked)
        assert len(await found(cluster, OTP, Dispatch, ours(400), 2)) == 2
        [letter] = await found(cluster, DEAD, DeadLetter, lambda letter: letter.value == marker, 1)
        await until_committed(cluster, group, topic)
    assert (letter.stage, letter.reason, letter.source_topic) == (Stage.POLICY, Reason.UNDECODABLE, topic)


async def test_what_lies_in_the_state_and_is_none_of_ours_is_kept_and_its_neighbours_are_served(
    cluster: Kafka, tmp_path: Path
) -> None:
    marker = cluster.unique("no entry").encode()
    key = person(420).encode()
    garbage = Outgoing(POLICY_STATE, marker, key, partition_of(key, COUNTS.recipient))
    await asyncio.to_thread(cluster.produce, [garbage])
    async with policy(cluster, tmp_path, group=cluster.unique("policy")):
        await asyncio.to_thread(cluster.produce, [ask(420)])
        assert len(await found(cluster, OTP, Dispatch, ours(420), 1)) == 1
        [letter] = await found(cluster, DEAD, DeadLetter, lambda letter: letter.value == marker, 1)
    assert (letter.stage, letter.reason, letter.source_topic) == (Stage.POLICY, Reason.UNDECODABLE, POLICY_STATE)
    assert (letter.key, letter.detail) == (key, "header 'epoch' is missing")


async def test_what_an_unknown_app_wrote_is_denied_by_name(cluster: Kafka, tmp_path: Path) -> None:
    group = cluster.unique("policy")
    ghost = cluster.unique("ghost")
    topic = request_topic(ghost)
    topics = {topic: COUNTS.recipient, request_topic("too-wide"): COUNTS.recipient + 1, "comms.requests.No.app": 4}
    await asyncio.to_thread(cluster.create_topics, topics)
    people = range(450, 458)  # most of them in a partition that is not theirs
    take_back = Cancellation(recipient=person(450), idempotency_key="k", requested_at=0)
    asked = [ask(number, app=ghost)._replace(partition=0) for number in people]
    async with policy(cluster, tmp_path, group=group, topics=topics):
        await asyncio.to_thread(cluster.produce, [*asked, Outgoing(topic, CODEC.encode(take_back), None, 0)])
        told = await found(cluster, LIFECYCLE, LifecycleEvent, ours(*people), len(people))
        await until_committed(cluster, group, topic)
        [letter] = await found(cluster, DEAD, DeadLetter, lambda letter: letter.source_topic == topic, 1)
    assert {(event.app, event.status, event.reason) for event in told} == {
        (ghost, MessageStatus.DENIED, Reason.UNKNOWN_APP)
    }
    assert len(told) == len(people)
    assert letter.reason == Reason.UNKNOWN_APP
    for wide in ("comms.requests.too-wide", "comms.requests.No.app"):
        assert cluster.committed(group, wide) == {}


async def test_one_persons_requests_leave_in_their_order_whoever_else_asks(cluster: Kafka, tmp_path: Path) -> None:
    rounds, people = 30, range(500, 520)
    asked = [ask(number, correlation_id=f"{turn:03d}") for turn in range(rounds) for number in people]
    async with policy(cluster, tmp_path, group=cluster.unique("policy")):
        await asyncio.to_thread(cluster.produce, asked)
        sent = await found(cluster, OTP, Dispatch, ours(*people), rounds * len(people))
    by_person: dict[str, list[str | None]] = defaultdict(list)
    for dispatch in sent:
        by_person[dispatch.recipient].append(dispatch.correlation_id)
    assert all(order == sorted(order, key=str) and len(order) == rounds for order in by_person.values())


async def test_records_of_wrong_partition_or_key_are_decided_once_under_their_first_place(
    cluster: Kafka, tmp_path: Path
) -> None:
    group = cluster.unique("policy")
    people = range(600, 616)
    topic = request_topic("login")
    asked = []
    for number in people:
        record = ask(number, key=[person(number).encode(), b"someone", None][number % 3])
        asked.append(record._replace(partition=number % COUNTS.recipient))
    async with policy(cluster, tmp_path, group=group):
        places = await asyncio.to_thread(cluster.produce, asked)
        sent = await found(cluster, OTP, Dispatch, ours(*people), len(people))
        await until_committed(cluster, group, topic)
        sent = await found(cluster, OTP, Dispatch, ours(*people), len(people))
    assert {d.recipient: d.message_id for d in sent} == {
        person(number): ids.message_id_by_origin(*place) for number, place in zip(people, places, strict=True)
    }
    assert len(sent) == len(people)


async def test_a_message_for_later_is_sent_then_and_not_before(cluster: Kafka, tmp_path: Path) -> None:
    group = cluster.unique("policy")
    async with policy(cluster, tmp_path, group=group):
        due_at = wall_ms() + 3_300
        await asyncio.to_thread(cluster.produce, [ask(700, not_before=due_at)])
        [sent] = await found(cluster, OTP, Dispatch, ours(700), 1)
        told = await found(cluster, LIFECYCLE, LifecycleEvent, ours(700), 2)
        for tier in ("1s", "10s"):
            await until_committed(cluster, group, deferral_topic(tier))
        hops = await found(cluster, deferral_topic("1s"), Deferral, lambda d: d.due_at == due_at, 1)
    assert len(hops) <= 4, "each hop waits its tier's time"
    assert sent.round == 1
    assert sent.decided_at >= due_at
    assert sent.deadline == due_at + 600_000
    assert [(event.status, event.round) for event in told] == [
        (MessageStatus.DEFERRED, 0),
        (MessageStatus.ADMITTED, 1),
    ]


async def test_what_waits_survives_a_restart_and_long_waits_hold_up_nobody(cluster: Kafka, tmp_path: Path) -> None:
    group = cluster.unique("policy")
    far = wall_ms() + 7 * 3_600_000
    soon = wall_ms() + 6_000
    crowd = range(801, 801 + 2 * WHEEL_WINDOW)
    async with policy(cluster, tmp_path, group=group):
        await asyncio.to_thread(cluster.produce, [ask(800, not_before=soon)])
        await asyncio.to_thread(cluster.produce, [ask(number, not_before=far) for number in crowd])
        await found(cluster, LIFECYCLE, LifecycleEvent, ours(800, *crowd), 1 + len(crowd))
        assert len(await found(cluster, deferral_topic("6h"), Deferral, lambda d: d.due_at == far, len(crowd)))
    async with policy(cluster, tmp_path, group=group):
        await asyncio.to_thread(cluster.produce, [ask(3000)])
        [_] = await found(cluster, OTP, Dispatch, ours(3000), 1)
        [sent] = await found(cluster, OTP, Dispatch, ours(800), 1)
        assert sent.decided_at >= soon
        assert not await found(cluster, OTP, Dispatch, ours(*crowd), 0)
        held = sum(cluster.committed(group, deferral_topic("6h")).values())
    assert held == 0, "what waits is not finished"


async def test_two_workers_share_the_work_and_what_changes_hands_is_decided(cluster: Kafka, tmp_path: Path) -> None:
    group = cluster.unique("policy")
    people = range(4000, 4400)
    asked = [ask(number, idempotency_key="k") for number in people]
    async with policy(cluster, tmp_path / "one", group=group):
        await asyncio.to_thread(cluster.produce, asked[:200])
        async with policy(cluster, tmp_path / "two", group=group):
            await asyncio.to_thread(cluster.produce, asked[200:300])
        await asyncio.to_thread(cluster.produce, asked[300:])
        await found(cluster, OTP, Dispatch, ours(*people), len(people))
        await until_committed(cluster, group, request_topic("login"))
    sent = await found(cluster, OTP, Dispatch, ours(*people), len(people))
    assert len({dispatch.message_id for dispatch in sent}) == len(people)


async def test_health_tells_of_a_stage_that_works(cluster: Kafka, tmp_path: Path) -> None:
    board = HealthBoard()
    async with policy(cluster, tmp_path, group=cluster.unique("policy")) as stage:
        stage.board(board)
        await asyncio.to_thread(cluster.produce, [ask(900)])
        await found(cluster, OTP, Dispatch, ours(900), 1)
        assert board.live()[0]
        assert board.ready()[0]


async def test_a_stage_that_begins_anew_reads_all_consent_before_it_decides(cluster: Kafka, tmp_path: Path) -> None:
    people = range(2700, 2760)
    noise = [opt(number, ConsentChange.OPT_IN, at) for at in range(1, 40) for number in people]
    stops = [opt(number, ConsentChange.OPT_OUT, 50) for number in people]
    asked = [ask(number, app="shop", category="service") for number in people]
    await asyncio.to_thread(cluster.produce, [*noise, *stops, *asked])
    async with policy(cluster, tmp_path, group=cluster.unique("policy")):
        told = await found(cluster, LIFECYCLE, LifecycleEvent, ours(*people), len(people))
    assert {(event.status, event.reason) for event in told} == {(MessageStatus.DENIED, Reason.OPTED_OUT)}


async def test_consent_that_ends_in_a_transaction_marker_is_known_to_be_read(cluster: Kafka, tmp_path: Path) -> None:
    people = range(2760, 2780)
    producer = Producer({**cluster.config, "transactional.id": cluster.unique("crm")})
    producer.init_transactions(30)
    producer.begin_transaction()
    for number in people:
        change = opt(number, ConsentChange.OPT_OUT, 1)
        producer.produce(CONSENT, change.value, change.key, partition_of(change.key or b"", COUNTS.recipient))
    producer.commit_transaction(30)
    asked = [ask(number, app="shop", category="service") for number in people]
    async with policy(cluster, tmp_path, group=cluster.unique("policy")):
        await asyncio.to_thread(cluster.produce, asked)
        told = await found(cluster, LIFECYCLE, LifecycleEvent, ours(*people), len(people))
    assert {event.reason for event in told} == {Reason.OPTED_OUT}


async def test_a_message_of_a_paused_app_waits_and_is_sent_after_the_resume(cluster: Kafka, tmp_path: Path) -> None:
    def admitted(event: LifecycleEvent) -> bool:
        return event.status is MessageStatus.ADMITTED

    def switch(action: ControlAction) -> Outgoing:
        record = Control(subject_kind=ControlSubject.APP, subject="swiss", action=action, by="operator", at=wall_ms())
        return Outgoing(CONTROL, CODEC.encode(record), control_key(ControlSubject.APP, "swiss", Aspect.PAUSE), 0)

    await asyncio.to_thread(cluster.produce, [switch(ControlAction.PAUSE)])
    async with policy(cluster, tmp_path, group=cluster.unique("policy")):
        await asyncio.to_thread(cluster.produce, [ask(2780, app="swiss", category="service")])
        await found(cluster, LIFECYCLE, LifecycleEvent, ours(2780), 1)
        await asyncio.to_thread(cluster.produce, [switch(ControlAction.RESUME)])
        await found(cluster, LIFECYCLE, LifecycleEvent, lambda event: admitted(event) and ours(2780)(event), 1)
        *waits, sent = await found(cluster, LIFECYCLE, LifecycleEvent, ours(2780), 2)
    # It may look again before this process has read the resume.
    assert {(each.status, each.reason) for each in waits} == {(MessageStatus.DEFERRED, Reason.APP_PAUSED)}
    assert (sent.status, sent.round) == (MessageStatus.ADMITTED, len(waits))


async def test_what_could_leave_only_after_its_deadline_is_denied_and_a_code_on_the_same_lane_goes(
    cluster: Kafka, tmp_path: Path
) -> None:
    told = [
        backlog(lane, {MessageClass.NORMAL: 3600.0}, by="dispatch", at=wall_ms())
        for lane in ("long", "promo-a", "promo-b")
    ]
    records = [Outgoing(CONTROL, CODEC.encode(each), backlog_key(each.subject), 0) for each in told]
    hurried: dict[str, Any] = {"app": "shop", "category": "service", "deadline": wall_ms() + 1_800_000}
    await asyncio.to_thread(cluster.produce, records)
    async with policy(cluster, tmp_path, group=cluster.unique("policy")):
        asked = [ask(2790, **hurried), ask(2791, app="shop", category="service"), ask(2792)]
        await asyncio.to_thread(cluster.produce, asked)
        events = await found(cluster, LIFECYCLE, LifecycleEvent, ours(2790, 2791, 2792), 3)
    assert {each.recipient: each.reason for each in events} == {
        person(2790): Reason.BACKLOG,
        person(2791): None,
        person(2792): None,
    }
    free = [Outgoing(CONTROL, None, backlog_key(each.subject), 0) for each in told]
    await asyncio.to_thread(cluster.produce, free)


async def test_another_owner_knows_to_whom_a_whatsapp_sender_wrote_first_today(cluster: Kafka, tmp_path: Path) -> None:
    senders = config().senders
    one_in_each_partition = config(
        senders={**senders, "wa": replace(senders["wa"], daily_people=COUNTS.recipient)}, partitions=COUNTS.recipient
    )
    home = partition_of(person(2800).encode(), COUNTS.recipient)
    other = next(n for n in range(2801, 2900) if partition_of(person(n).encode(), COUNTS.recipient) == home)
    words: dict[str, Any] = {"app": "shop", "category": "service", "channel": Channel.WHATSAPP, "sender": "wa"}
    template, group = Content(content_sid="HX" + "a" * 32), cluster.unique("policy")
    for folder, number, count in (("a", 2800, 1), ("b", other, 1), ("b", 2800, 2)):
        async with policy(cluster, tmp_path / folder, group=group, configured=one_in_each_partition):
            await asyncio.to_thread(cluster.produce, [ask(number, content=template, **words)])
            await found(cluster, LIFECYCLE, LifecycleEvent, ours(number), count)
    told = await found(cluster, LIFECYCLE, LifecycleEvent, ours(2800, other), 3)
    reasons = [(each.recipient, each.reason) for each in sorted(told, key=lambda each: each.at)]
    assert reasons == [(person(2800), None), (person(other), Reason.WHATSAPP_DAILY_LIMIT), (person(2800), None)]
