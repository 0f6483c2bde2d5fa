from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from schemas import ids
from schemas.reasons import Reason
from schemas.records import (
    Channel,
    Consent,
    ConsentChange,
    ConsentScope,
    ConsentSource,
    Content,
    DoubtPolicy,
    Encoding,
    MessageClass,
    MessageRequest,
    MessageStatus,
    Stage,
)
from streams.consent import Ledger
from streams.policy.case import Entry, Origin, message_id_of
from streams.policy.config import Cap, PolicyConfig
from streams.policy.decide import decide, rule_version
from streams.policy.facts import NOTHING_KNOWN, Facts, Past
from streams.policy.quiet import law
from streams.policy.quotas import Turn
from streams.policy.rules import RULES, RULES_VERSION
from streams.policy.story import tell, tell_lost_request
from streams.policy.verdict import Admitted, Decision, Deferred, Denied
from tests.streams.policy.installation import AMERICAN, HOUR, MINUTE, MOBILE, NOW, config, entry, pause, request, sender


def decision(
    *,
    entry_of: dict[str, Any] | None = None,
    configured: PolicyConfig | None = None,
    facts: Facts = NOTHING_KNOWN,
    **changes: Any,
) -> Decision:
    return decide(request(**changes), entry(**(entry_of or {})), configured or config(), NOW, facts)


def admitted(**changes: Any) -> Admitted:
    made = decision(**changes)
    assert isinstance(made, Admitted), made
    return made


def test_an_admitted_message_carries_everything_that_dispatch_needs() -> None:
    made = admitted(
        recipient_id="c-1",
        campaign="autumn",
        tags={"a": "b"},
        correlation_id="r-9",
        locale="de-CH",
        fallback_channels=[Channel.WHATSAPP],
        entry_of={"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"},
    )
    order = made.dispatch
    assert made.partition == 1
    assert (order.account, order.lane, order.group, order.sender) == ("main", "long", "long", "+15005550001")
    assert (order.message_id, order.round, order.app, order.recipient) == ("m-1", 0, "login", MOBILE)
    assert (order.category, order.message_class) == ("otp", MessageClass.CRITICAL)
    assert (order.body, order.segments, order.encoding) == ("Your code is 123456", 1, Encoding.GSM7)
    assert (order.requested_at, order.decided_at, order.deadline) == (NOW - 20, NOW, NOW - 20 + 10 * MINUTE)
    assert (order.doubt_policy, order.message_intent, order.validity_period_s) == (DoubtPolicy.RESEND, "otp", 300)
    assert (order.recipient_id, order.campaign, order.tags) == ("c-1", "autumn", {"a": "b"})
    assert (order.correlation_id, order.locale, order.fallback_channels) == ("r-9", "de-CH", [Channel.WHATSAPP])
    assert order.rule_version == f"{RULES_VERSION}/test"
    assert order.traceparent is not None


@pytest.mark.parametrize(
    ("channel", "content", "cost", "encoding"),
    [
        (Channel.SMS, Content(body="a" * 161), 2, Encoding.GSM7),
        (Channel.SMS, Content(body="ж" * 71), 2, Encoding.UCS2),
        (Channel.MMS, Content(body="a" * 500, media_urls=["https://x/y"]), 1, Encoding.NONE),
        (Channel.WHATSAPP, Content(body="a" * 500), 1, Encoding.NONE),
        (Channel.SMS, Content(content_sid="HX" + "0" * 32), 1, Encoding.NONE),
    ],
    ids=["two GSM parts", "two UCS-2 parts", "MMS", "WhatsApp", "content template"],
)
def test_a_message_costs_its_segments_or_one(channel: Channel, content: Content, cost: int, encoding: Encoding) -> None:
    wrote = Facts(last_inbound={"whatsapp:+15005550004": NOW})
    made = admitted(entry_of={"app": "shop"}, category="service", channel=channel, content=content, facts=wrote)
    assert (made.dispatch.segments, made.dispatch.encoding) == (cost, encoding)


def test_segments_are_counted_as_the_sender_will_encode_them() -> None:
    curly = Content(body="“" + "a" * 80)
    assert admitted(content=curly).dispatch.segments == 2
    asked = admitted(content=curly, smart_encoding=True).dispatch
    assert (asked.segments, asked.smart_encoding) == (1, True)
    smart = config(senders={**config().senders, "long": sender("long", 1, smart_encoding=True)})
    by_sender = decide(request(content=curly), entry(), smart, NOW)
    assert isinstance(by_sender, Admitted)
    assert (by_sender.dispatch.segments, by_sender.dispatch.smart_encoding) == (1, True)


def test_what_the_request_says_outranks_the_category() -> None:
    base = config()
    linking = config(
        senders={name: replace(each, short_links=True) for name, each in base.senders.items()},
    )
    marketing = {"entry_of": {"app": "shop"}, "category": "marketing", "configured": linking}
    assert admitted(**marketing).dispatch.shorten_urls is True
    assert admitted(**marketing, shorten_urls=False).dispatch.shorten_urls is False
    assert admitted(validity_period_s=20).dispatch.validity_period_s == 20


def test_a_later_moment_becomes_a_deferral_that_brings_everything_back() -> None:
    asked = request(not_before=NOW + HOUR)
    made = decide(asked, entry(), config(), NOW)
    assert isinstance(made, Deferred)
    assert (made.deferral.round, made.deferral.due_at, made.deferral.reason) == (1, NOW + HOUR, Reason.NOT_BEFORE)
    assert made.deferral.request is asked
    assert made.deferral.deadline == NOW + HOUR + 10 * MINUTE

    back = Entry(
        message_id=made.deferral.message_id,
        app=made.deferral.app,
        origin=Origin.parse(made.deferral.origin or ""),
        round=made.deferral.round,
        deadline=made.deferral.deadline,
    )
    again = decide(asked, back, config(), NOW + HOUR)
    assert isinstance(again, Admitted)
    assert (again.dispatch.message_id, again.dispatch.round) == ("m-1", 1)
    assert again.dispatch.deadline == NOW + HOUR + 10 * MINUTE


def test_what_would_be_denied_later_is_denied_at_once() -> None:
    made = decision(not_before=NOW + HOUR, sender="nobody")
    assert isinstance(made, Denied)
    assert made.deny.reason is Reason.UNKNOWN_SENDER


def test_the_first_rule_that_does_not_allow_wins() -> None:
    """Everything is wrong at first; what each rule minds is mended in turn."""
    plain, cap = config(), Cap(name="few", categories=frozenset({"service"}), window_ms=HOUR, at_most=1)
    service = replace(plain.categories["service"], quiet_hours=True)
    noon = law.read({"countries": {"CH": {"open": [{"from": "12:00", "until": "13:00"}]}}, "us_states": {}})
    configured = replace(plain, categories={**plain.categories, "service": service}, caps=(cap,), quiet_hours=noon)
    known = Facts(
        earlier_digest=b"another content",
        cancelled=True,
        quota_day_over=True,
        paused_apps={"shop": pause("shop")},
        ledger=Ledger().with_unreadable(0),
        ask_again_at=NOW + MINUTE,
        past=(had("service", NOW - 1),),
        lane_turns={lane: Turn(wait_until=NOW + MINUTE) for lane in plain.senders},
    )
    asked = request(
        category="nope",
        idempotency_key="",
        deadline=1,
        recipient="x",
        channel=Channel.WHATSAPP,
        content=Content(variables={"1": "     "}),
        sender="nobody",
    )
    came = entry(app="stranger", urgent=True)

    def mend(rule: str, *, the: str, **changes: Any) -> None:
        nonlocal asked, came, known, configured
        made = decide(asked, came, configured, NOW, known)
        assert isinstance(made, Denied | Deferred), rule
        met.append(made.rule)
        assert made.rule == rule
        match the:
            case "request":
                asked = replace(asked, **changes)
            case "entry":
                came = replace(came, **changes)
            case "facts":
                known = replace(known, **changes)
            case "config":
                configured = replace(configured, **changes)

    met: list[str] = []
    mend("app", the="entry", app="shop")
    mend("category", the="request", category="service")
    mend("urgency", the="entry", urgent=False)
    mend("limits", the="request", idempotency_key="k")
    mend("idempotency", the="facts", earlier_digest=None)
    mend("cancelled", the="facts", cancelled=False)
    mend("deadline", the="request", deadline=None)
    mend("quota", the="facts", quota_day_over=False)
    mend("paused", the="facts", paused_apps={})
    mend("recipient", the="request", recipient="+33612345678")
    mend("country", the="request", recipient=MOBILE)
    mend("consent", the="facts", ledger=Ledger())
    mend("whatsapp", the="request", channel=Channel.SMS)
    mend("profile", the="facts", ask_again_at=None)
    mend("content", the="request", content=Content(body="hi"))
    mend("caps", the="facts", past=())
    mend("quiet_hours", the="config", quiet_hours=law.NO_QUIET_HOURS)
    mend("sender", the="request", sender=None)
    mend("lane_quota", the="facts", lane_turns={})
    asked = replace(asked, not_before=NOW + HOUR)  # earlier, the rules before would judge by that moment
    mend("schedule", the="request", not_before=None)
    assert isinstance(decide(asked, came, configured, NOW, known), Admitted)
    assert met == [rule.name for rule in RULES]


def had(category: str, at: int) -> Past:
    return Past(
        message_id="m-0",
        round=0,
        app="shop",
        category=category,
        channel=Channel.SMS,
        sender="long",
        admitted=True,
        at=at,
    )


def test_every_rule_has_its_own_name() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_the_same_key_names_the_same_message_and_without_a_key_the_origin_does() -> None:
    first, second = Origin("comms.requests.login", 0, 1), Origin("comms.requests.login", 0, 2)
    keyed = request(idempotency_key="k")
    assert message_id_of(keyed, "login", first) == message_id_of(keyed, "login", second)
    assert message_id_of(keyed, "login", first) == ids.message_id_by_key("login", MOBILE, "k")
    assert message_id_of(keyed, "shop", first) != message_id_of(keyed, "login", first)
    assert message_id_of(request(), "login", first) != message_id_of(request(), "login", second)


def test_an_origin_is_read_back_as_written() -> None:
    origin = Origin("comms.requests.login.urgent", 12, 345678901234)
    assert Origin.parse(str(origin)) == origin
    with pytest.raises(ValueError):
        Origin.parse("comms.requests.login")


SOURCE = Origin("comms.requests.login", 3, 42)


def story(asked: MessageRequest, **entry_of: Any) -> Any:
    came = entry(**entry_of)
    return tell(asked, came, decide(asked, came, config(), NOW), SOURCE, config(), NOW)


def test_an_admission_is_told_with_lane_segments_and_facts() -> None:
    event = story(request(tags={"a": "b"}, idempotency_key="k"))
    assert (event.status, event.stage, event.at) == (MessageStatus.ADMITTED, Stage.POLICY, NOW)
    assert (event.lane, event.account, event.sender, event.segments) == ("long", "main", "+15005550001", 1)
    assert event.facts == {"country": "CH", "encoding": "gsm7"}
    assert (event.tags, event.idempotency_key, event.rule_version) == ({"a": "b"}, "k", f"{RULES_VERSION}/test")
    assert (event.source_topic, event.source_partition, event.source_offset) == tuple(SOURCE)


def test_a_denial_is_told_with_rule_reason_field_and_fix() -> None:
    event = story(request(recipient="079"))
    assert (event.status, event.reason, event.rule) == (MessageStatus.DENIED, Reason.INVALID_RECIPIENT, "recipient")
    assert re.fullmatch(r"recipient: It is .+\. Give plus, .+", event.detail)


def test_a_denial_and_a_deferral_are_told_with_the_facts_they_went_by() -> None:
    stop = Consent(
        consent_id="c",
        recipient=MOBILE,
        change=ConsentChange.OPT_OUT,
        scope=ConsentScope.ALL,
        source=ConsentSource.KEYWORD,
        at=1,
    )
    stopped = Facts(ledger=Ledger().folded(stop, 7))
    came = entry(home=3)
    event = tell(request(), came, decide(request(), came, config(), NOW, stopped), SOURCE, config(), NOW)
    assert event.reason == Reason.OPTED_OUT
    assert event.facts == {
        "country": "CH",
        "consent_position": "8",
        "consent": "opt_out",
        "consent_scope": "all",
        "consent_offset": "7",
    }
    capped = config(caps=(Cap(name="few", categories=frozenset({"otp"}), window_ms=MINUTE, at_most=1),))
    waits = decide(request(), came, capped, NOW, Facts(past=(had("otp", NOW - 1),)))
    event = tell(request(), came, waits, SOURCE, capped, NOW)
    assert (event.status, event.reason) == (MessageStatus.DEFERRED, Reason.FREQUENCY_CAP)
    assert event.facts["cap"] == "few"
    assert (event.facts["counted"], event.facts["room_at"]) == ("1", str(NOW - 1 + MINUTE))


def test_every_decision_names_the_version_of_the_law_it_went_by() -> None:
    assert rule_version(config()) == f"{RULES_VERSION}/test"
    lawful = law.QuietHours().over(law.packaged())
    assert rule_version(config(quiet_hours=lawful)) == f"{RULES_VERSION}/test/law-{law.packaged().law}"


def test_a_deferral_is_told_with_its_moment() -> None:
    event = story(request(not_before=NOW + HOUR))
    assert (event.status, event.reason, event.until) == (MessageStatus.DEFERRED, Reason.NOT_BEFORE, NOW + HOUR)
    assert event.round == 0


def test_a_repeated_step_has_the_same_event_id_and_another_step_another() -> None:
    assert story(request()).event_id == story(request(recipient=AMERICAN)).event_id
    assert story(request()).event_id != story(request(), round=1).event_id
    assert story(request()).event_id != story(request(recipient="x")).event_id


def test_a_denied_request_of_any_size_has_an_event_of_small_size() -> None:
    monster = request(
        recipient="x" * 100_000,
        category="c" * 100_000,
        campaign="c" * 100_000,
        tags={f"{number}" * 1000: "v" * 100_000 for number in range(50)},
    )
    event = story(monster)
    assert event.status is MessageStatus.DENIED
    assert len(repr(event)) < 10_000


def test_a_message_that_comes_back_without_its_request_is_denied_in_its_round() -> None:
    made = decision(not_before=NOW + HOUR)
    assert isinstance(made, Deferred)
    event = tell_lost_request(made.deferral, SOURCE, config(), NOW)
    assert (event.message_id, event.round, event.status) == ("m-1", 1, MessageStatus.DENIED)
