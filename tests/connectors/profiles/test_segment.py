"""The client against a space on this machine: right answers, troubles, and who they delay."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
import structlog
from aiohttp import web

from connectors.profiles.segment import ProfilesUnavailable, SegmentProfiles
from tests.connectors.profiles.space import TOKEN, Space, after, answering, cut, cut_within, hang
from tests.support.waiting import until

ANN, BOB = "+14155550123", "+14155550124"
ZONE = {"timezone": "America/Chicago"}


@pytest.fixture
async def space() -> AsyncIterator[Space]:
    async with Space({f"phone:{ANN}": {**ZONE, "first_name": "Ann"}, f"phone:{BOB}": ZONE, "user_id:u1": ZONE}) as one:
        yield one


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def unavailable(client: SegmentProfiles, phone: str = ANN) -> ProfilesUnavailable:
    with pytest.raises(ProfilesUnavailable) as caught:
        await client.traits_of("phone", phone)
    return caught.value


async def test_a_person_is_found_by_number_and_by_id_whatever_its_case(space: Space) -> None:
    async with SegmentProfiles(space.settings()) as client:
        assert await client.traits_of("phone", ANN) == {"timezone": "America/Chicago", "first_name": "Ann"}
        assert await client.traits_of("user_id", "U1") == ZONE


async def test_only_the_wanted_traits_are_asked_for(space: Space) -> None:
    async with SegmentProfiles(space.settings(traits=("timezone", "First Name"))) as client:
        await client.traits_of("phone", ANN)
    assert space.queries == ["limit=200&include=timezone,First%20Name"]


async def test_traits_of_several_pages_are_put_together(space: Space) -> None:
    space.page = 1
    space.profiles[f"phone:{ANN}"] = {"a": "1", "b": "2", "c": "3"}
    async with SegmentProfiles(space.settings(traits=("a", "b", "c", "d"))) as client:
        assert await client.traits_of("phone", ANN) == {"a": "1", "b": "2", "c": "3"}
    assert space.asked.total() == 3


async def test_whom_segment_does_not_know_is_no_trouble(space: Space) -> None:
    async with SegmentProfiles(space.settings()) as client:
        assert await client.traits_of("phone", "+14155550199") is None


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (answering(429), "429"),
        (answering(401), "token"),
        (answering(403), "token"),
        (answering(400), "400"),
        (answering(503), "503"),
        (answering(302, Location="http://127.0.0.1:1/"), "302"),
        (answering(404, b"<html>nothing here</html>"), "not_found"),
        (answering(404, b'{"error": "not_found"}'), "not_found"),
        (answering(200, b'{"traits": {"timezone": '), "without `traits`"),
        (answering(200, b'{"traits": ["timezone"]}'), "without `traits`"),
        (answering(200, b"\xff\xfe"), "without `traits`"),
        (answering(200, b"[" * 100_000), "without `traits`"),
        (answering(200, b" " * 300_000), "larger than 262144"),
        (hang, "no answer within 0.3 s"),
        (cut, "ServerDisconnectedError"),
        (cut_within, "ClientPayloadError"),
    ],
)
async def test_what_is_no_answer_about_the_person_is_unavailable(space: Space, behaviour: object, why: str) -> None:
    space.behaviour = behaviour  # type: ignore[assignment]  # one of them
    async with SegmentProfiles(space.settings(timeout_s=0.3)) as client:
        assert why in str(await unavailable(client))
        space.behaviour = None
        if why in ("429", "token"):
            assert "left alone" in str(await unavailable(client))
        else:
            assert await client.traits_of("phone", ANN) is not None  # it was not remembered as unknown


async def test_a_wrong_token_is_told_as_such(space: Space) -> None:
    async with SegmentProfiles(space.settings(token="another")) as client:
        assert "token" in str(await unavailable(client))


async def test_nobody_listens(space: Space) -> None:
    async with SegmentProfiles(space.settings(base_url="http://127.0.0.1:1")) as client:
        assert str(await unavailable(client)) == "ClientConnectorError"


async def test_an_answer_holds_for_its_time(space: Space) -> None:
    clock = Clock()
    async with SegmentProfiles(space.settings(cache_s=300, unknown_cache_s=60), clock=clock) as client:
        for passed, asked in ((0, (1, 1)), (59, (1, 1)), (2, (1, 2)), (238, (1, 3)), (2, (2, 3))):
            clock.now += passed
            await client.traits_of("phone", ANN)
            await client.traits_of("phone", "+14155550199")
            assert (space.asked[f"phone:{ANN}"], space.asked["phone:+14155550199"]) == asked


async def test_the_cache_forgets_who_was_not_asked_for(space: Space) -> None:
    async with SegmentProfiles(space.settings(cache_entries=2)) as client:
        for phone in (ANN, BOB, ANN, "+14155550199", ANN, BOB):
            await client.traits_of("phone", phone)
    assert space.asked == {f"phone:{ANN}": 1, f"phone:{BOB}": 2, "phone:+14155550199": 1}


async def test_several_who_ask_for_one_person_share_one_request(space: Space) -> None:
    space.behaviour = after(0.1, space._answer)
    async with SegmentProfiles(space.settings()) as client:
        asking = [asyncio.create_task(client.traits_of("phone", ANN)) for _ in range(20)]
        await asyncio.sleep(0.02)
        asking[0].cancel()  # the one who began leaves; the others still get their answer
        found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [{"timezone": "America/Chicago", "first_name": "Ann"}] * 19
    assert space.asked.total() == 1


async def test_people_whose_lookups_hang_delay_nobody_else(space: Space) -> None:
    hanging = [f"+1415555{number:04}" for number in range(1000, 1300)]
    space.behaviours = {f"phone:{phone}": hang for phone in hanging}
    async with SegmentProfiles(space.settings(timeout_s=30)) as client:
        asking = [asyncio.create_task(client.traits_of("phone", phone)) for phone in hanging]
        await until(lambda: space.at_once == len(hanging))
        async with asyncio.timeout(5):
            assert await client.traits_of("phone", BOB) == ZONE
        assert not any(task.done() for task in asking)
        await client.stop()
        assert all(
            isinstance(each, ProfilesUnavailable) for each in await asyncio.gather(*asking, return_exceptions=True)
        )


async def test_one_person_in_trouble_does_not_take_customer_data_from_the_others(space: Space) -> None:
    space.behaviours = {f"phone:{ANN}": answering(500)}
    async with SegmentProfiles(space.settings()) as client:
        for _ in range(20):
            await unavailable(client, ANN)
        assert await client.traits_of("phone", BOB) == ZONE


async def test_after_trouble_with_several_people_nobody_asks_until_one_request_worked(space: Space) -> None:
    clock = Clock()
    space.behaviour = after(0.05, answering(503))
    async with SegmentProfiles(space.settings(), clock=clock, chance=lambda: 0.5) as client:
        for number in range(5):
            await unavailable(client, f"+1415555020{number}")
        assert space.asked.total() == 5
        for wait_s in (1.0, 2.0, 4.0):
            resting = await unavailable(client)
            assert "503" in str(resting)
            assert resting.retry_after_s == wait_s
            clock.now += wait_s - 0.01
            await unavailable(client)
            clock.now += 0.01
            both = await asyncio.gather(unavailable(client, ANN), unavailable(client, BOB))
            assert sum("left alone" in str(each) for each in both) == 1
        assert space.asked.total() == 8  # one for each of the three waits
        clock.now += 8.0
        space.behaviour = None
        assert await client.traits_of("phone", ANN) is not None
        assert await client.traits_of("phone", BOB) == ZONE


async def test_too_many_requests_are_believed_at_once_with_the_wait_that_they_name(space: Space) -> None:
    clock = Clock()
    space.behaviour = answering(429, Retry_After="30")
    async with SegmentProfiles(space.settings(), clock=clock) as client:
        assert (await unavailable(client)).retry_after_s == 30.0
        space.behaviour = None
        clock.now += 29.9
        await unavailable(client, BOB)
        clock.now += 0.2
        assert await client.traits_of("phone", BOB) == ZONE
    assert space.asked.total() == 2


async def test_an_answer_from_before_the_trouble_does_not_end_the_wait(space: Space) -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def when_told(request: web.Request) -> web.StreamResponse:
        asked.set()
        await may_answer.wait()
        return await space._answer(request)

    space.behaviours = {f"phone:{ANN}": answering(429), f"phone:{BOB}": when_told}
    async with SegmentProfiles(space.settings(timeout_s=20), clock=Clock()) as client:
        slow = asyncio.create_task(client.traits_of("phone", BOB))
        await asked.wait()
        await unavailable(client, ANN)
        may_answer.set()
        assert await slow == ZONE
        assert "left alone" in str(await unavailable(client, "+14155550199"))


async def test_the_budget_is_kept_and_who_would_wait_too_long_is_told_at_once(space: Space) -> None:
    loop = asyncio.get_running_loop()
    async with SegmentProfiles(space.settings(requests_per_s=20, timeout_s=2.0), clock=Clock()) as client:
        began = loop.time()
        people = [f"+1415555{number:04}" for number in range(40)]
        found = await asyncio.gather(*(client.traits_of("phone", phone) for phone in people), return_exceptions=True)
        took = loop.time() - began
    refused = [each for each in found if isinstance(each, ProfilesUnavailable)]
    # A quarter of two seconds at 20/s: ten places and the first.
    assert len(refused) == 29
    assert "budget" in str(refused[0])
    assert took >= 0.5
    assert space.asked.total() == 11


async def test_what_is_urgent_gets_a_place_behind_a_flood(space: Space) -> None:
    async with SegmentProfiles(space.settings(requests_per_s=20, timeout_s=2.0), clock=Clock()) as client:
        people = [f"+1415555{number:04}" for number in range(40)]
        flood = asyncio.gather(*(client.traits_of("phone", phone) for phone in people), return_exceptions=True)
        await asyncio.sleep(0)
        assert "budget" in str(await unavailable(client, BOB))
        assert await client.traits_of("phone", ANN, urgent=True) is not None
        await flood


async def test_nothing_about_a_person_and_no_token_reaches_logs_or_errors(
    space: Space, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    with structlog.testing.capture_logs() as logged:
        for behaviour in (cut, hang, answering(401), answering(500, b"Ann at +14155550123"), None):
            space.behaviour = behaviour
            async with SegmentProfiles(space.settings(timeout_s=0.2)) as client:
                for number in range(6):
                    try:
                        await client.traits_of("phone", f"+1415555012{number}")
                    except ProfilesUnavailable as error:
                        texts += [str(error), repr(error.__cause__), repr(error.__context__)]
    everything = "\n".join([*texts, str(logged), caplog.text, repr(space.settings())])
    assert "left alone" in everything
    for secret in ("4155550", "Ann", "Chicago", TOKEN, "Basic"):
        assert secret not in everything


async def test_a_client_that_was_stopped_asks_nobody(space: Space) -> None:
    client = SegmentProfiles(space.settings())
    with pytest.raises(RuntimeError, match="start"):
        await client.traits_of("phone", ANN)
