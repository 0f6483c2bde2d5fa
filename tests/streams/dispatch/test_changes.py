"""What changed since the decision, right before a POST."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from commlayer.config.rules import MessageIntent
from connectors.kafka.tail import NotNow
from schemas.codec import SingleObjectCodec
from schemas.errors import RegistryUnavailable, SchemaNotLoaded
from schemas.reasons import Reason
from schemas.records import Cancellation, Consent, ConsentChange, ConsentScope, ConsentSource, Dispatch, Record
from schemas.topics import CANCELLATIONS, CONSENT
from streams.dispatch.changes import CLOCKS_APART_MS, KEPT_MS, Changes
from streams.dispatch.jobs import Job
from streams.dispatch.look import Refusal, last_look

from .simulation import order

PERSON = "+14155550123"
CODEC = SingleObjectCodec()


class Stored(NamedTuple):
    of: str
    at: int
    data: bytes
    in_partition: int = 0
    named: bytes = PERSON.encode()
    written_at: int = 1_000_000

    def topic(self) -> str:
        return self.of

    def partition(self) -> int:
        return self.in_partition

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 1, self.written_at

    def key(self) -> bytes:
        return self.named

    def value(self) -> bytes:
        return self.data


class World:
    def __init__(self, **settings: Any) -> None:
        self.now_ms = 1_000_000
        self.age_s = 0.0
        self.changes = Changes(CODEC, now_ms=lambda: self.now_ms, age_s=lambda: self.age_s, **settings)

    def put(self, record: Record, at: int, partition: int = 0) -> None:
        topic = CONSENT if isinstance(record, Consent) else CANCELLATIONS
        self.changes.take(Stored(topic, at, CODEC.encode(record), partition))

    def refusal(self, order: Dispatch) -> Refusal | Reason | None:
        return last_look(Job(order), self.now_ms, self.changes)


def change(kind: ConsentChange = ConsentChange.OPT_OUT, **changes: Any) -> Consent:
    fields: dict[str, Any] = {
        "consent_id": "c",
        "recipient": PERSON,
        "change": kind,
        "scope": ConsentScope.ALL,
        "source": ConsentSource.KEYWORD,
        "at": 1,
    }
    return Consent(**{**fields, **changes})


def message(**changes: Any) -> Dispatch:
    made = order(recipient=PERSON, deadline=2**60)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


DECIDED = {"consent_partition": 0, "consent_position": 5}


def test_a_stop_at_or_beyond_the_decisions_position_refuses() -> None:
    world = World()
    world.put(change(), 4)
    assert world.refusal(message(**DECIDED)) is None
    world.put(change(), 5)
    assert world.refusal(message(**DECIDED)) is Reason.OPTED_OUT


def test_a_stop_long_after_the_decision_refuses_at_any_position_for_its_topic_may_have_been_made_anew() -> None:
    world, order = World(), message(**DECIDED)
    late = order.decided_at + CLOCKS_APART_MS
    stored = Stored(CONSENT, 0, CODEC.encode(change()), written_at=late - 1)
    world.changes.take(stored)
    assert world.refusal(order) is None
    world.changes.take(stored._replace(written_at=late))
    assert world.refusal(order) is Reason.OPTED_OUT


def test_without_position_every_change_held_counts_and_so_does_one_in_another_partition() -> None:
    world = World()
    world.put(change(), 0)
    assert world.refusal(message()) is Reason.OPTED_OUT
    assert world.refusal(message(consent_partition=1, consent_position=5)) is Reason.OPTED_OUT


def test_a_start_after_the_stop_lets_it_go() -> None:
    world = World()
    world.put(change(), 5)
    world.put(change(ConsentChange.OPT_IN), 6)
    assert world.refusal(message(**DECIDED)) is None


def test_a_start_that_was_held_up_lifts_no_newer_stop() -> None:
    world = World()
    world.put(change(at=9_000), 5)
    world.put(change(ConsentChange.OPT_IN, at=5_000), 6)
    assert world.refusal(message(**DECIDED)) is Reason.OPTED_OUT


def test_a_stop_from_the_future_happened_when_it_was_written() -> None:
    world = World()
    world.put(change(at=2**50), 5)
    world.put(change(ConsentChange.OPT_IN, at=world.now_ms), 6)
    assert world.refusal(message(**DECIDED)) is None


def test_only_what_the_change_covers_is_refused() -> None:
    world = World(brands={"branded": "acme"})
    world.put(change(scope=ConsentScope.BRAND, scope_value="acme"), 5)
    world.put(change(scope=ConsentScope.SENDER, scope_value="+15005559999"), 6)
    assert world.refusal(message(lane="branded")) is Reason.OPTED_OUT
    assert world.refusal(message(sender="+15005559999")) is Reason.OPTED_OUT
    assert world.refusal(message(lane="other", sender="+15005550001")) is None
    assert world.refusal(message(lane="branded", recipient="+14155550124")) is None


@pytest.mark.parametrize(
    ("scope", "value"),
    [(ConsentScope.SENDER, "+15005559999"), (ConsentScope.MESSAGING_SERVICE, "MG1"), (ConsentScope.BRAND, "acme")],
)
def test_a_stop_to_another_sender_asks_policy_once_whether_it_concerns_the_message(
    scope: ConsentScope, value: str
) -> None:
    world = World(by_law=frozenset({"recall"}))
    world.put(change(scope=scope, scope_value=value), 5)
    assert world.refusal(message(**DECIDED)) is Reason.CONSENT_CHANGED
    assert world.refusal(message(**DECIDED, message_intent="otp")) is Reason.CONSENT_CHANGED
    assert world.refusal(message(**DECIDED, category="recall")) is None
    assert world.refusal(message(consent_partition=0, consent_position=6)) is None, "policy knows it, and has decided"
    world.put(change(ConsentChange.OPT_IN, scope=scope, scope_value=value, at=2), 6)
    assert world.refusal(message(**DECIDED)) is None


def test_a_stop_to_another_sender_in_a_strange_partition_asks_when_policy_has_put_it_right_and_not_for_ever() -> None:
    world, stopped = World(), change(scope=ConsentScope.SENDER, scope_value="+15005559999")
    world.put(stopped, 9, partition=3)
    assert world.refusal(message(**DECIDED)) is None
    world.put(stopped, 5)
    assert world.refusal(message(**DECIDED)) is Reason.CONSENT_CHANGED
    assert world.refusal(message(consent_partition=0, consent_position=6)) is None


def test_a_stop_to_another_channel_or_category_asks_nobody() -> None:
    world = World()
    world.put(change(scope=ConsentScope.CATEGORY, scope_value="other"), 5)
    world.put(change(scope=ConsentScope.CHANNEL, scope_value="whatsapp"), 6)
    assert world.refusal(message(**DECIDED)) is None


def test_what_the_law_requires_is_stopped_by_a_suppression_only() -> None:
    world = World(by_law=frozenset({"recall"}))
    world.put(change(), 5)
    assert world.refusal(message(category="recall")) is None
    world.put(change(ConsentChange.SUPPRESS), 6)
    assert world.refusal(message(category="recall")) is Reason.SUPPRESSED


def test_what_cannot_be_read_stops_everything_to_the_person_in_its_key_until_an_operator_repairs_it() -> None:
    world = World()
    world.changes.take(Stored(CONSENT, 5, b"no avro"))
    assert world.refusal(message(**DECIDED)) is Reason.OPTED_OUT
    assert world.refusal(message(recipient="+14155550124")) is None
    world.put(change(ConsentChange.OPT_IN), 6)
    assert world.refusal(message(**DECIDED)) is Reason.OPTED_OUT
    world.put(change(ConsentChange.OPT_IN, source=ConsentSource.OPERATOR, at=2), 7)
    assert world.refusal(message(**DECIDED)) is None


@pytest.mark.parametrize(
    "fields", [{"recipient": "whatsapp:" + PERSON}, {"scope": ConsentScope.SENDER}, {"scope": ConsentScope.CATEGORY}]
)
def test_a_no_that_does_not_tell_whose_or_of_what_stops_everything_and_a_yes_nothing(fields: dict[str, Any]) -> None:
    world = World()
    world.put(change(**fields), 5)
    world.put(change(ConsentChange.OPT_IN, **fields), 6)
    assert world.refusal(message(**DECIDED)) is Reason.OPTED_OUT
    assert world.changes.held == 1


def test_a_cancellation_stops_its_message_if_it_is_the_same_apps() -> None:
    world = World()
    mine, others = message(), message()
    for each, app in ((mine, mine.app), (others, "somebody-else")):
        world.put(Cancellation(recipient=PERSON, message_id=each.message_id, app=app, requested_at=1), 0)
    assert world.refusal(mine) is Reason.CANCELED
    assert world.refusal(others) is None


def test_a_damaged_cancellation_stops_nothing() -> None:
    world = World()
    world.changes.take(Stored(CANCELLATIONS, 0, b"no avro"))
    assert world.refusal(message()) is None


def test_while_nothing_is_known_of_the_last_second_only_otp_and_security_go() -> None:
    world = World()
    world.age_s = 0.99
    assert world.refusal(message(message_intent="marketing")) is None
    for world.age_s in (1.0, float("inf"), float("nan")):
        assert world.refusal(message(message_intent="marketing")) is Refusal.UNSEEN
        assert world.refusal(message()) is Refusal.UNSEEN
        gone = {each for each in MessageIntent if world.refusal(message(message_intent=each.value)) is None}
        assert gone == {MessageIntent.OTP, MessageIntent.SECURITY}


def test_what_is_known_stops_codes_too() -> None:
    world = World()
    world.put(change(), 5)
    assert world.refusal(message(message_intent="otp")) is Reason.OPTED_OUT


def test_changes_are_forgotten_when_no_message_is_that_old() -> None:
    world = World()
    world.put(change(), 5)
    world.put(change(ConsentChange.OPT_IN), 6)
    world.now_ms += KEPT_MS
    assert world.changes.held == 2
    world.now_ms += 1
    world.put(change(recipient="+14155550124"), 7)
    assert world.changes.held == 1
    assert world.refusal(message()) is None


def test_a_yes_to_somebody_who_said_no_no_is_not_held() -> None:
    world = World()
    for at, kind in enumerate((ConsentChange.OPT_IN, ConsentChange.UNSUPPRESS, ConsentChange.OPT_IN)):
        world.put(change(kind), at)
    assert world.changes.held == 0
    world.put(change(), 5)
    world.put(change(ConsentChange.OPT_IN, recipient="+14155550124"), 6)
    assert world.changes.held == 1
    assert world.refusal(message(**DECIDED)) is Reason.OPTED_OUT
    world.put(change(ConsentChange.OPT_IN), 7)
    assert world.changes.held == 2
    assert world.refusal(message(**DECIDED)) is None


def test_while_the_registry_is_away_a_change_of_unknown_schema_waits() -> None:
    class Away:
        def decode(self, data: bytes) -> Record:
            raise SchemaNotLoaded(7)

        def load(self, schema_id: int) -> None:
            raise RegistryUnavailable("away")

        def encode(self, record: Record) -> bytes:
            raise AssertionError

    changes = Changes(Away(), now_ms=lambda: 0, age_s=lambda: 0.0)
    with pytest.raises(NotNow):
        changes.take(Stored(CONSENT, 5, b""))
    assert changes.against(message(), 0) is None
