"""Several records of one message: policy writes a decision once more after a crash."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from streams.dispatch.attempts import Histories
from streams.dispatch.positions import position_of
from tests.support.published import RecordingPublisher

from .simulation import order
from .world import PARTITION, log_of, world


async def test_a_record_that_joined_another_leads_a_successor_to_its_attempts() -> None:
    """Both are finished together, but the offset of the second lies behind a message that waits still: it comes again,
    and nothing in it says that it is a repeat."""
    sent, waits, kafka = order(), order(), RecordingPublisher()
    async with world(kafka=kafka) as here:
        here.twilio.hold = asyncio.Event()
        first = here.take(replace(sent, again=True))
        await here.until(lambda: here.twilio.posts)
        here.take(waits, closed=True)
        second = here.take(sent)
        here.twilio.hold.set()
        await here.until(lambda: first.finished and second.finished)
        tp = second.message.tp
        here.engine.committed(tp, 1)
        start = position_of(here.engine.positions.metadata(tp, 1))
        here.engine.drop()
    assert start is not None
    histories = Histories()
    for record, position in log_of(kafka):
        if position >= start:
            histories.add(record, PARTITION, position)
    assert histories.get((sent.message_id, 0)) is not None
