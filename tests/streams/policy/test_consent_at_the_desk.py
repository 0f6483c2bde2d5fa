"""What changes of consent do to what policy remembers of a person, and to the messages that come after them."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.kafka.partitioning import partition_of
from schemas.reasons import Reason
from schemas.records import ConsentChange, ConsentScope, CustomerProfile, DeadLetter
from schemas.topics import CONSENT, PROFILES
from tests.streams.policy.installation import MOBILE, NOW, request
from tests.streams.policy.test_desk import PARTITIONS, Counter, asked
from tests.streams.policy.test_rounds_at_the_desk import consent, orders, told

IN_PLACE: dict[str, Any] = {"key": MOBILE.encode(), "partition": partition_of(MOBILE.encode(), PARTITIONS)}
"""Where a record lies that was written under the person's number, whatever stands in it."""


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


MISWRITTEN = [
    ({"recipient": "whatsapp:" + MOBILE}, Reason.INVALID_RECIPIENT, "recipient"),
    ({"recipient": "+41 79 123 45 67"}, Reason.INVALID_RECIPIENT, "recipient"),
    ({"scope": ConsentScope.SENDER}, Reason.INVALID_FIELD, "scope_value"),
    ({"scope": ConsentScope.CATEGORY, "scope_value": ""}, Reason.INVALID_FIELD, "scope_value"),
]


@pytest.mark.parametrize(("fields", "reason", "field"), MISWRITTEN)
async def test_a_stop_that_does_not_tell_whose_or_of_what_is_kept_and_holds_for_everything(
    fields: dict[str, Any], reason: Reason, field: str
) -> None:
    counter = Counter()
    stop = asked(consent(ConsentChange.OPT_OUT, **fields), topic=CONSENT, **IN_PLACE)
    await counter.serve(stop)
    assert stop.acked
    [(topic, letter)] = counter.written
    assert topic == "comms.dead"
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.field) == (reason, field)
    assert MOBILE not in letter.detail
    await counter.serve(asked(request(), offset=43))
    assert told(counter)[-1].reason == Reason.OPTED_OUT


@pytest.mark.parametrize("fields", [fields for fields, _, _ in MISWRITTEN])
async def test_a_yes_that_does_not_tell_whose_or_to_what_is_kept_and_changes_nothing(fields: dict[str, Any]) -> None:
    counter = Counter()
    await counter.serve(asked(consent(ConsentChange.OPT_IN, **fields), topic=CONSENT, **IN_PLACE))
    assert [topic for topic, _ in counter.written] == ["comms.dead"]
    assert counter.state.puts == 0


async def test_a_stop_that_names_nobody_is_kept() -> None:
    counter = Counter()
    stop = asked(consent(ConsentChange.OPT_OUT, recipient="me"), topic=CONSENT, key=b"me")
    await counter.serve(stop)
    assert stop.acked
    assert [topic for topic, _ in counter.written] == ["comms.dead"]


async def test_customer_data_of_no_number_is_kept() -> None:
    counter = Counter()
    profile = asked(CustomerProfile(recipient="whatsapp:" + MOBILE, updated_at=NOW), topic=PROFILES)
    await counter.serve(profile)
    assert profile.acked
    [(topic, letter)] = counter.written
    assert topic == "comms.dead"
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.field) == (Reason.INVALID_RECIPIENT, "recipient")
