from __future__ import annotations

import asyncio

import pytest

from connectors.twilio.deadlines import Deadlines


async def test_what_lasts_too_long_is_ended_and_what_is_quick_is_not() -> None:
    deadlines = Deadlines(0.05)

    with deadlines.limit():
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), deadlines.limit():
        await asyncio.Event().wait()
    await asyncio.sleep(0)  # nothing is left of the cancellation


async def test_each_is_ended_at_its_own_time() -> None:
    deadlines, ended = Deadlines(0.2), []

    async def wait(name: str) -> None:
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError), deadlines.limit():
            await asyncio.Event().wait()
        ended.append((name, asyncio.get_running_loop().time() >= began + 0.2))

    first = asyncio.create_task(wait("first"))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(wait("second"))
    await asyncio.gather(first, second)

    assert ended == [("first", True), ("second", True)]


async def test_a_task_that_is_cancelled_by_others_stays_cancelled() -> None:
    deadlines = Deadlines(60.0)

    async def wait() -> None:
        with deadlines.limit():
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_its_own_is_passed_on() -> None:
    with pytest.raises(ValueError, match="own"), Deadlines(60.0).limit():
        raise ValueError("own")
