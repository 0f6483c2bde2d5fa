"""Records by the batch, under a real Faust app."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from connectors.kafka.topic_partition import TP
from tests.support.kafka import Kafka, Outgoing
from tests.support.mock_kafka import MockKafka
from tests.support.stage import WAIT_S, recording_app, running

COUNT = 150


async def test_a_batch_holds_records_as_they_were_written_each_to_be_finished_by_itself(
    mock_kafka: MockKafka, tmp_path: Path
) -> None:
    kafka = Kafka(mock_kafka.bootstrap)
    topic = kafka.unique("batches")
    app = recording_app(mock_kafka.bootstrap, kafka.unique("group"), tmp_path)
    app.hooks.agents_take_batches = True
    taken: asyncio.Queue[list[Any]] = asyncio.Queue()

    async def take(stream: Any) -> None:
        async for batch in stream.noack():
            taken.put_nowait(batch)

    app.agent(app.topic(topic, value_type=bytes, value_serializer="raw"), name="take")(take)
    headers = [("a", b"1"), ("a", b"2")]
    await asyncio.to_thread(
        kafka.produce, [Outgoing(topic, b"%d" % n, b"k%d" % n, partition=0, headers=headers) for n in range(COUNT)]
    )
    async with running(app):
        async with asyncio.timeout(WAIT_S):
            events: list[Any] = []
            batches = 0
            while len(events) < COUNT:
                events += await taken.get()
                batches += 1
        messages = [event.message for event in events]
        assert [(message.value, message.key) for message in messages] == [(b"%d" % n, b"k%d" % n) for n in range(COUNT)]
        assert {(message.tp, message.topic, message.partition) for message in messages} == {(TP(topic, 0), topic, 0)}
        assert [message.offset for message in messages] == list(range(COUNT))
        assert {message.headers for message in messages} == {tuple(headers)}
        assert {message.generation_id for message in messages} == {app.consumer.generation}
        assert all(message.timestamp < 1e11 for message in messages), "seconds"
        assert batches < COUNT / 2
        assert app.consumer.outstanding(TP(topic, 0)) == COUNT
        assert events[1].ack()
        assert not events[1].ack(), "it is finished already"
        assert app.consumer.outstanding(TP(topic, 0)) == COUNT - 1
        assert app.consumer.held(TP(topic, 0)) == (0, COUNT)
        events[0].ack()
        assert app.consumer.held(TP(topic, 0)) == (2, COUNT - 2)
