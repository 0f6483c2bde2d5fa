"""What policy learns of a person, with Segment's API on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from connectors.profiles.segment import SegmentProfiles
from schemas.records import MessageRequest
from streams.policy.config import EnrichmentMode, PolicyConfig
from streams.policy.enrichment import Enrichment, EnrichmentUnavailable, Identifier, Source
from streams.policy.profile import Profile
from streams.policy.profile_sources import TraitNames
from tests.connectors.profiles.space import Space, answering, hang
from tests.streams.policy.installation import AMERICAN, MOBILE, NOW, config, entry, request

NAMES = TraitNames(time_zone="timezone", variables={"name": "first_name"})
PHONE, USER = Identifier(Source.RECIPIENT, "phone"), Identifier(Source.RECIPIENT_ID, "user_id")
ZURICH = Profile(time_zone="Europe/Zurich", variables={"name": "Ann"})


@pytest.fixture
async def space() -> AsyncIterator[Space]:
    traits = {"timezone": "Europe/Zurich", "first_name": "Ann"}
    async with Space({f"phone:{MOBILE}": traits, "user_id:u1": {"timezone": "America/Denver"}}) as one:
        yield one


@pytest.fixture
async def client(space: Space) -> AsyncIterator[SegmentProfiles]:
    async with SegmentProfiles(space.settings(traits=NAMES.wanted, timeout_s=0.5)) as one:
        yield one


def enriched(mode: EnrichmentMode, **changes: Any) -> PolicyConfig:
    plain = config()
    return replace(
        plain, categories={name: replace(each, enrichment=mode, **changes) for name, each in plain.categories.items()}
    )


def enrichment(
    client: SegmentProfiles, mode: EnrichmentMode, *identifiers: Identifier, configured: PolicyConfig | None = None
) -> Enrichment:
    return Enrichment(
        configured or enriched(mode), client, identifiers=identifiers or (PHONE,), names=NAMES, now_ms=lambda: NOW
    )


@pytest.mark.parametrize("mode", [EnrichmentMode.REQUIRED, EnrichmentMode.OPTIONAL])
async def test_a_person_is_known_by_their_number(client: SegmentProfiles, mode: EnrichmentMode) -> None:
    assert await enrichment(client, mode).profile_of(request(), entry()) == ZURICH


@pytest.mark.parametrize("mode", [EnrichmentMode.REQUIRED, EnrichmentMode.OPTIONAL])
async def test_that_nobody_knows_the_person_is_an_answer(client: SegmentProfiles, mode: EnrichmentMode) -> None:
    assert await enrichment(client, mode).profile_of(request(recipient=AMERICAN), entry()) is None


@pytest.mark.parametrize(
    ("identifiers", "asked", "zone"),
    [
        ((PHONE, USER), {"recipient_id": "u1"}, "Europe/Zurich"),
        ((USER, PHONE), {"recipient_id": "u1"}, "America/Denver"),
        ((USER, PHONE), {"recipient_id": "u2"}, "Europe/Zurich"),
        ((USER, PHONE), {}, "Europe/Zurich"),
        ((PHONE,), {"recipient_id": "u1"}, "Europe/Zurich"),
    ],
)
async def test_ids_are_tried_in_their_order(
    client: SegmentProfiles, identifiers: tuple[Identifier, ...], asked: dict[str, Any], zone: str
) -> None:
    profile = await enrichment(client, EnrichmentMode.OPTIONAL, *identifiers).profile_of(request(**asked), entry())
    assert profile is not None
    assert profile.time_zone == zone


@pytest.mark.parametrize(
    ("mode", "who", "changes"),
    [
        (EnrichmentMode.NONE, "login", {}),
        (EnrichmentMode.REQUIRED, "nobody", {}),
        (EnrichmentMode.REQUIRED, "off", {}),
        (EnrichmentMode.REQUIRED, "login", {"category": "marketing"}),
        (EnrichmentMode.REQUIRED, "login", {"category": "unheard-of"}),
    ],
)
async def test_nobody_is_asked_about_what_needs_no_answer(
    client: SegmentProfiles, space: Space, mode: EnrichmentMode, who: str, changes: dict[str, Any]
) -> None:
    assert await enrichment(client, mode).profile_of(request(**changes), entry(app=who)) is None
    assert space.asked.total() == 0


async def test_optional_goes_on_without_an_answer(client: SegmentProfiles, space: Space) -> None:
    space.behaviour = answering(503)
    assert await enrichment(client, EnrichmentMode.OPTIONAL).profile_of(request(), entry()) is None


async def waits_ms(asks: Enrichment, message: MessageRequest, **changes: Any) -> int:
    with pytest.raises(EnrichmentUnavailable) as caught:
        await asks.profile_of(message, entry(**changes))
    return caught.value.retry_at - NOW


async def test_required_waits_longer_with_each_round_and_each_message_by_itself(
    client: SegmentProfiles, space: Space
) -> None:
    space.behaviour = answering(503)
    asks = enrichment(client, EnrichmentMode.REQUIRED)
    for round_, shortest in ((0, 5_000), (1, 10_000), (4, 80_000), (7, 600_000), (5_000, 600_000)):
        waits = {await waits_ms(asks, request(), message_id=f"m-{number}", round=round_) for number in range(8)}
        assert all(shortest <= wait < 1.5 * shortest for wait in waits), round_
        assert len(waits) > 4, "they would come back together"


async def test_required_waits_at_least_as_long_as_customer_data_rests(client: SegmentProfiles, space: Space) -> None:
    space.behaviour = answering(429, Retry_After="120")
    assert await waits_ms(enrichment(client, EnrichmentMode.REQUIRED), request()) == 120_000


async def test_a_person_whose_lookup_hangs_delays_nobody_else(space: Space) -> None:
    space.behaviours = {f"phone:{AMERICAN}": hang}
    async with SegmentProfiles(space.settings(traits=NAMES.wanted, timeout_s=60)) as client:
        asks = enrichment(client, EnrichmentMode.REQUIRED)
        hanging = asyncio.create_task(asks.profile_of(request(recipient=AMERICAN), entry()))
        async with asyncio.timeout(10):
            assert await asks.profile_of(request(), entry()) == ZURICH
        assert not hanging.done()
        hanging.cancel()


async def test_a_code_gets_its_answer_while_a_campaign_uses_up_the_budget(space: Space) -> None:
    """Ten places a second: a campaign may take those of half a second ahead, what is critical those of a whole one."""
    async with SegmentProfiles(
        space.settings(traits=NAMES.wanted, requests_per_s=10, timeout_s=2), clock=lambda: 0.0
    ) as client:
        asks = enrichment(client, EnrichmentMode.OPTIONAL)
        campaign = [
            asyncio.create_task(
                asks.profile_of(request(recipient=f"+4179123{n:04}", category="marketing"), entry(app="shop"))
            )
            for n in range(20)
        ]
        await asyncio.sleep(0)
        assert await asks.profile_of(request(), entry()) == ZURICH
        await asyncio.gather(*campaign)
        assert space.asked.total() == 7
