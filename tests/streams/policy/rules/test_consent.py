from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas.reasons import Reason
from schemas.records import Channel, Consent, ConsentChange, ConsentScope, ConsentSource
from streams.consent import Ledger
from streams.policy.case import Case
from streams.policy.config import ConsentRule, PolicyConfig
from streams.policy.decide import decide
from streams.policy.facts import Facts
from streams.policy.rules import consent as rule
from streams.policy.senders import choose
from streams.policy.verdict import ALLOW, Admitted, Deferred, Denied, Deny
from tests.streams.policy.installation import HOUR, MOBILE, NOW, config, shop_case

SERVICE = "MG" + "1" * 32


def installation(consent: ConsentRule = ConsentRule.OPT_OUT, **changes: Any) -> PolicyConfig:
    plain = config()
    categories = dict(plain.categories, service=replace(plain.categories["service"], consent=consent))
    return replace(plain, categories=categories, **changes)


def record_of(change: ConsentChange, scope: ConsentScope, value: str | None) -> Consent:
    return Consent(
        consent_id="c",
        recipient=MOBILE,
        change=change,
        scope=scope,
        scope_value=value,
        source=ConsentSource.KEYWORD,
        at=1,
    )


def ledger(change: ConsentChange, scope: ConsentScope, value: str | None) -> Ledger:
    return Ledger().folded(record_of(change, scope, value), 0)


def reason(known: Ledger, configured: PolicyConfig | None = None, **request: Any) -> Reason | None:
    asked = shop_case(configured=configured or installation(), **request)
    asked.facts = Facts(ledger=known)
    verdict = rule.check(asked)
    if verdict is ALLOW:
        return None
    assert isinstance(verdict, Deny)
    assert MOBILE not in verdict.text()
    return verdict.reason


STOP_ALL = ledger(ConsentChange.OPT_OUT, ConsentScope.ALL, None)
YES_ALL = ledger(ConsentChange.OPT_IN, ConsentScope.ALL, None)
SUPPRESSED = ledger(ConsentChange.SUPPRESS, ConsentScope.ALL, None)


@pytest.mark.parametrize(
    ("needed", "known", "expected"),
    [
        (ConsentRule.OPT_OUT, Ledger(), None),
        (ConsentRule.OPT_OUT, STOP_ALL, Reason.OPTED_OUT),
        (ConsentRule.OPT_OUT, Ledger().with_unreadable(0), Reason.OPTED_OUT),
        (ConsentRule.OPT_OUT, SUPPRESSED, Reason.SUPPRESSED),
        (ConsentRule.OPT_IN, Ledger(), Reason.NO_OPT_IN),
        (ConsentRule.OPT_IN, YES_ALL, None),
        (ConsentRule.OPT_IN, STOP_ALL, Reason.OPTED_OUT),
        (ConsentRule.OPT_IN, SUPPRESSED, Reason.SUPPRESSED),
        (ConsentRule.REQUIRED_BY_LAW, STOP_ALL, None),
        (ConsentRule.REQUIRED_BY_LAW, SUPPRESSED, Reason.SUPPRESSED),
    ],
)
def test_each_kind_of_category_asks_for_what_it_needs(
    needed: ConsentRule, known: Ledger, expected: Reason | None
) -> None:
    assert reason(known, installation(needed)) == expected


ADDRESSES = {name: sender.address for name, sender in config().senders.items()}


def test_a_stop_to_one_sender_of_a_pool_is_not_evaded_by_another() -> None:
    assert choose(without("promo-a")) != choose(without("promo-b")), "either may be chosen"
    for name in ("promo-a", "promo-b"):
        stopped = ledger(ConsentChange.OPT_OUT, ConsentScope.SENDER, ADDRESSES[name])
        assert reason(stopped) is Reason.OPTED_OUT
        for unhealthy in ("promo-a", "promo-b"):
            asked = without(unhealthy)
            asked.facts = replace(asked.facts, ledger=stopped)
            verdict = rule.check(asked)
            assert isinstance(verdict, Deny)
            assert verdict.reason is Reason.OPTED_OUT


def without(unhealthy: str) -> Case:
    asked = shop_case(configured=installation())
    asked.facts = Facts(unhealthy=frozenset({unhealthy}))
    return asked


def test_a_start_to_the_sender_that_was_stopped_opens_its_pool_again() -> None:
    stopped = ledger(ConsentChange.OPT_OUT, ConsentScope.SENDER, ADDRESSES["promo-a"])
    start = replace(record_of(ConsentChange.OPT_IN, ConsentScope.SENDER, ADDRESSES["promo-a"]), at=2)
    assert reason(stopped.folded(start, 1)) is None


def test_a_stop_to_a_sender_that_could_not_carry_the_message_does_not_concern_it() -> None:
    assert reason(ledger(ConsentChange.OPT_OUT, ConsentScope.SENDER, ADDRESSES["wa"])) is None
    other = ledger(ConsentChange.OPT_OUT, ConsentScope.SENDER, ADDRESSES["promo-b"])
    assert reason(other, sender="promo-a") is None, "the app named its sender"


def test_a_stop_to_a_messaging_service_concerns_what_it_sends() -> None:
    senders = dict(installation().senders)
    for name in ("promo-a", "promo-b"):
        senders[name] = replace(senders[name], address=None, messaging_service_sid=SERVICE, type=None)
    stopped = ledger(ConsentChange.OPT_OUT, ConsentScope.MESSAGING_SERVICE, SERVICE)
    assert reason(stopped, installation(senders=senders)) is Reason.OPTED_OUT
    assert reason(stopped) is None


def test_a_stop_to_a_brand_concerns_all_its_senders() -> None:
    branded = {name: replace(sender, brand="acme") for name, sender in installation().senders.items()}
    stopped = ledger(ConsentChange.OPT_OUT, ConsentScope.BRAND, "acme")
    assert reason(stopped, installation(senders=branded)) is Reason.OPTED_OUT
    assert reason(stopped) is None


def test_where_no_sender_can_be_chosen_the_wider_scopes_still_count() -> None:
    assert reason(STOP_ALL, channel=Channel.MMS, sender="wa") is Reason.OPTED_OUT
    assert reason(Ledger(), channel=Channel.MMS, sender="wa") is None


def leaves_before(known: Ledger, needed: ConsentRule) -> int | None:
    asked = shop_case(configured=installation(needed))
    decision = decide(asked.request, asked.entry, asked.config, NOW, Facts(ledger=known))
    assert isinstance(decision, Admitted), decision
    return decision.dispatch.allowed_until


def ending(change: ConsentChange, ends: int, at: int = 2) -> Consent:
    return replace(record_of(change, ConsentScope.ALL, None), at=at, expires_at=ends)


def test_an_admitted_message_leaves_before_the_opt_in_it_needs_ends() -> None:
    known = Ledger().folded(ending(ConsentChange.OPT_IN, NOW + HOUR), 0)
    assert leaves_before(known, ConsentRule.OPT_IN) == NOW + HOUR
    assert leaves_before(known, ConsentRule.OPT_OUT) is None
    of_category = record_of(ConsentChange.OPT_IN, ConsentScope.CATEGORY, "service")
    assert leaves_before(known.folded(of_category, 1), ConsentRule.OPT_IN) is None, "another one still holds then"
    late = Ledger().folded(ending(ConsentChange.OPT_IN, NOW + 48 * HOUR), 0)
    assert leaves_before(late, ConsentRule.OPT_IN) is None, "not before its deadline"


def test_an_admitted_message_leaves_before_what_lifted_a_no_ends() -> None:
    opted_out = STOP_ALL.folded(ending(ConsentChange.OPT_IN, NOW + HOUR), 1)
    suppressed = SUPPRESSED.folded(ending(ConsentChange.UNSUPPRESS, NOW + HOUR), 1)
    assert leaves_before(opted_out, ConsentRule.OPT_OUT) == NOW + HOUR
    assert leaves_before(suppressed, ConsentRule.REQUIRED_BY_LAW) == NOW + HOUR


@pytest.mark.parametrize(
    ("scope", "value", "moves"),
    [(ConsentScope.CHANNEL, "sms", True), (ConsentScope.ALL, None, False), (ConsentScope.CATEGORY, "service", False)],
)
def test_a_number_that_takes_no_texts_is_tried_on_the_next_channel_and_a_suppressed_person_on_none(
    scope: ConsentScope, value: str | None, moves: bool
) -> None:
    known = Facts(ledger=ledger(ConsentChange.SUPPRESS, scope, value))
    asked = shop_case(fallback_channels=[Channel.WHATSAPP])
    made = decide(asked.request, asked.entry, asked.config, NOW, known)
    if moves:
        assert isinstance(made, Deferred)
        assert made.defer.reason is Reason.SUPPRESSED
        assert made.deferral.request is not None
        assert made.deferral.request.channel is Channel.WHATSAPP
    else:
        assert isinstance(made, Denied)
        assert made.deny.reason is Reason.SUPPRESSED


def test_who_said_stop_on_one_channel_is_not_chased_over_another() -> None:
    known = Facts(ledger=ledger(ConsentChange.OPT_OUT, ConsentScope.CHANNEL, "sms"))
    asked = shop_case(fallback_channels=[Channel.WHATSAPP])
    assert isinstance(decide(asked.request, asked.entry, asked.config, NOW, known), Denied)
