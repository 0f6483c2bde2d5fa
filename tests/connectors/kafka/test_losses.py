"""What retention took before it was processed is a dead letter."""

from __future__ import annotations

from connectors.kafka.hooks import Loss
from connectors.kafka.losses import LossLetters
from connectors.kafka.topic_partition import TP
from schemas.codec import SingleObjectCodec
from schemas.records import DeadLetter, Stage
from schemas.topics import DEAD, request_topic
from tests.support.published import RecordingPublisher

CODEC = SingleObjectCodec()
TOPIC = request_topic("shop")


async def letters(loss: Loss) -> list[DeadLetter]:
    publisher = RecordingPublisher()
    await LossLetters(Stage.POLICY, CODEC, publisher, lambda: 7).write(loss)
    assert {record.topic for record in publisher.records} <= {DEAD}
    found = [CODEC.decode(record.value or b"") for record in publisher.records]
    return [letter for letter in found if isinstance(letter, DeadLetter)]


async def test_a_hole_is_told_with_its_place_and_size() -> None:
    [letter] = await letters(Loss(TP(TOPIC, 3), first=100, next=140, committed=100, reason="retention"))
    assert (letter.reason, letter.stage, letter.app) == ("lost", Stage.POLICY, "shop")
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == (TOPIC, 3, 100)
    assert "up to 40 records" in letter.detail
    assert not letter.replayable


async def test_a_log_made_anew_lost_nothing_that_is_known() -> None:
    assert await letters(Loss(TP(TOPIC, 3), first=0, next=0, committed=100, reason="truncated")) == []
