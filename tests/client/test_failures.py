"""When Kafka does not take a request: a clear error, and the truth about the request's fate."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from commlayer_client import (
    BrokerUnavailable,
    Fate,
    MessageTooLarge,
    NotAuthorized,
    Publisher,
    PublishFailed,
    PublishTimeout,
    RegistryUnavailable,
    UnknownTopic,
)
from commlayer_client.failures import Circumstances
from confluent_kafka import KafkaError
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from schemas.codec import SingleObjectCodec
from schemas.ids import message_id_by_key
from schemas.records import MessageRequest
from schemas.topics import request_topic
from tests.support.kafka import Kafka
from tests.support.kafka_broker import Broker, add_users
from tests.support.processes import free_ports

_TO: dict[str, Any] = {"to": "+14155550123", "category": "otp", "body": "x"}


async def test_no_broker_at_all_is_told_after_the_timeout_and_the_key_with_it() -> None:
    [port] = free_ports(1)
    async with Publisher("shop", f"127.0.0.1:{port}", timeout_s=1.5) as publisher:
        with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{port}") as caught:
            await publisher.send(**_TO)
        assert caught.value.fate is Fate.UNKNOWN
        assert caught.value.idempotency_key
        assert caught.value.message_id == message_id_by_key("shop", "+14155550123", caught.value.idempotency_key)
        assert "idempotency key" in caught.value.fix
        with pytest.raises(BrokerUnavailable):
            await publisher.check(timeout_s=1.0)


async def test_an_acknowledgement_that_does_not_come_leaves_the_fate_unknown_and_a_retry_is_safe(
    own_kafka: Broker,
) -> None:
    kafka = Kafka(own_kafka.bootstrap)
    topic = request_topic("shop")
    kafka.create_topics({topic: 2})
    async with Publisher("shop", own_kafka.bootstrap, timeout_s=3.0) as publisher:
        await publisher.send(**_TO, idempotency_key="first")
        own_kafka.pause()
        try:
            with pytest.raises(PublishTimeout) as caught:
                await publisher.send(**_TO)
        finally:
            own_kafka.resume()
        key = caught.value.idempotency_key
        assert caught.value.fate is Fate.UNKNOWN
        receipt = None
        while receipt is None:
            try:
                receipt = await publisher.send(**_TO, idempotency_key=key)
            except PublishTimeout:  # the broker is still coming to
                continue
    assert receipt.message_id == caught.value.message_id
    keys = []
    for record in await asyncio.to_thread(kafka.consume_all, topic):
        assert record.value is not None
        read = SingleObjectCodec().decode(record.value)
        assert isinstance(read, MessageRequest)
        keys.append(read.idempotency_key)
    assert keys[0] == "first"
    assert set(keys) == {"first", key}


@pytest.mark.parametrize(
    ("code", "error", "fate"),
    [
        (KafkaError._MSG_TIMED_OUT, PublishTimeout, Fate.UNKNOWN),
        (KafkaError._PURGE_INFLIGHT, PublishTimeout, Fate.UNKNOWN),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, NotAuthorized, Fate.NOT_PUBLISHED),
        (KafkaError._FATAL, PublishFailed, Fate.UNKNOWN),
        (KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, PublishFailed, Fate.UNKNOWN),
    ],
)
def test_what_librdkafka_says_while_brokers_answer(code: int, error: type[Exception], fate: Fate) -> None:
    told = Circumstances("127.0.0.1:1", 2000).failure(KafkaError(code), "comms.requests.shop")
    assert type(told) is error
    assert told.fate is fate
    assert told.fix


async def test_an_app_without_topics_is_told_before_the_timeout(kafka: Kafka) -> None:
    app = kafka.unique("app")
    async with Publisher(app, kafka.bootstrap, timeout_s=60.0) as publisher:
        with pytest.raises(UnknownTopic, match=f"comms.requests.{app}.*topics apply") as caught:
            await publisher.send(**_TO)
        assert caught.value.fate is Fate.NOT_PUBLISHED
        with pytest.raises(UnknownTopic):
            await publisher.check()


@pytest.mark.parametrize("side", ["client", "broker"])
async def test_a_request_larger_than_kafka_takes_is_refused(kafka: Kafka, side: str) -> None:
    app = kafka.unique("app")
    kafka.create_topics({request_topic(app): 1}, max_message_bytes="5000" if side == "broker" else "1000000")
    config = {"message.max.bytes": 5_000} if side == "client" else {}
    many = {str(number): "y" * 1000 for number in range(20)}
    async with Publisher(app, kafka.bootstrap, config=config) as publisher:
        with pytest.raises(MessageTooLarge) as caught:
            await publisher.send(to="+14155550123", category="otp", content_sid="HX1", variables=many)
        assert caught.value.fate is Fate.NOT_PUBLISHED
        assert caught.value.idempotency_key
        await publisher.send(**_TO)


async def test_a_full_queue_that_does_not_drain_is_told_as_not_published() -> None:
    [port] = free_ports(1)
    settings = {"queue.buffering.max.messages": 1}
    async with Publisher("shop", f"127.0.0.1:{port}", timeout_s=2.0, config=settings) as publisher:
        waiting = asyncio.ensure_future(publisher.send(**_TO))
        await asyncio.sleep(0)
        # The queue frees itself when its one record times out, so this one must give up earlier to be seen.
        publisher._timeout_s = 0.5
        with pytest.raises(PublishTimeout, match="too many") as caught:
            await publisher.send(**_TO)
        assert caught.value.fate is Fate.NOT_PUBLISHED
        with pytest.raises(BrokerUnavailable):
            await waiting


# Credentials and rights, on a broker with SCRAM and ACLs


def _app() -> str:
    return f"app-{secrets.token_hex(4)}"


def _allow(broker: Broker, user: str, topic: str) -> None:
    binding = AclBinding(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        AclOperation.WRITE,
        AclPermissionType.ALLOW,
    )
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})  # must outlive its answers
    for done in admin.create_acls([binding]).values():
        done.result(30)


def _login(kafka: Kafka) -> dict[str, object]:
    return {name: value for name, value in kafka.config.items() if name != "bootstrap.servers"}


async def test_an_app_writes_its_own_topic_and_no_other(sasl_broker: Broker, sasl_user: Callable[[str], Kafka]) -> None:
    own, other = _app(), _app()
    Kafka(sasl_broker.bootstrap).create_topics({request_topic(name): 1 for name in (own, other)})
    seen = sasl_user(own)
    _allow(sasl_broker, own, request_topic(own))
    async with Publisher(own, seen.bootstrap, config=_login(seen)) as publisher:
        await publisher.check()
        assert (await publisher.send(**_TO)).offset == 0
    async with Publisher(other, seen.bootstrap, config=_login(seen)) as publisher:
        with pytest.raises(NotAuthorized) as caught:
            await publisher.send(**_TO)
        assert caught.value.principal == f"User:{own}"
        assert caught.value.topic == request_topic(other)
        assert f"WRITE on topic {request_topic(other)}" in caught.value.fix
        assert caught.value.fate is Fate.NOT_PUBLISHED
        with pytest.raises(NotAuthorized):
            await publisher.check()


async def test_a_wrong_password_is_told_at_once_and_again_and_heals_when_corrected(
    sasl_broker: Broker, sasl_user: Callable[[str], Kafka]
) -> None:
    app = _app()
    Kafka(sasl_broker.bootstrap).create_topics({request_topic(app): 1})
    seen = sasl_user(app)
    _allow(sasl_broker, app, request_topic(app))
    wrong = {**_login(seen), "sasl.password": "another"}
    async with Publisher(app, seen.bootstrap, config=wrong, timeout_s=100.0) as publisher:
        for _ in range(2):
            with pytest.raises(NotAuthorized, match="refuses the credentials") as caught:
                await publisher.send(**_TO)
            assert caught.value.principal == f"User:{app}"
            assert caught.value.topic is None
            assert caught.value.fate is Fate.NOT_PUBLISHED
            assert "another" not in str(caught.value)
        with pytest.raises(NotAuthorized):
            await publisher.check()
        add_users(sasl_broker.bootstrap, {app: "another"})
        receipt = None
        while receipt is None:
            try:
                receipt = await publisher.send(**_TO)
            except NotAuthorized:  # the broker learns of the new password a moment later
                continue
    assert receipt.offset == 0


# The registry


async def test_a_registry_that_is_down_is_told_and_nothing_is_published(kafka: Kafka) -> None:
    [port] = free_ports(1)
    app = kafka.unique("app")
    kafka.create_topics({request_topic(app): 1})
    async with Publisher(app, kafka.bootstrap, registry_url=f"http://127.0.0.1:{port}") as publisher:
        with pytest.raises(RegistryUnavailable, match="nothing was published") as caught:
            await publisher.send(**_TO)
        assert caught.value.fate is Fate.NOT_PUBLISHED
    assert kafka.consume_all(request_topic(app)) == []


def test_nothing_is_written_to_the_terminal_when_kafka_is_away() -> None:
    # In a program of its own: here pytest would catch what an application's terminal gets.
    program = """
import sys
from commlayer_client import BrokerUnavailable, SyncPublisher
with SyncPublisher("shop", sys.argv[1], timeout_s=1.0) as publisher:
    try:
        publisher.send(to="+14155550123", category="otp", body="x")
    except BrokerUnavailable:
        print("told")
"""
    [port] = free_ports(1)
    done = subprocess.run(
        [sys.executable, "-c", program, f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "told\n", "")
