"""Look-ups that share readings of the attempts log."""

from __future__ import annotations

import asyncio

import pytest

from streams.dispatch.shared_reading import About, Found, SharedReading, about
from tests.support.waiting import until

from .test_attempts import intent

NUMBERS = [f"+1415555{number:04d}" for number in range(100)]


class Log:
    """Each person has had one message; a reading lasts until it is let go."""

    def __init__(self) -> None:
        self.readings: list[tuple[int, int, About]] = []
        self.let_go = asyncio.Event()
        self.error: Exception | None = None

    async def find(self, partition: int, since_ms: int, wanted: About) -> Found:
        self.readings.append((partition, since_ms, wanted))
        await self.let_go.wait()
        if self.error is not None:
            raise self.error
        found = []
        for position, number in enumerate(NUMBERS):
            record = intent(message_id=f"m{position}")
            record.recipient = number
            if number in wanted.people or record.message_id in wanted.ids:
                found.append((record, position))
        return found


async def until_reading(log: Log, times: int) -> None:
    await until(lambda: len(log.readings) >= times)


async def test_those_that_come_while_the_log_is_read_share_the_next_reading_and_each_gets_its_own() -> None:
    log = Log()
    shared = SharedReading(log.find)
    first = asyncio.create_task(shared.find(0, 50, about([NUMBERS[0]])))
    await until_reading(log, 1)
    others = [asyncio.create_task(shared.find(0, 100 + n, about([NUMBERS[n]], [f"m{n + 1}"]))) for n in range(1, 50)]
    await asyncio.sleep(0)
    log.let_go.set()
    assert [position for _, position in await first] == [0]
    for number, other in enumerate(others, start=1):
        assert [position for _, position in await other] == [number, number + 1]
    assert [(partition, since) for partition, since, _ in log.readings] == [(0, 50), (0, 101)]


async def test_one_that_does_not_wait_any_more_keeps_no_answer_from_the_others() -> None:
    log = Log()
    shared = SharedReading(log.find)
    asked = [asyncio.create_task(shared.find(0, 1, about([number]))) for number in NUMBERS[:3]]
    await until_reading(log, 1)
    asked[0].cancel()
    log.let_go.set()
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*asked[1:])
    assert [len(answer) for answer in answers] == [1, 1]


async def test_a_reading_begun_before_one_asked_is_not_its_answer() -> None:
    """What it waits for may have been written after that reading looked for the end of the log."""
    log = Log()
    shared = SharedReading(log.find)
    asked = [asyncio.create_task(shared.find(0, 1, about([NUMBERS[7]])))]
    await until_reading(log, 1)
    asked.append(asyncio.create_task(shared.find(0, 1, about([NUMBERS[7]]))))
    await asyncio.sleep(0)
    log.let_go.set()
    await asyncio.gather(*asked)
    assert len(log.readings) == 2


async def test_partitions_are_read_side_by_side() -> None:
    log = Log()
    shared = SharedReading(log.find)
    asked = [asyncio.create_task(shared.find(partition, 1, about([NUMBERS[0]]))) for partition in range(3)]
    await until_reading(log, 3)
    log.let_go.set()
    await asyncio.gather(*asked)


async def test_an_error_is_told_to_all_that_share_the_reading_and_the_next_is_read_anew() -> None:
    log = Log()
    shared = SharedReading(log.find)
    log.error = RuntimeError("no broker")
    asked = [asyncio.create_task(shared.find(0, 1, about([number]))) for number in NUMBERS[:3]]
    await until_reading(log, 1)
    asked[0].cancel()
    log.let_go.set()
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [log.error, log.error]
    log.error = None
    assert len(await shared.find(0, 1, about([NUMBERS[0]]))) == 1


async def test_stopping_ends_what_is_being_read() -> None:
    log = Log()
    shared = SharedReading(log.find)
    asked = asyncio.create_task(shared.find(0, 1, about([NUMBERS[0]])))
    await until_reading(log, 1)
    waiting = asyncio.create_task(shared.find(0, 1, about([NUMBERS[1]])))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await shared.stop()
        for each in (asked, waiting):
            with pytest.raises(asyncio.CancelledError):
                await each
    log.let_go.set()
    assert len(await shared.find(0, 1, about([NUMBERS[0]]))) == 1, "the next assignment looks up as ever"
