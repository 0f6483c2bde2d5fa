"""What changes of consent do to what policy remembers of a person, and to the messages that come after them."""

from __future__ import annotations

from schemas.reasons import Reason
from schemas.records import ConsentChange
from schemas.topics import CONSENT
from tests.streams.policy.installation import NOW, request
from tests.streams.policy.test_desk import Counter, asked
from tests.streams.policy.test_rounds_at_the_desk import consent, orders, told


async def test_a_start_that_was_held_up_does_not_lift_a_newer_stop() -> None:
    counter = Counter()
    await counter.serve(asked(consent(ConsentChange.OPT_OUT), topic=CONSENT, offset=7))
    await counter.serve(asked(consent(ConsentChange.OPT_IN, at=NOW - 5_000), topic=CONSENT, offset=9))
    await counter.serve(asked(request(), offset=43))
    assert told(counter)[-1].reason == Reason.OPTED_OUT


async def test_a_stop_from_the_future_counts_as_of_its_writing_and_is_lifted_by_a_start() -> None:
    counter = Counter()
    await counter.serve(asked(consent(ConsentChange.OPT_OUT, at=NOW * 1000), topic=CONSENT, offset=7))
    await counter.serve(asked(request(), offset=43))
    assert told(counter)[-1].reason == Reason.OPTED_OUT
    await counter.serve(asked(consent(ConsentChange.OPT_IN), topic=CONSENT, offset=9))
    await counter.serve(asked(request(), offset=44))
    assert len(orders(counter)) == 1
