from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from connectors.health import Health
from connectors.kafka import intake as intake_module
from connectors.kafka.intake import MAX_VALUE_BYTES, Intake
from connectors.kafka.publisher import DurablePublisher, PublishRejected
from connectors.kafka.settings import KafkaSettings
from schemas.codec import RegistryCodec, SingleObjectCodec
from schemas.errors import RegistryUnavailable, UnknownSchemaId
from schemas.loading import Schema
from schemas.reasons import Reason
from schemas.records import Cancellation, Content, DeadLetter, MessageRequest, Record, Stage
from schemas.registry import Registry
from schemas.topics import DEAD
from tests.support.kafka import Kafka
from tests.support.published import RecordingPublisher
from tests.support.waiting import until

NOW_MS = 1_800_000_000_000
SHOP = "comms.requests.shop"

REQUEST = MessageRequest(
    recipient="+14155550100", category="marketing", content=Content(body="Sale!"), created_at=NOW_MS
)
CANCELLATION = Cancellation(message_id="m-1", recipient="+14155550100", requested_at=NOW_MS)


@dataclass
class Message:
    """What a consumer hands to an agent."""

    value: bytes | None
    topic: str = SHOP
    partition: int = 3
    offset: int = 77
    timestamp: float | None = 1_700_000_000.123
    key: bytes | None = b"+14155550100"
    headers: Any = field(default_factory=list)


class FakeRegistry(Registry):
    """Gives ids in order; may be away."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.away = False
        self.asked = 0

    def register(self, ours: Schema) -> int:
        self.texts[len(self.texts) + 1] = ours.text
        return len(self.texts)

    def schema_text(self, schema_id: int) -> str:
        self.asked += 1
        if self.away:
            raise RegistryUnavailable("connection refused")
        if schema_id not in self.texts:
            raise UnknownSchemaId(schema_id)
        return self.texts[schema_id]


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def intake(publisher: RecordingPublisher) -> Intake:
    return Intake(stage=Stage.POLICY, codec=SingleObjectCodec(), publisher=publisher, now_ms=lambda: NOW_MS)


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


def letters(publisher: RecordingPublisher) -> list[DeadLetter]:
    decoded = [SingleObjectCodec().decode(record.value or b"") for record in publisher.records]
    assert all(record.topic == DEAD for record in publisher.records)
    return [letter for letter in decoded if isinstance(letter, DeadLetter)]


def written_with(registry: FakeRegistry, record: Record) -> bytes:
    writer = RegistryCodec(registry)
    writer.prepare([type(record)], register=True)
    return writer.encode(record)


def reading_from(registry: Registry, publisher: DurablePublisher) -> Intake:
    # Dead letters go out in the registry's format; ours of tests are read back as single objects.
    class Codec(RegistryCodec):
        def encode(self, record: Record) -> bytes:
            return SingleObjectCodec().encode(record)

    return Intake(stage=Stage.POLICY, codec=Codec(registry), publisher=publisher, now_ms=lambda: NOW_MS)


async def test_a_good_record_is_handed_on(intake: Intake, publisher: RecordingPublisher) -> None:
    record = await intake.read(Message(SingleObjectCodec().encode(REQUEST)), (MessageRequest, Cancellation))
    assert record == REQUEST
    assert publisher.records == []
    assert intake.health() == Health(True)


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (b"hello", Reason.UNDECODABLE, "no wire format of ours"),
        (b'{"recipient": "+1"}', Reason.UNDECODABLE, "looks like JSON"),
        (b"", Reason.UNDECODABLE, "no value"),
        (None, Reason.UNDECODABLE, "no value"),
        (SingleObjectCodec().encode(REQUEST)[:-9], Reason.UNDECODABLE, ""),
        (b"\xc3\x01" + bytes(8), Reason.UNKNOWN_SCHEMA, "fingerprint"),
        (SingleObjectCodec().encode(CANCELLATION), Reason.UNEXPECTED_RECORD, "Cancellation does not belong on"),
        (b"x" * (MAX_VALUE_BYTES + 1), Reason.OVERSIZED, f"has {MAX_VALUE_BYTES + 1} bytes"),
    ],
    ids=["text", "json", "empty", "tombstone", "cut off", "other schema", "other record", "oversized"],
)
async def test_what_cannot_be_used_becomes_a_dead_letter(
    intake: Intake, publisher: RecordingPublisher, value: bytes | None, reason: Reason, detail: str
) -> None:
    assert await intake.read(Message(value), (MessageRequest,)) is None
    [letter] = letters(publisher)
    assert letter.reason == reason.value
    assert detail in letter.detail
    assert letter.value == (value[:MAX_VALUE_BYTES] if value is not None else None)
    assert letter.value_size == len(value or b"")
    assert letter.replayable is (reason is Reason.UNKNOWN_SCHEMA)


async def test_a_dead_letter_tells_where_the_record_was_and_whose(
    intake: Intake, publisher: RecordingPublisher
) -> None:
    message = Message(SingleObjectCodec().encode(CANCELLATION), headers=(("traceparent", b"00-1"), ("empty", None)))
    await intake.read(message, (MessageRequest,))
    [letter] = letters(publisher)
    assert letter == DeadLetter(
        stage=Stage.POLICY,
        reason="unexpected_record",
        detail="commlayer.Cancellation does not belong on comms.requests.shop",
        fix="write commlayer.MessageRequest",
        source_topic=SHOP,
        source_partition=3,
        source_offset=77,
        source_timestamp=1_700_000_000_123,
        key=b"+14155550100",
        value=message.value,
        value_size=len(message.value or b""),
        headers={"traceparent": b"00-1", "empty": b""},
        app="shop",
        message_id="m-1",
        at=NOW_MS,
    )
    assert publisher.records[0].key == b"+14155550100"


async def test_a_record_of_any_size_fits_into_its_dead_letter(intake: Intake, publisher: RecordingPublisher) -> None:
    headers = [("big", b"h" * 900_000), *((f"h{n}", b"v" * 1000) for n in range(100)), ("small", b"v")]
    await intake.read(Message(b"x" * 900_000, key=b"k" * 900_000, headers=headers), (MessageRequest,))
    assert len(publisher.records[0].value or b"") + len(publisher.records[0].key or b"") < 1_000_000
    [letter] = letters(publisher)
    assert letter.value_size == 900_000
    assert {"h0", "small"} <= letter.headers.keys()
    assert "big" not in letter.headers


@pytest.mark.parametrize("timestamp", [None, -0.001])
async def test_an_unknown_time_stays_unknown(
    intake: Intake, publisher: RecordingPublisher, timestamp: float | None
) -> None:
    await intake.read(Message(b"", timestamp=timestamp), (MessageRequest,))
    assert letters(publisher)[0].source_timestamp is None


async def test_a_dead_letter_that_cannot_be_written_is_an_error_and_never_a_finished_record(
    intake: Intake, publisher: RecordingPublisher
) -> None:
    publisher.failure = PublishRejected(DEAD, "not authorized")
    with pytest.raises(PublishRejected):
        await intake.read(Message(b"rubbish"), (MessageRequest,))


async def test_much_rubbish_is_one_line_in_the_log_per_minute(publisher: RecordingPublisher) -> None:
    now_ms = NOW_MS
    intake = Intake(stage=Stage.POLICY, codec=SingleObjectCodec(), publisher=publisher, now_ms=lambda: now_ms)
    with capture_logs() as logs:
        for _ in range(50):
            await intake.read(Message(b"rubbish"), (MessageRequest,))
        await intake.read(Message(b"rubbish", topic="comms.requests.login"), (MessageRequest,))
        now_ms += 60_000
        await intake.read(Message(b"rubbish"), (MessageRequest,))
    assert [(log["topic"], log["reason"], log["unsaid"]) for log in logs] == [
        (SHOP, "undecodable", 0),
        ("comms.requests.login", "undecodable", 0),
        (SHOP, "undecodable", 49),
    ]
    assert len(publisher.records) == 52
    assert "rubbish" not in str(logs)


async def test_a_schema_id_is_asked_for_once_however_many_records_name_it(
    publisher: RecordingPublisher, registry: FakeRegistry
) -> None:
    intake = reading_from(registry, publisher)
    value = written_with(registry, REQUEST)
    records = await asyncio.gather(*(intake.read(Message(value), (MessageRequest,)) for _ in range(20)))
    assert records == [REQUEST] * 20
    assert registry.asked == 1


async def test_an_absent_registry_is_waited_for_and_logged_once(
    publisher: RecordingPublisher, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "FIRST_PAUSE_S", 0.01)
    intake = reading_from(registry, publisher)
    value = written_with(registry, REQUEST)
    registry.away = True
    with capture_logs() as logs:
        reading = [asyncio.create_task(intake.read(Message(value), (MessageRequest,))) for _ in range(3)]
        await until(lambda: registry.asked >= 3)
        assert not any(task.done() for task in reading)
        assert intake.health().detail.startswith("schema registry away since")
        # What needs no registry goes on meanwhile.
        assert await intake.read(Message(SingleObjectCodec().encode(REQUEST)), (MessageRequest,)) == REQUEST
        registry.away = False
        assert await asyncio.gather(*reading) == [REQUEST] * 3
    assert [log["event"] for log in logs] == ["dependency away", "dependency back"]
    assert intake.health() == Health(True)
    assert publisher.records == []


async def test_when_nobody_waits_for_the_registry_any_more_health_recovers(
    publisher: RecordingPublisher, registry: FakeRegistry
) -> None:
    intake = reading_from(registry, publisher)
    value = written_with(registry, REQUEST)
    registry.away = True
    reading = asyncio.create_task(intake.read(Message(value), (MessageRequest,)))
    await until(lambda: not intake.health().ok)
    reading.cancel()
    await asyncio.wait([reading])
    assert intake.health() == Health(True)


async def test_an_id_that_the_registry_does_not_know_is_final(
    publisher: RecordingPublisher, registry: FakeRegistry
) -> None:
    intake = reading_from(registry, publisher)
    assert await intake.read(Message(b"\x00\x00\x00\x00\x09rest"), (MessageRequest,)) is None
    [letter] = letters(publisher)
    assert (letter.reason, letter.schema_id, letter.replayable) == ("unknown_schema", 9, True)


async def test_with_real_kafka_and_registry_good_and_bad_records_end_where_they_belong(
    kafka: Kafka, registry_url: str
) -> None:
    kafka.create_topics({DEAD: 4}, exist_ok=True)
    registry = Registry(registry_url)
    writer = RegistryCodec(registry)
    await asyncio.to_thread(writer.prepare, register=True)
    reader = RegistryCodec(registry)
    await asyncio.to_thread(reader.prepare, [DeadLetter])
    publisher = DurablePublisher(KafkaSettings((kafka.bootstrap,)), name=kafka.unique("intake"))
    await publisher.start()
    intake = Intake(stage=Stage.POLICY, codec=reader, publisher=publisher, now_ms=lambda: NOW_MS)
    app = kafka.unique("app")
    topic = f"comms.requests.{app}"
    assert await intake.read(Message(writer.encode(REQUEST), topic), (MessageRequest,)) == REQUEST
    assert await intake.read(Message(b"\x00\x7f\xff\xff\xffrest", topic, offset=78), (MessageRequest,)) is None
    assert await intake.read(Message(b"x" * 700_000, topic, offset=79), (MessageRequest,)) is None
    await publisher.stop()
    found = [reader.decode(stored.value or b"") for stored in await asyncio.to_thread(kafka.consume_all, DEAD)]
    ours = [letter for letter in found if isinstance(letter, DeadLetter) and letter.source_topic == topic]
    assert [(letter.source_offset, letter.reason, letter.app) for letter in ours] == [
        (78, "unknown_schema", app),
        (79, "oversized", app),
    ]
    registry.close()
