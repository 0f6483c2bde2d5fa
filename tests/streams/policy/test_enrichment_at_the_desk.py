"""Customer data at the desk: what a message does while Segment is away, and when it is back."""

from __future__ import annotations

from connectors.profiles.segment import SegmentProfiles
from schemas.reasons import Reason
from schemas.records import Deferral, Dispatch
from streams.policy.config import EnrichmentMode
from streams.policy.enrichment import Enrichment, Identifier, Source
from streams.policy.profile_sources import TraitNames
from streams.policy.switchboard import Switched
from tests.connectors.profiles.space import Space, answering
from tests.streams.policy.installation import MOBILE, pause, request
from tests.streams.policy.test_desk import Counter, Event, asked
from tests.streams.policy.test_enrichment import enriched

NAMES = TraitNames(time_zone="timezone")


def counter_with(client: SegmentProfiles, mode: EnrichmentMode) -> Counter:
    counter = Counter(configured=enriched(mode))
    counter.look_up = Enrichment(
        counter.configured,
        client,
        identifiers=(Identifier(Source.RECIPIENT, "phone"),),
        names=NAMES,
        now_ms=lambda: counter.now,
    ).profile_of
    counter.__post_init__()
    return counter


async def test_required_waits_on_the_wheel_until_segment_is_back() -> None:
    async with (
        Space({f"phone:{MOBILE}": {"timezone": "Europe/Zurich"}}) as space,
        SegmentProfiles(space.settings(traits=NAMES.wanted)) as client,
    ):
        space.behaviour = answering(503)
        counter, event = counter_with(client, EnrichmentMode.REQUIRED), asked(request())
        await counter.serve(event)
        deferral = next(record for _, record in counter.written if isinstance(record, Deferral))
        assert (deferral.reason, deferral.round) == (Reason.PROFILE_UNAVAILABLE, 1)
        assert event.acked
        space.behaviour = None
        counter.now = deferral.due_at
        back: Event = asked(deferral, topic="comms.deferred.1s", key=MOBILE.encode())
        await counter.serve(back)
        order = next(record for _, record in counter.written if isinstance(record, Dispatch))
        assert (order.message_id, order.round, order.recipient) == (deferral.message_id, 1, MOBILE)
        assert back.acked


async def test_optional_is_admitted_without_an_answer() -> None:
    async with Space() as space, SegmentProfiles(space.settings(traits=NAMES.wanted)) as client:
        space.behaviour = answering(503)
        counter = counter_with(client, EnrichmentMode.OPTIONAL)
        await counter.serve(asked(request()))
        assert any(isinstance(record, Dispatch) for _, record in counter.written)


async def test_nobody_is_asked_about_the_people_of_a_paused_app() -> None:
    async with Space() as space, SegmentProfiles(space.settings(traits=NAMES.wanted)) as client:
        counter = counter_with(client, EnrichmentMode.REQUIRED)
        counter.switched = Switched(paused_apps={"login": pause("login")})
        await counter.serve(asked(request()))
        [deferral] = (record for _, record in counter.written if isinstance(record, Deferral))
        assert deferral.reason == Reason.APP_PAUSED
        assert not space.asked
