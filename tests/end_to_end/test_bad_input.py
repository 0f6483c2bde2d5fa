"""Whatever is written to the topics or sent to the bridge ends with a named reason and harms nobody else: every process
real, and around each bad record two good ones that must be delivered."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import Producer

from schemas import ids
from schemas.records import DeadLetter, MessageClass, MessageStatus, StatusUpdate
from schemas.topics import DEAD, DEFERRAL_TIERS_MS, INBOUND, LIFECYCLE, deferral_topic, dispatch_topic, request_topic
from tests.streams.cluster import COUNTS
from tests.support import raw_batches
from tests.support.brokers import start_own_broker
from tests.support.kafka import Kafka, Outgoing
from tests.support.waiting import wait_until

from .bad_records import (
    DELIVERED,
    GHOST,
    SHOP,
    Case,
    Numbers,
    denied,
    handmade,
    home,
    inner,
    out_of_place,
    request,
    undecodable,
)
from .road import STAGES, Road, running_road

SETTINGS: dict[str, Any] = {
    "senders": {
        "short": {
            "account": "main",
            "address": "24273",
            "type": "short_code",
            "rate": 100,
            "partition": 0,
            "countries": ["US"],
        },
        "local": {"account": "main", "address": "+14155550100", "type": "long_code", "rate": 100, "partition": 2},
        "vip": {"account": "main", "address": "+14155550101", "type": "long_code", "rate": 100, "partition": 1},
    },
    "pools": {"login": ["short"], "shop": ["local"]},
    "categories": {
        "otp": {"class": "critical", "doubt": "resend"},
        "service": {"class": "normal", "doubt": "resend", "quiet_hours": "exempt"},
    },
    "apps": {
        "login": {"categories": ["otp", "service"], "pool": "login"},
        "shop": {"categories": ["service"], "pool": "shop"},
        "retired": {"categories": ["service"], "pool": "shop", "enabled": False},
    },
    "countries": {"allow": ["US", "DE"]},
}
LETTERS_HOLD = 512 * 1024
WITHIN_S = 180.0


@dataclass
class Aftermath:
    """What became of everything.

    Attributes:
        places: topic, partition and offset of each case by name.
        letters: dead letters by the place of what they hold.
        neighbours: numbers of the good requests around.
    """

    cases: dict[str, Case]
    places: dict[str, tuple[str, int, int]]
    letters: dict[tuple[str, int, int], list[DeadLetter]]
    neighbours: list[str]
    statuses: dict[str, StatusUpdate]
    sent: Counter[str]

    def ending(self, wanted: Callable[[object], bool]) -> dict[str, Case]:
        """The cases whose end is of this kind."""
        return {name: case for name, case in self.cases.items() if wanted(case.end)}

    def status(self, name: str) -> StatusUpdate | None:
        """The final status of what a case asked for."""
        return self.statuses.get(message_id(self.cases[name], self.places[name]))


@pytest.fixture(scope="module")
def road(registry_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    broker = start_own_broker()
    try:
        kafka = Kafka(broker.bootstrap)
        kafka.create_topics({GHOST: COUNTS.recipient, request_topic("odd"): COUNTS.recipient + 1})
        with running_road(kafka, registry_url, tmp_path_factory.mktemp("road"), SETTINGS) as road:
            road.codec.prepare()
            yield road
    finally:
        broker.close()


@pytest.fixture(scope="module")
def numbers() -> Numbers:
    return Numbers()


@pytest.fixture(scope="module")
def aftermath(road: Road, numbers: Numbers) -> Aftermath:
    """Writes every case between two good requests of its partition, and waits until nothing is left to do."""
    makers = (undecodable, handmade, out_of_place, denied, inner)
    cases = {case.name: case for make in makers for case in make(road, numbers)}
    neighbours: list[str] = []

    def neighbour(case: Case) -> Outgoing:
        topic, category = (case.record.topic, "otp") if "login" in case.record.topic else (SHOP, "service")
        neighbours.append(numbers.of((case.record.partition or 0) % COUNTS.recipient))
        return good(road, neighbours[-1], topic, category)

    records = [one for case in cases.values() for one in (neighbour(case), case.record, neighbour(case))]
    positions = road.kafka.produce(records)
    settle(road)
    places = dict(zip(cases, positions[1::3], strict=True))
    asked = [message_id(case, places[case.name]) for case in cases.values() if is_status(case.end)]
    around = [ids.message_id_by_origin(*place) for place in (*positions[::3], *positions[2::3])]
    statuses = final_statuses(road, [*asked, *around])
    letters: dict[tuple[str, int, int], list[DeadLetter]] = {}
    for letter in road.records(DEAD):
        assert isinstance(letter, DeadLetter)
        place = (letter.source_topic, letter.source_partition, letter.source_offset)
        letters.setdefault(place, []).append(letter)
    return Aftermath(cases, places, letters, neighbours, statuses, sent(road))


def message_id(case: Case, place: tuple[str, int, int]) -> str:
    return case.message_id or ids.message_id_by_origin(*place)


def good(road: Road, recipient: str, topic: str = SHOP, category: str = "service") -> Outgoing:
    value = road.codec.encode(request(recipient, category=category))
    return Outgoing(topic, value, recipient.encode(), home(recipient))


def settle(road: Road) -> None:
    """Return once every record is finished."""
    deadline = time.monotonic() + WITHIN_S
    while left := unfinished(road):
        assert time.monotonic() < deadline, f"committed and end of {left}\n{road.logs()[-8000:]}"
        time.sleep(0.5)


def unfinished(road: Road) -> dict[str, tuple[int | None, int]]:
    """Partitions whose committed offset is not their end."""
    apps: dict[str, Any] = SETTINGS["apps"]
    topics = {
        "commlayer.policy": [
            GHOST,
            *(request_topic(app, urgent=urgent) for app in apps for urgent in (True, False)),
            *(deferral_topic(tier) for tier in DEFERRAL_TIERS_MS),
        ],
        "commlayer.dispatch": [dispatch_topic(one) for one in MessageClass],
        "commlayer.feedback": [LIFECYCLE, INBOUND],
    }
    return {
        f"{topic}[{partition}]": (committed.get(partition), end)
        for group, names in topics.items()
        for topic in names
        for committed in [road.kafka.committed(group, topic)]
        for partition, end in road.kafka.end_offsets(topic).items()
        if end and committed.get(partition) != end
    }


def final_statuses(road: Road, wanted: Iterable[str]) -> dict[str, StatusUpdate]:
    """All final statuses, once these messages have one."""
    deadline = time.monotonic() + WITHIN_S
    while missing := set(wanted) - (found := road.final_statuses()).keys():
        assert time.monotonic() < deadline, f"not final: {[road.story(one) for one in missing]}"
        time.sleep(0.5)
    return found


def sent(road: Road) -> Counter[str]:
    """How often the twin was asked to send to each number."""
    return Counter(row["to"] for row in road.twin("/messages?direction=outbound-api"))


def is_dead(end: object) -> bool:
    return isinstance(end, tuple) and not isinstance(end[0], MessageStatus)


def is_refused(end: object) -> bool:
    return isinstance(end, tuple) and isinstance(end[0], MessageStatus)


def is_delivered(end: object) -> bool:
    return end is DELIVERED


def is_status(end: object) -> bool:
    return not is_dead(end)


@pytest.mark.timeout(420)
def test_every_neighbour_is_sent_once_and_nothing_that_was_refused(road: Road, aftermath: Aftermath) -> None:
    odd = {
        update.recipient
        for name in aftermath.ending(is_delivered)
        if (update := aftermath.status(name)) is not None and update.recipient is not None
    }
    assert aftermath.sent == Counter(dict.fromkeys({*aftermath.neighbours, *odd}, 1))
    assert len(odd) == len(aftermath.ending(is_delivered))


def test_what_cannot_be_used_is_a_dead_letter_with_its_reason(aftermath: Aftermath) -> None:
    cases = aftermath.ending(is_dead)
    letters = {name: aftermath.letters.get(aftermath.places[name], []) for name in cases}
    found = {name: [(one.stage, one.reason) for one in each] for name, each in letters.items()}
    assert found == {name: [case.end] for name, case in cases.items()}
    assert aftermath.letters.keys() == {aftermath.places[name] for name in cases}


def test_a_dead_letter_holds_what_was_written_and_says_what_is_wrong(aftermath: Aftermath) -> None:
    for name, case in aftermath.ending(is_dead).items():
        [letter] = aftermath.letters[aftermath.places[name]]
        value = case.record.value
        assert letter.value == (value[:LETTERS_HOLD] if value is not None else None), name
        assert letter.value_size == len(value or b""), name
        assert letter.key == case.record.key, name
        assert letter.detail, name
        assert letter.app == ("shop" if case.record.topic == SHOP else None), name
    [told] = aftermath.letters[aftermath.places["a registered schema with a wrong type"]]
    assert (told.field, told.schema_id is not None) == ("created_at", True)


def test_what_is_refused_ends_in_a_status_with_its_reason(aftermath: Aftermath) -> None:
    cases = aftermath.ending(is_refused)
    statuses = {name: aftermath.status(name) for name in cases}
    found = {name: (told.status, told.reason) if told is not None else None for name, told in statuses.items()}
    assert found == {name: case.end for name, case in cases.items()}
    denials = [told for told in statuses.values() if told is not None and told.status is MessageStatus.DENIED]
    assert all(told.detail for told in denials)


def test_what_is_only_odd_is_delivered(aftermath: Aftermath) -> None:
    statuses = {name: aftermath.status(name) for name in aftermath.ending(is_delivered)}
    assert {name: told.status if told is not None else None for name, told in statuses.items()} == dict.fromkeys(
        statuses, MessageStatus.DELIVERED
    )


def test_whatever_brokers_take_is_read(road: Road, numbers: Numbers, aftermath: Aftermath) -> None:
    """Batches made by hand, every compression, and a transaction that was taken back."""
    asked: list[str] = []

    def ask() -> Outgoing:
        asked.append(numbers.of(0))
        return good(road, asked[-1])

    unusual: tuple[dict[str, Any], ...] = (
        {"headers": [(b"caf\xe9", b"x")]},
        {"headers": [(b"", None)]},
        {"attributes": 0x81},
        {"attributes": 0xFF, "key": b"somebody"},
    )
    for made in unusual:
        one = ask()
        batch = raw_batches.batch(raw_batches.record(one.value, **{"key": one.key, **made}))
        asyncio.run(raw_batches.write(road.kafka.bootstrap, SHOP, 0, batch))
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        producer = Producer({**road.kafka.config, "compression.type": codec, "linger.ms": 200})
        for one in (ask(), ask(), ask()):
            producer.produce(SHOP, one.value, one.key, 0)
        assert producer.flush(30) == 0
    taken_back = good(road, numbers.of(0))
    producer = Producer({**road.kafka.config, "transactional.id": "shop", "compression.type": "lz4"})
    producer.init_transactions(30)
    for one, end in ((taken_back, producer.abort_transaction), (ask(), producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(SHOP, one.value, one.key, 0)
        producer.flush(30)
        end(30)
    road.kafka.produce([ask()])
    settle(road)
    wait_until(lambda: sent(road).keys() >= set(asked), "every request to be sent", within_s=WITHIN_S)
    assert [sent(road)[to] for to in asked] == [1] * len(asked)
    assert taken_back.key is not None
    assert sent(road)[taken_back.key.decode()] == 0


def test_no_process_ended_and_the_log_tells_each_kind_once(road: Road, aftermath: Aftermath) -> None:
    assert {name: road.children[name].returncode for name in STAGES} == dict.fromkeys(STAGES)
    assert {name: (road.ready(name)[0], road.live(name)) for name in STAGES} == dict.fromkeys(STAGES, (True, True))
    for stage in ("policy", "dispatch", "feedback"):
        told = Counter((line["topic"], line["reason"]) for line in road.lines(stage) if line["event"] == "dead letter")
        assert told, stage
        assert set(told.values()) == {1}, told
    logs = road.logs()
    assert "all is well" not in logs
    assert not re.search(r"\+1415555\d{4}", logs)
