from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas.reasons import Reason
from schemas.records import Channel, Content, Encoding
from streams.policy.case import Origin
from streams.policy.config import PolicyConfig
from streams.policy.decide import decide
from streams.policy.facts import Facts
from streams.policy.profile import Profile
from streams.policy.story import tell
from streams.policy.templates import ContentTemplate, Template, Variable, Version
from streams.policy.verdict import Admitted, Denied
from streams.rounds import request_of

from .installation import NOW, config, entry, request, sender

SID = "HX" + "a" * 32
NAME = {"name": Variable(max_length=60)}
SHIPPED = Template(
    name="shipped",
    current="2",
    versions={
        "1": Version(variables=NAME, texts={"en": "Shipped, {{ name }}"}),
        "2": Version(variables=NAME, texts={"en": "On its way, {{ name }}", "de": "Unterwegs, {{ name }}"}),
    },
    default_locale="en",
    max_segments=1,
)


def installed(**changes: Any) -> PolicyConfig:
    base = config()
    shop = replace(base.apps["shop"], templates=("ship*", "wa-*"))
    values: dict[str, Any] = {
        "apps": {**base.apps, "shop": shop},
        "templates": {
            "shipped": SHIPPED,
            "ads-only": replace(SHIPPED, name="ads-only"),
            "ship-ads": replace(SHIPPED, name="ship-ads", categories=frozenset({"marketing"}), unsubscribe=True),
        },
        "content_templates": {SID.lower(): ContentTemplate(name="wa-hello", sid=SID, variables={"1": NAME["name"]})},
        "unsubscribe_lines": {"en": "Reply STOP", "de": "Abmelden: STOP"},
    }
    return config(**{**values, **changes})


def decided(*, facts: Facts | None = None, configured: PolicyConfig | None = None, **changes: Any) -> Admitted | Denied:
    asked = request(**{"category": "service", **changes})
    decision = decide(asked, entry(app="shop"), configured or installed(), NOW, facts or Facts())
    assert isinstance(decision, Admitted | Denied)
    return decision


def body(**changes: Any) -> str | None:
    decision = decided(**changes)
    assert isinstance(decision, Admitted), decision
    return decision.dispatch.body


def shipped(**changes: Any) -> Content:
    return Content(**{"template": "shipped", "variables": {"name": "Ann"}, **changes})


def test_the_dispatch_record_carries_the_rendered_text_and_its_cost() -> None:
    decision = decided(content=shipped(variables={"name": "Ş" * 50}))
    assert isinstance(decision, Admitted)
    assert decision.dispatch.body == "On its way, " + "Ş" * 50
    assert (decision.dispatch.segments, decision.dispatch.encoding) == (1, Encoding.UCS2)
    assert decision.dispatch.content_variables == {}


def test_the_story_names_template_version_and_locale() -> None:
    asked = request(category="service", content=shipped())
    decision = decide(asked, entry(app="shop"), installed(), NOW)
    told = tell(asked, entry(app="shop"), decision, Origin("t", 0, 0), installed(), NOW)
    assert {"template": "shipped", "template_version": "2", "locale": "en"}.items() <= told.facts.items()


def test_an_older_version_is_used_when_named() -> None:
    assert body(content=shipped(template_version="1")) == "Shipped, Ann"


def test_the_locale_is_that_of_the_request_then_of_the_profile_then_the_default() -> None:
    german = Facts(profile=Profile(locale="de_CH"))
    assert body(content=shipped(), facts=german) == "Unterwegs, Ann"
    assert body(content=shipped(), facts=german, locale="en-GB") == "On its way, Ann"
    assert body(content=shipped(), facts=german, locale="fr") == "Unterwegs, Ann"
    assert body(content=shipped(), locale="fr") == "On its way, Ann"


def test_the_profile_fills_what_the_request_leaves_open() -> None:
    known = Facts(profile=Profile(variables={"name": "Eve"}))
    assert body(content=shipped(variables={}), facts=known) == "On its way, Eve"
    assert body(content=shipped(), facts=known) == "On its way, Ann"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (shipped(template="nothing"), Reason.UNKNOWN_TEMPLATE),
        (shipped(template_version="3"), Reason.UNKNOWN_TEMPLATE),
        (shipped(template="ads-only"), Reason.TEMPLATE_NOT_GRANTED),
        (shipped(template="ship-ads"), Reason.TEMPLATE_NOT_GRANTED),
        (shipped(variables={}), Reason.INVALID_VARIABLES),
        (shipped(variables={"name": "Ş" * 60}), Reason.TOO_MANY_SEGMENTS),
        (Content(content_sid=SID), Reason.INVALID_VARIABLES),
        (Content(content_sid=SID, variables={"1": "Ann", "2": "x"}), Reason.INVALID_VARIABLES),
    ],
)
def test_what_cannot_be_worded_is_denied(content: Content, reason: Reason) -> None:
    decision = decided(content=content)
    assert isinstance(decision, Denied)
    assert decision.deny.reason is reason


def test_a_declared_content_template_needs_a_grant_and_takes_variables_of_the_profile() -> None:
    known = Facts(profile=Profile(variables={"1": "Eve", "other": "x"}))
    decision = decided(content=Content(content_sid=SID), facts=known)
    assert isinstance(decision, Admitted)
    assert decision.dispatch.content_variables == {"1": "Eve"}
    refused = decided(content=Content(content_sid=SID), configured=installed(apps=config().apps))
    assert isinstance(refused, Denied)
    assert refused.deny.reason is Reason.TEMPLATE_NOT_GRANTED


def test_a_text_ends_with_the_unsubscribe_line_once_and_in_its_language() -> None:
    ads: dict[str, Any] = {"category": "marketing", "content": shipped(template="ship-ads")}
    assert body(**ads) == "On its way, Ann\nReply STOP"
    assert body(**ads, locale="de") == "Unterwegs, Ann\nAbmelden: STOP"


def test_a_plain_body_of_such_a_category_gets_the_line_and_does_not_get_it_again_from_the_wheel() -> None:
    base = config()
    categories = {**base.categories, "service": replace(base.categories["service"], unsubscribe=True)}
    configured = installed(categories=categories)
    first = decided(content=Content(body="Sale!"), configured=configured)
    assert isinstance(first, Admitted)
    assert first.dispatch.body == "Sale!\nReply STOP"
    again = decide(request_of(first.dispatch), entry(app="shop", round=1), configured, NOW)
    assert isinstance(again, Admitted)
    assert again.dispatch.body == first.dispatch.body
    long = decided(content=Content(body="x" * 1600), configured=configured)
    assert isinstance(long, Denied)
    assert long.deny.reason is Reason.BODY_TOO_LONG


def test_links_are_shortened_only_from_a_service_with_a_domain() -> None:
    ads: dict[str, Any] = {"category": "marketing", "content": Content(body="https://a.example")}
    plain = decided(**ads)
    assert isinstance(plain, Admitted)
    assert plain.dispatch.shorten_urls is None
    refused = decided(**ads, shorten_urls=True)
    assert isinstance(refused, Denied)
    assert refused.deny.reason is Reason.NO_SENDER
    service = sender("promo-a", 2, address=None, type=None, messaging_service_sid="MG" + "1" * 32, short_links=True)
    configured = installed(senders={**config().senders, "promo-a": service})
    assert decided(**ads, shorten_urls=True, configured=configured).dispatch.lane == "promo-a"  # type: ignore[union-attr]  # Admitted


def test_a_template_is_no_mms() -> None:
    decision = decided(content=shipped(), channel=Channel.MMS)
    assert isinstance(decision, Denied)
    assert decision.deny.reason is Reason.UNSUPPORTED_CONTENT
