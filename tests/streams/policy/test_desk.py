"""One record in, what follows from it out, with a publisher that only remembers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from connectors.kafka.intake import Intake
from connectors.kafka.partitioning import partition_of
from schemas import ids
from schemas.codec import SingleObjectCodec
from schemas.reasons import Reason
from schemas.records import (
    Cancellation,
    DeadLetter,
    Deferral,
    Dispatch,
    LifecycleEvent,
    MessageRequest,
    MessageStatus,
    Record,
    Stage,
)
from streams.policy.config import PolicyConfig
from streams.policy.decisions import LookUp
from streams.policy.desk import Desk, HoldUntil, TakeTurnAs
from streams.policy.memory import Memory
from streams.policy.openings import Openings
from streams.policy.quotas import Quotas
from streams.policy.surroundings import Surroundings
from streams.policy.switchboard import Switched
from tests.streams.policy.installation import AMERICAN, HOUR, MINUTE, MOBILE, NOW, config, request
from tests.streams.policy.remembering import DictState
from tests.support.kafka import Outgoing
from tests.support.published import RecordingPublisher

PARTITIONS = 8
CODEC = SingleObjectCodec()
TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


@dataclass
class Message:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: float = (NOW - 50) / 1000
    generation_id: int = 1


@dataclass
class Event:
    message: Message
    acked: bool = False

    def ack(self) -> None:
        assert not self.acked
        self.acked = True


@dataclass
class Counter:
    """A desk with its surroundings."""

    publisher: RecordingPublisher = field(default_factory=RecordingPublisher)
    mine: bool = True
    now: int = NOW
    state: DictState = field(default_factory=DictState)
    lost_at: int = 0
    look_up: LookUp | None = None
    switched: Switched = field(default_factory=Switched)
    configured: PolicyConfig = field(default_factory=config)

    def __post_init__(self) -> None:
        intake = Intake(stage=Stage.POLICY, codec=CODEC, publisher=self.publisher, now_ms=lambda: self.now)
        self.quotas = Quotas(
            {name: app.quota for name, app in self.configured.apps.items()},
            partitions=PARTITIONS,
            clock=lambda: self.now / 1000,
            now_ms=lambda: self.now,
        )
        self.quotas.partitions_held(range(PARTITIONS))
        memory, self.openings = Memory(self.state), Openings(self.configured.senders.values())
        for home in range(PARTITIONS):
            self.openings.restore(home, memory.openings(home))
        self.world = Surroundings(
            config=self.configured,
            intake=intake,
            codec=CODEC,
            publisher=self.publisher,
            partitions=PARTITIONS,
            now_ms=lambda: self.now,
            may_act=self.may_act,
        )
        self.desk = Desk(
            self.world,
            memory,
            quotas=self.quotas,
            openings=self.openings,
            look_up=self.look_up,
            switched=lambda: self.switched,
        )

    async def may_act(self, event: Any) -> bool:
        assert not event.acked
        self.lost_at -= 1
        return self.mine and self.lost_at != 0

    async def serve(self, event: Event, turn: object = None) -> HoldUntil | TakeTurnAs | None:
        return await self.desk.serve(event, turn if turn is not None else event.message.key)

    @property
    def written(self) -> list[tuple[str, Record]]:
        return [(record.topic, CODEC.decode(record.value or b"")) for record in self.publisher.records]


def asked(record: Record | bytes, topic: str = "comms.requests.login", **changes: Any) -> Event:
    recipient = getattr(record, "recipient", MOBILE).encode()
    value = record if isinstance(record, bytes) else CODEC.encode(record)
    message = Message(topic, partition_of(recipient, PARTITIONS), 42, recipient, value)
    return Event(replace(message, **changes))


async def test_an_admitted_request_is_dispatched_told_and_finished_in_this_order() -> None:
    counter, event = Counter(), asked(request(idempotency_key="k"), headers=(("traceparent", TRACE.encode()),))
    assert await counter.serve(event) is None
    (dispatch_topic, dispatch), (lifecycle_topic, told) = counter.written
    assert (dispatch_topic, lifecycle_topic) == ("comms.dispatch.critical", "comms.lifecycle")
    assert isinstance(dispatch, Dispatch)
    assert isinstance(told, LifecycleEvent)
    assert dispatch.message_id == told.message_id == ids.message_id_by_key("login", MOBILE, "k")
    assert told.status is MessageStatus.ADMITTED
    assert counter.publisher.records[0].partition == 1, "the partition of the sender's pacing group"
    assert counter.publisher.records[0].key == dispatch.message_id.encode()
    assert dispatch.traceparent == TRACE
    assert all(record.headers == (("traceparent", TRACE.encode()),) for record in counter.publisher.records)
    assert event.acked


async def test_a_denied_request_is_told_and_finished() -> None:
    counter, event = Counter(), asked(request(category="marketing"))
    await counter.serve(event)
    [(topic, told)] = counter.written
    assert topic == "comms.lifecycle"
    assert isinstance(told, LifecycleEvent)
    assert (told.status, told.reason) == (MessageStatus.DENIED, Reason.CATEGORY_NOT_GRANTED)
    assert event.acked


async def test_a_deferred_request_enters_the_wheel_with_its_next_round() -> None:
    counter, event = Counter(), asked(request(not_before=NOW + 2 * HOUR))
    await counter.serve(event)
    (topic, deferral), (_, told) = counter.written
    assert topic == "comms.deferred.1h"
    assert isinstance(deferral, Deferral)
    assert isinstance(told, LifecycleEvent)
    assert (deferral.round, deferral.due_at) == (1, NOW + 2 * HOUR)
    assert (told.round, told.status, told.until) == (0, MessageStatus.DEFERRED, NOW + 2 * HOUR)
    assert event.acked


async def test_without_a_key_the_place_where_it_was_first_written_names_the_message() -> None:
    counter = Counter()
    await counter.serve(asked(request()))
    first = b"comms.requests.login:7:99"
    await counter.serve(asked(request(), headers=(("commlayer-origin", first),)))
    here, there = (r for _, r in counter.written if isinstance(r, Dispatch))
    partition = partition_of(MOBILE.encode(), PARTITIONS)
    assert here.message_id == ids.message_id_by_origin("comms.requests.login", partition, 42)
    assert there.message_id == ids.message_id_by_origin("comms.requests.login", 7, 99)


async def test_a_record_in_the_wrong_partition_is_written_again_and_not_decided_here() -> None:
    right = partition_of(MOBILE.encode(), PARTITIONS)
    counter, event = Counter(), asked(request(), partition=(right + 1) % PARTITIONS)
    await counter.serve(event)
    [again] = counter.publisher.records
    assert (again.topic, again.key, again.partition) == ("comms.requests.login", MOBILE.encode(), right)
    assert again.headers == (
        ("commlayer-origin", f"comms.requests.login:{(right + 1) % PARTITIONS}:42".encode()),
        ("commlayer-origin-time", str(NOW - 50).encode()),
    )
    assert event.acked


@pytest.mark.parametrize("key", [None, b"c-1", AMERICAN.encode()])
async def test_a_record_with_anothers_key_waits_for_its_recipients_turn(key: bytes | None) -> None:
    counter, event = Counter(), asked(request(), key=key)
    assert await counter.serve(event, turn=key or ("no key", 1)) == TakeTurnAs(MOBILE.encode())
    assert not event.acked
    assert await counter.serve(event, turn=MOBILE.encode()) is None
    assert event.acked
    assert len(counter.written) == 2


async def test_what_is_no_number_is_denied_wherever_it_lies() -> None:
    for partition in range(PARTITIONS):
        counter, event = Counter(), asked(request(recipient="079 123"), partition=partition, key=None)
        await counter.serve(event, turn=("no key", 1))
        [(_, told)] = counter.written
        assert isinstance(told, LifecycleEvent)
        assert told.reason == Reason.INVALID_RECIPIENT
        assert event.acked


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"rubbish", Reason.UNDECODABLE),
        (
            Deferral(message_id="m", round=1, app="a", due_at=1, reason="r", by=Stage.POLICY, at=1),
            Reason.UNEXPECTED_RECORD,
        ),
    ],
    ids=["bytes", "record of another topic"],
)
async def test_what_cannot_be_read_becomes_a_dead_letter_and_is_finished(record: Any, reason: Reason) -> None:
    counter, event = Counter(), asked(record)
    await counter.serve(event)
    [(topic, letter)] = counter.written
    assert topic == "comms.dead"
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.app) == (reason, "login")
    assert event.acked


@pytest.mark.parametrize(
    "event",
    [
        asked(request()),
        asked(request(not_before=NOW + HOUR)),
        asked(request(), partition=(partition_of(MOBILE.encode(), PARTITIONS) + 1) % PARTITIONS),
        asked(Cancellation(recipient=MOBILE, idempotency_key="k", requested_at=NOW)),
    ],
    ids=["admit", "defer", "wrong partition", "cancel"],
)
async def test_what_another_owner_has_by_now_is_left_to_it(event: Event) -> None:
    counter = Counter(mine=False)
    await counter.serve(event)
    assert counter.written == []
    assert not event.acked


@pytest.mark.parametrize(
    ("lost_at", "topics", "remembered"),
    [(1, [], 0), (2, [], 1), (3, ["comms.dispatch.critical"], 1)],
    ids=["before the decision", "after it was remembered", "after the dispatch record"],
)
async def test_a_lease_lost_between_two_writes_leaves_the_input_unfinished(
    lost_at: int, topics: list[str], remembered: int
) -> None:
    counter, event = Counter(lost_at=lost_at), asked(request())
    await counter.serve(event)
    assert [topic for topic, _ in counter.written] == topics
    assert counter.state.puts == remembered
    assert not event.acked


def waiting(due_at: int, **changes: Any) -> Event:
    asked_for: MessageRequest = request(not_before=due_at)
    values: dict[str, Any] = {
        "message_id": "m-7",
        "round": 2,
        "app": "login",
        "due_at": due_at,
        "reason": "not_before",
        "by": Stage.POLICY,
        "request": asked_for,
        "origin": "comms.requests.login:1:5",
        "deadline": NOW + HOUR,
        "at": NOW - MINUTE,
        **changes,
    }
    return asked(Deferral(**values), topic="comms.deferred.1m")


async def test_a_message_that_is_due_is_decided_in_its_round() -> None:
    counter, event = Counter(), waiting(NOW)
    await counter.serve(event)
    (_, dispatch), (_, told) = counter.written
    assert isinstance(dispatch, Dispatch)
    assert isinstance(told, LifecycleEvent)
    assert (dispatch.message_id, dispatch.round, dispatch.deadline) == ("m-7", 2, NOW + HOUR)
    assert (told.round, told.source_topic) == (2, "comms.deferred.1m")
    assert event.acked


async def test_a_message_that_is_not_due_hops_on_unchanged() -> None:
    counter, event = Counter(), waiting(NOW + 11 * MINUTE)
    await counter.serve(event)
    assert counter.publisher.records == [
        Outgoing("comms.deferred.10m", event.message.value, event.message.key, None, ())
    ]
    assert event.acked


async def test_a_message_due_within_a_second_is_held_for_that_long() -> None:
    counter, event = Counter(), waiting(NOW + 400)
    assert await counter.serve(event) == HoldUntil(NOW + 400)
    assert counter.written == []
    assert not event.acked
    counter.now += 400
    assert await counter.serve(event) is None
    assert event.acked


async def test_a_message_whose_app_is_gone_meanwhile_is_denied() -> None:
    counter, event = Counter(), waiting(NOW, app="gone")
    await counter.serve(event)
    [(_, told)] = counter.written
    assert isinstance(told, LifecycleEvent)
    assert (told.reason, told.message_id, told.round) == (Reason.UNKNOWN_APP, "m-7", 2)


async def test_a_message_that_came_back_without_its_request_is_told_and_kept() -> None:
    counter, event = Counter(), waiting(NOW, request=None)
    await counter.serve(event)
    (_, told), (dead_topic, letter) = counter.written
    assert isinstance(told, LifecycleEvent)
    assert isinstance(letter, DeadLetter)
    assert (told.status, told.message_id) == (MessageStatus.DENIED, "m-7")
    assert (dead_topic, letter.field, letter.message_id) == ("comms.dead", "request", "m-7")
    assert event.acked


async def test_a_cancellation_is_passed_on_under_its_app_and_message_id() -> None:
    counter = Counter()
    event = asked(Cancellation(recipient=MOBILE, idempotency_key="k", app="shop", requested_at=NOW))
    await counter.serve(event)
    [(topic, passed)] = counter.written
    assert topic == "comms.cancellations"
    assert isinstance(passed, Cancellation)
    assert (passed.app, passed.message_id) == ("login", ids.message_id_by_key("login", MOBILE, "k"))
    assert counter.publisher.records[0].key == MOBILE.encode()
    assert event.acked


async def test_another_apps_cancellation_does_not_take_the_place_of_the_owners() -> None:
    counter = Counter()
    message_id = ids.message_id_by_key("login", MOBILE, "k")
    await counter.serve(asked(Cancellation(recipient=MOBILE, idempotency_key="k", requested_at=NOW)))
    others = Cancellation(recipient=MOBILE, message_id=message_id, requested_at=NOW)
    await counter.serve(asked(others, topic="comms.requests.shop", offset=43))
    await counter.serve(asked(request(idempotency_key="k"), offset=44))
    told = counter.written[-1][1]
    assert isinstance(told, LifecycleEvent)
    assert (told.message_id, told.status) == (message_id, MessageStatus.CANCELED)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "message_id"),
        ({"message_id": "yesterday's"}, "message_id"),
        ({"message_id": ids.message_id_by_key("a", "b", "c"), "idempotency_key": "k"}, "message_id"),
        ({"idempotency_key": "k" * 129}, "idempotency_key"),
        ({"idempotency_key": "k", "recipient": "079"}, "recipient"),
    ],
    ids=str,
)
async def test_a_cancellation_that_names_no_message_becomes_a_dead_letter(fields: dict[str, Any], field: str) -> None:
    counter = Counter()
    event = asked(Cancellation(**{"recipient": MOBILE, "requested_at": NOW, **fields}))
    await counter.serve(event)
    [(topic, letter)] = counter.written
    assert topic == "comms.dead"
    assert isinstance(letter, DeadLetter)
    assert (letter.field, letter.app) == (field, "login")
    assert letter.fix
    assert event.acked
