"""Every dependency away, at the start and in the middle: each process waits, says so once in its log and all the time
in its health, and goes on; nothing is lost and nothing is sent twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from schemas import ids
from schemas.records import MessageStatus
from schemas.topics import request_topic
from tests.support.brokers import start_own_broker
from tests.support.door import Door
from tests.support.kafka import Kafka, Outgoing
from tests.support.kafka_broker import Broker
from tests.support.waiting import wait_until

from .bad_records import home, request
from .road import STAGES, Road, laid_road

SHOP = request_topic("shop")
SETTINGS = {
    "senders": {
        "local": {"account": "main", "address": "+14155550100", "type": "long_code", "rate": 50, "partition": 2},
    },
    "pools": {"all": ["local"]},
    "categories": {
        "otp": {"class": "critical", "doubt": "resend"},
        "service": {"class": "normal", "doubt": "resend", "quiet_hours": "exempt"},
    },
    "apps": {"shop": {"categories": ["service"], "pool": "all"}},
    "countries": {"allow": ["US"]},
}
BATCH = 40
WITHIN_S = 120.0


@dataclass
class Installation:
    """A road whose registry and twin lie behind doors, and whose broker can be killed."""

    road: Road
    broker: Broker
    registry: Door
    twin: Door
    asked: list[str]

    def ask(self) -> None:
        """A batch of requests, acknowledged."""
        first = len(self.asked)
        numbers = [f"+1415555{1000 + first + step}" for step in range(BATCH)]
        encode = self.road.codec.encode
        records = [Outgoing(SHOP, encode(request(to)), to.encode(), home(to)) for to in numbers]
        places = self.road.kafka.produce(records)
        self.asked += [ids.message_id_by_origin(*place) for place in places]

    def sent(self) -> Counter[str]:
        """How often the twin accepted each message."""
        return Counter(row["m"] for row in self.road.twin("/messages?direction=outbound-api"))

    def wait_sent(self) -> None:
        """Return once every request was accepted by the twin, none twice."""
        wait_until(lambda: self.sent().keys() >= set(self.asked), "every request to be sent", within_s=WITHIN_S)
        assert self.sent() == Counter(self.asked)

    def health_says(self, stage: str, word: str) -> bool:
        """Whether a part of the stage that is not well says this word."""
        ok, parts = self.road.ready(stage)
        return not ok and word in json.dumps({name: part for name, part in parts.items() if not part["ok"]})

    def told(self, stage: str, what: Callable[[dict[str, object]], bool]) -> int:
        """How many lines of this kind a stage logged."""
        return sum(map(what, self.road.lines(stage)))


@pytest.fixture(scope="module")
def installation(registry_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    broker = start_own_broker()
    try:
        kafka = Kafka(broker.bootstrap)
        with (
            Door.to(registry_url) as registry,
            laid_road(kafka, registry_url, tmp_path_factory.mktemp("road"), SETTINGS) as road,
            Door("127.0.0.1", road.ports["twin"]) as twin,
        ):
            road.register()
            road.codec.prepare()
            text = road.configuration.read_text()
            text = text.replace(f"http://127.0.0.1:{road.ports['twin']}", f"http://127.0.0.1:{twin.port}")
            text = text.replace(f":{registry_url.split(':')[2].split('/')[0]}", f":{registry.port}")
            road.configuration.write_text(text)
            yield Installation(road, broker, registry, twin, [])
    finally:
        broker.close()


@pytest.mark.timeout(420)
def test_with_nothing_there_at_the_start_every_process_waits_and_then_serves(installation: Installation) -> None:
    road = installation.road
    installation.ask()
    installation.broker.kill()
    road.start_twin()
    road.start_stages()
    for stage in STAGES:
        wait_until(partial(answers, road, stage), f"{stage} to answer for its health", within_s=60)
        assert not road.ready(stage)[0]
        assert road.live(stage)
    wait_until(lambda: all(installation.health_says(one, "registry") for one in STAGES), "registry told", within_s=30)
    installation.registry.open()
    wait_until(lambda: all(installation.health_says(one, "Kafka") for one in STAGES), "Kafka told", within_s=60)
    time.sleep(5)  # several attempts of every backoff, of which the log must not tell
    installation.broker.restart()
    road.wait_ready("policy", "feedback", "bridge", "twin")
    wait_until(lambda: installation.health_says("dispatch", "Twilio"), "Twilio's absence told", within_s=60)
    installation.twin.open()
    installation.wait_sent()
    road.wait_ready()
    assert {name: road.children[name].returncode for name in STAGES} == dict.fromkeys(STAGES)
    for stage in STAGES:
        assert installation.told(stage, lambda line: line.get("what") == "schema registry") == 2, stage  # away, back


@pytest.mark.timeout(420)
def test_twilio_away_in_the_middle_is_waited_for(installation: Installation) -> None:
    installation.road.wait_ready()
    installation.twin.shut()
    installation.ask()
    wait_until(lambda: installation.health_says("dispatch", "Twilio"), "Twilio's absence told", within_s=60)
    time.sleep(3)
    installation.twin.open()
    installation.wait_sent()
    installation.road.wait_ready()


@pytest.mark.timeout(420)
def test_the_broker_killed_in_the_middle_is_waited_for(installation: Installation) -> None:
    installation.road.wait_ready()
    installation.ask()
    installation.broker.kill()
    wait_until(
        lambda: all(installation.health_says(stage, "Kafka") for stage in ("policy", "dispatch")),
        "Kafka's absence told",
        within_s=90,
    )
    assert all(installation.road.live(stage) for stage in STAGES)
    installation.broker.restart()
    installation.ask()
    installation.wait_sent()
    installation.road.wait_ready()
    assert {name: installation.road.children[name].returncode for name in STAGES} == dict.fromkeys(STAGES)


@pytest.mark.timeout(420)
def test_the_registry_away_in_the_middle_is_not_missed(installation: Installation) -> None:
    installation.registry.shut()
    installation.ask()
    installation.wait_sent()
    installation.road.wait_ready()


@pytest.mark.timeout(420)
def test_after_all_that_every_message_has_its_final_status(installation: Installation) -> None:
    road = installation.road
    wait_until(lambda: road.final_statuses().keys() >= set(installation.asked), "every status", within_s=WITHIN_S)
    assert {update.status for update in road.final_statuses().values()} == {MessageStatus.DELIVERED}


def test_no_outage_was_told_at_every_attempt(installation: Installation) -> None:
    """Dozens of attempts failed by now; of three outages a log tells each kind of trouble at most three times."""
    for stage in STAGES:
        troubles = [line for line in installation.road.lines(stage) if line["level"] in ("warning", "error")]
        told = Counter((line["logger"], line["event"], line.get("what")) for line in troubles)
        assert told
        assert max(told.values()) <= 3, told


def answers(road: Road, stage: str) -> bool:
    """Whether the stage serves its health by now."""
    try:
        road.ready(stage)
    except OSError:
        return False
    return True
