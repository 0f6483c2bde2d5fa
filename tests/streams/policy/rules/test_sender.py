from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from schemas.reasons import Reason
from schemas.records import Channel, Content
from streams.policy.case import Case
from streams.policy.config import PolicyConfig, Sender
from streams.policy.rules import sender as rule
from streams.policy.senders import choose
from streams.policy.verdict import ALLOW, Deny
from tests.streams.policy.installation import AMERICAN, MOBILE, case, config, sender, shop_case


def chosen(asked: Case) -> str:
    choice = choose(asked)
    assert isinstance(choice, Sender), choice
    return choice.name


def refused(asked: Case) -> tuple[Reason, str | None]:
    choice = choose(asked)
    assert isinstance(choice, Deny), choice
    assert rule.check(asked) == choice
    return choice.reason, choice.field


def test_only_senders_of_the_country_are_taken() -> None:
    assert chosen(case(recipient=MOBILE)) == "long"


def test_only_senders_of_the_channel_are_taken() -> None:
    assert chosen(shop_case(channel=Channel.WHATSAPP, content=Content(content_sid="HX" + "0" * 32))) == "wa"
    assert chosen(shop_case(channel=Channel.MMS, content=Content(media_urls=["https://x/y"]))) == "promo-a"


def test_a_sender_that_the_app_names_is_taken() -> None:
    assert chosen(shop_case(sender="promo-a")) == "promo-a"
    assert chosen(shop_case(sender="promo-b")) == "promo-b"
    assert rule.check(shop_case(sender="promo-b")) is ALLOW


def test_a_pool_that_the_app_names_leaves_its_other_senders_out() -> None:
    assert chosen(shop_case(pool="campaigns")) in {"promo-a", "promo-b"}
    assert refused(shop_case(pool="campaigns", channel=Channel.WHATSAPP)) == (Reason.NO_SENDER, "channel")


@pytest.mark.parametrize(
    ("hint", "reason", "field"),
    [
        ({"sender": "nobody"}, Reason.UNKNOWN_SENDER, "sender"),
        ({"pool": "nothing"}, Reason.UNKNOWN_SENDER, "pool"),
        ({"sender": "short"}, Reason.SENDER_NOT_GRANTED, "sender"),
        ({"pool": "codes"}, Reason.SENDER_NOT_GRANTED, "pool"),
        ({"pool": "campaigns", "sender": "wa"}, Reason.SENDER_NOT_GRANTED, "sender"),
        ({"sender": "wa"}, Reason.NO_SENDER, "sender"),
    ],
    ids=str,
)
def test_hints_that_cannot_be_followed_are_denied(hint: dict[str, Any], reason: Reason, field: str) -> None:
    assert refused(shop_case(**hint)) == (reason, field)


def test_an_app_without_senders_is_told_so() -> None:
    bare = config(pools={"codes": (), "campaigns": ()})
    assert refused(case(configured=bare)) == (Reason.NO_SENDER, "channel")


def test_a_person_keeps_their_sender() -> None:
    assert len({chosen(case(recipient=AMERICAN)) for _ in range(20)}) == 1


def people(count: int) -> list[str]:
    return [f"+4179{number:07d}" for number in range(count)]


def fleet(**rates: float) -> PolicyConfig:
    senders = {name: sender(name, number, rate=rate) for number, (name, rate) in enumerate(rates.items())}
    return config(
        senders={**config().senders, **senders},
        pools={"codes": tuple(rates), "campaigns": ("promo-a",)},
    )


def test_senders_get_people_in_proportion_to_their_rate() -> None:
    configured = fleet(one=10.0, two=20.0, five=50.0)
    shares = Counter(chosen(case(recipient=person, configured=configured)) for person in people(8000))
    assert shares["one"] == pytest.approx(1000, rel=0.12)
    assert shares["two"] == pytest.approx(2000, rel=0.12)
    assert shares["five"] == pytest.approx(5000, rel=0.12)


def test_a_sender_that_leaves_moves_only_its_own_people() -> None:
    before, after = fleet(a=10.0, b=10.0, c=10.0), fleet(a=10.0, b=10.0)
    for person in people(500):
        had = chosen(case(recipient=person, configured=before))
        if had != "c":
            assert chosen(case(recipient=person, configured=after)) == had
