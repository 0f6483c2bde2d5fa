"""Which listed messages are the ones whose answer was lost."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from connectors.twilio.answers import SentMessage
from schemas.records import Channel, Dispatch
from streams.dispatch.matching import CLOCKS_APART_MS, OpenAttempt, match

from .simulation import order
from .world import sent_message, sid

AT = 1_000_000


def _open(order_: Dispatch, at: int = AT) -> OpenAttempt:
    return OpenAttempt(order_.message_id, order_, at)


def _sids(pairs: list[tuple[OpenAttempt, SentMessage]]) -> list[tuple[str, str]]:
    return [(attempt.owner, message.sid) for attempt, message in pairs]


def test_a_message_with_the_same_text_and_sender_is_the_one() -> None:
    mine = order(message_id="a")
    assert _sids(match([_open(mine)], [sent_message(mine, 1, at_ms=AT + 50)], set())) == [("a", sid(1))]


def test_another_text_sender_direction_or_time_is_not() -> None:
    mine = order(body="mine")
    listed = sent_message(mine, 1, at_ms=AT)
    for other in (
        replace(listed, body="yours"),
        replace(listed, sender="+19999999999"),
        replace(listed, direction="inbound"),
        replace(listed, date_created_ms=AT - CLOCKS_APART_MS - 1),
        replace(listed, num_media=1),
    ):
        assert match([_open(mine)], [other], set()) == []
    assert match([_open(mine)], [listed], {sid(1)}) == [], "claimed by another attempt"


def test_two_equal_texts_of_which_one_arrived_are_one_found_and_one_missing() -> None:
    first, second = order(message_id="a"), order(message_id="b")
    pairs = match([_open(second, AT + 5), _open(first, AT)], [sent_message(first, 1, at_ms=AT)], set())
    assert _sids(pairs) == [("a", sid(1))]


def test_two_equal_texts_that_both_arrived_are_both_found() -> None:
    first, second = order(message_id="a"), order(message_id="b")
    listed = [sent_message(first, 2, at_ms=AT + 9), sent_message(first, 1, at_ms=AT + 1)]
    assert _sids(match([_open(first), _open(second)], listed, set())) == [("a", sid(1)), ("b", sid(2))]


def test_a_template_takes_what_no_exact_text_claims() -> None:
    template, plain = order(message_id="t"), order(message_id="p", body="plain")
    template.content_sid, template.body = "HX" + "0" * 32, None
    listed = [
        replace(sent_message(plain, 1, at_ms=AT), body="plain"),
        replace(sent_message(plain, 2, at_ms=AT), body="Dear Ann"),
    ]
    assert sorted(_sids(match([_open(template), _open(plain)], listed, set()))) == [("p", sid(1)), ("t", sid(2))]


def test_a_whatsapp_message_is_known_by_its_prefixed_sender() -> None:
    mine = order()
    mine.channel = Channel.WHATSAPP
    listed = sent_message(mine, 1, at_ms=AT)
    assert match([_open(mine)], [listed], set()) == []
    assert match([_open(mine)], [replace(listed, sender=f"whatsapp:{mine.sender}")], set())


def test_a_messaging_service_is_known_by_its_own_sid_not_by_the_number_it_chose() -> None:
    mine = order()
    mine.messaging_service_sid, mine.sender = "MG" + "0" * 32, None
    listed = replace(sent_message(mine, 1, at_ms=AT), sender="+15550001111")
    assert match([_open(mine)], [listed], set())
    assert not match([_open(mine)], [replace(listed, messaging_service_sid=None)], set())


@given(
    texts=st.lists(st.sampled_from("xyz"), max_size=8),
    arrived=st.lists(st.sampled_from("xyzw"), max_size=8),
    claims=st.sets(st.integers(0, 7)),
)
def test_as_many_are_found_of_each_text_as_arrived_unclaimed(
    texts: list[str], arrived: list[str], claims: set[int]
) -> None:
    attempts = [_open(order(message_id=str(number), body=text)) for number, text in enumerate(texts)]
    listed = [sent_message(order(body=text), number, at_ms=AT) for number, text in enumerate(arrived)]
    pairs = match(attempts, listed, {sid(number) for number in claims})
    assert len({message.sid for _, message in pairs}) == len(pairs)
    assert len({attempt.owner for attempt, _ in pairs}) == len(pairs)
    for text in "xyz":
        unclaimed = sum(one == text and number not in claims for number, one in enumerate(arrived))
        assert sum(attempt.order.body == text for attempt, _ in pairs) == min(texts.count(text), unclaimed)
