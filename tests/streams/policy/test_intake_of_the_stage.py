"""What the stage takes first, and how much of it."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import pytest

from connectors.kafka.settings import KafkaSettings
from connectors.kafka.state import PartitionStates
from connectors.kafka.topic_partition import TP
from schemas.topics import CONSENT, POLICY_STATE
from streams.policy.intake_windows import LEAST_WINDOW, REQUESTS_HELD, WHEEL_WINDOW, line_limits, windows
from streams.policy.stage import PolicyStage
from streams.policy.wheel import COMES_AGAIN_HEADER
from streams.rounds import URGENT_HEADERS
from tests.streams.policy.installation import NOW, config
from tests.streams.policy.test_desk import CODEC, PARTITIONS, Event, Message
from tests.support.published import RecordingPublisher


def stage(tmp_path: Path) -> PolicyStage:
    publisher, settings = RecordingPublisher(), KafkaSettings(("127.0.0.1:1",))
    made = PolicyStage(
        config(),
        codec=CODEC,
        publisher=publisher,
        kafka=settings,
        states=PartitionStates(POLICY_STATE, settings, publisher, directory=tmp_path),
        partitions=PARTITIONS,
        now_ms=lambda: NOW,
    )
    made._serving._suspended = True  # nothing is served, all of it waits
    return made


def record(topic: str, person: str, headers: tuple[tuple[str, bytes], ...] = ()) -> Event:
    return Event(Message(topic, 0, 1, person.encode(), b"", headers))


def test_codes_that_come_back_from_the_wheel_pass_by_what_else_waits(tmp_path: Path) -> None:
    here = stage(tmp_path)
    here._serving.take_turn(record("comms.requests.shop", "campaign"))
    here._serving.take_turn(record("comms.deferred.1s", "reminder"))
    here._serving.take_turn(record("comms.deferred.1s", "code", URGENT_HEADERS))
    here._serving.take_turn(record("comms.requests.login.urgent", "new code"))
    served: list[Hashable] = []
    while (started := here._serving._turns.start()) is not None:
        served.append(started[0])
        here._serving._turns.done(started[0])
    assert served == [b"code", b"new code", b"campaign", b"reminder"]


def test_one_apps_requests_do_not_wait_for_all_of_anothers(tmp_path: Path) -> None:
    here = stage(tmp_path)
    for number in range(100):
        here._serving.take_turn(record("comms.requests.shop", f"customer {number}"))
    here._serving.take_turn(record("comms.requests.login", "ann"))
    served: list[Hashable] = []
    for _ in range(2):
        started = here._serving._turns.start()
        assert started is not None
        served.append(started[0])
    assert served == [b"customer 0", b"ann"]


@pytest.mark.parametrize("apps", [1, 3, 40, 100])
def test_the_requests_in_memory_do_not_grow_with_the_number_of_apps(apps: int) -> None:
    window = windows(apps, 16)
    requests = window(TP("comms.requests.shop", 3))
    assert LEAST_WINDOW <= requests <= 1000
    assert requests * 2 * apps * 16 <= max(REQUESTS_HELD, LEAST_WINDOW * 2 * apps * 16)
    assert (window(TP("comms.deferred.6h", 3)), window(TP(CONSENT, 3))) == (WHEEL_WINDOW, 1000)


def test_a_record_that_was_put_off_waits_for_its_moment_whoever_else_waits(tmp_path: Path) -> None:
    here = stage(tmp_path)._serving
    here._suspended = False
    soon = (COMES_AGAIN_HEADER, str(NOW + 400).encode())
    here.take_turn(record("comms.deferred.1s", "ann", (soon,)))
    assert here._held.next_at() == NOW + 400
    assert here._turns.waiting == 0


async def test_of_one_persons_records_a_few_wait_here_and_what_is_known_of_people_always_does(tmp_path: Path) -> None:
    here = stage(tmp_path)._serving
    here._suspended = False
    here._turns._limit = 0  # nothing is served, all of it waits
    most = line_limits(len(config().apps), PARTITIONS)("comms.deferred.1s")
    for _ in range(most + 3):
        here.take_turn(record("comms.deferred.1s", "ann"))
        here.take_turn(record(CONSENT, "ann"))
    assert here._turns.waiting == most + most + 3
    assert here._on_their_way == 3
    here.take_turn(record("comms.deferred.1s", "bob"))
    here.take_turn(record("comms.deferred.1s", "ann", URGENT_HEADERS))
    assert here._on_their_way == 3
    await here.stop()
