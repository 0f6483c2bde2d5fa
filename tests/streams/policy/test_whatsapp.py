from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.reasons import Reason
from schemas.records import Channel, Content, MessageClass
from streams.policy.config import PolicyConfig
from streams.policy.decide import decide
from streams.policy.facts import Facts
from streams.policy.templates import ContentTemplate
from streams.policy.verdict import Admitted, Decision, Deferred, Denied
from streams.policy.whatsapp import share_of

from .installation import AMERICAN, HOUR, NOW, config, entry, request

WA = "whatsapp:+15005550004"
SID = "HX" + "a" * 32
TEMPLATE = Content(content_sid=SID)


def wrote(ms_ago: int) -> Facts:
    return Facts(last_inbound={WA: NOW - ms_ago})


def decided(facts: Facts | None = None, configured: PolicyConfig | None = None, **changes: Any) -> Decision:
    asked = request(**{"category": "service", "channel": Channel.WHATSAPP, **changes})
    return decide(asked, entry(app="shop"), configured or config(), NOW, facts or Facts())


def reason(decision: Decision) -> Reason:
    assert isinstance(decision, Denied), decision
    return decision.deny.reason


def with_sender(**changes: Any) -> PolicyConfig:
    senders = config().senders
    return config(senders={**senders, "wa": replace(senders["wa"], **changes)}, partitions=4)


def test_free_text_goes_only_within_24_hours_after_the_person_wrote_to_that_sender() -> None:
    assert isinstance(decided(wrote(24 * HOUR - 1)), Admitted)
    assert reason(decided(wrote(24 * HOUR))) is Reason.WHATSAPP_WINDOW_CLOSED
    assert reason(decided()) is Reason.WHATSAPP_WINDOW_CLOSED
    by_sms = Facts(last_inbound={"+15005550004": NOW - 1, "whatsapp:+15005550009": NOW - 1})
    assert reason(decided(by_sms)) is Reason.WHATSAPP_WINDOW_CLOSED


def test_a_reply_that_comes_before_what_it_answers_was_read_is_looked_at_once_more() -> None:
    reply = request(category="service", channel=Channel.WHATSAPP, in_reply_to="SM" + "1" * 32)
    early = decide(reply, entry(app="shop"), config(), NOW, Facts())
    assert isinstance(early, Deferred)
    assert (early.defer.until, early.defer.reason) == (NOW + 1_000, Reason.WHATSAPP_WINDOW_CLOSED)
    back = entry(app="shop", round=1, waited_for=early.deferral.reason)
    assert isinstance(decide(reply, back, config(), NOW + 1_000, wrote(5)), Admitted)
    assert reason(decide(reply, back, config(), NOW + 1_000, Facts())) is Reason.WHATSAPP_WINDOW_CLOSED
    hasty = replace(reply, deadline=NOW + 1_000)
    assert reason(decide(hasty, entry(app="shop"), config(), NOW, Facts())) is Reason.WHATSAPP_WINDOW_CLOSED


def test_free_text_must_leave_before_the_window_closes_and_a_template_need_not() -> None:
    free, template = decided(wrote(23 * HOUR)), decided(wrote(23 * HOUR), content=TEMPLATE)
    assert isinstance(free, Admitted)
    assert isinstance(template, Admitted)
    assert (free.dispatch.allowed_until, template.dispatch.allowed_until) == (NOW + HOUR, None)


def test_a_template_opens_a_conversation_unless_it_is_known_not_to_be_approved() -> None:
    assert isinstance(decided(content=TEMPLATE), Admitted)
    base = config()
    declared = config(
        content_templates={SID.lower(): ContentTemplate(name="hello", sid=SID, approved=False)},
        apps={**base.apps, "shop": replace(base.apps["shop"], templates=("*",))},
    )
    assert reason(decided(content=TEMPLATE, configured=declared)) is Reason.WHATSAPP_WINDOW_CLOSED
    assert isinstance(decided(wrote(1), content=TEMPLATE, configured=declared), Admitted)


def test_marketing_to_plus_one_is_refused_even_within_the_window() -> None:
    base = config()
    ads = replace(base.categories["marketing"], message_intent="marketing")
    configured = config(categories={**base.categories, "marketing": ads})
    assert (
        reason(decided(wrote(1), configured, category="marketing", recipient=AMERICAN))
        is Reason.WHATSAPP_MARKETING_REFUSED
    )
    assert isinstance(decided(wrote(1), configured, category="marketing"), Admitted)
    assert isinstance(decided(wrote(1), configured, recipient=AMERICAN), Admitted)


def test_more_than_four_spaces_in_a_variable_are_refused() -> None:
    assert isinstance(decided(content=Content(content_sid=SID, variables={"1": "a    b"})), Admitted)
    assert reason(decided(content=Content(content_sid=SID, variables={"1": "a     b"}))) is Reason.INVALID_VARIABLES


def test_a_partition_opens_no_more_conversations_than_its_share() -> None:
    configured = with_sender(daily_people=10)
    assert isinstance(decided(Facts(opened={"wa": 2}), configured, content=TEMPLATE), Admitted)
    full = Facts(opened={"wa": 3})
    assert reason(decided(full, configured, content=TEMPLATE)) is Reason.WHATSAPP_DAILY_LIMIT
    assert isinstance(decided(replace(full, last_inbound={WA: NOW - 1}), configured, content=TEMPLATE), Admitted)


@given(limit=st.integers(1, 100_000), partitions=st.integers(1, 512))
def test_the_shares_of_all_partitions_are_the_limit(limit: int, partitions: int) -> None:
    shares = [share_of(limit, home, partitions) for home in range(partitions)]
    assert sum(shares) == limit
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize(("home", "share"), [(0, 3), (1, 3), (2, 2), (3, 2)])
def test_the_remainder_of_the_limit_falls_to_the_first_partitions(home: int, share: int) -> None:
    asked = request(category="service", channel=Channel.WHATSAPP, content=TEMPLATE)
    for others, admitted in ((share - 1, True), (share, False)):
        facts = Facts(opened={"wa": others})
        outcome = decide(asked, entry(app="shop", home=home), with_sender(daily_people=10), NOW, facts)
        assert isinstance(outcome, Admitted) is admitted


def test_only_a_first_word_of_a_limited_sender_counts() -> None:
    limited = with_sender(daily_people=10)
    opens = {
        "template": decided(configured=limited, content=TEMPLATE),
        "answer": decided(wrote(1), limited),
        "template within the window": decided(wrote(1), limited, content=TEMPLATE),
        "sender without limit": decided(content=TEMPLATE),
        "sms": decided(configured=limited, channel=Channel.SMS),
    }
    counted = {what for what, outcome in opens.items() if isinstance(outcome, Admitted) and outcome.opens}
    assert counted == {"template"}
    assert all(isinstance(outcome, Admitted) for outcome in opens.values())


def test_a_closed_window_falls_back_to_the_next_channel_which_is_asked_of_all_rules() -> None:
    moved = decided(fallback_channels=[Channel.SMS], sender="wa")
    assert isinstance(moved, Deferred)
    back = moved.deferral
    assert (back.round, back.due_at, back.reason) == (1, NOW, Reason.WHATSAPP_WINDOW_CLOSED)
    assert back.request is not None
    assert (back.request.channel, back.request.fallback_channels, back.request.sender) == (Channel.SMS, [], None)
    returned = entry(app="shop", round=1, deadline=back.deadline)
    again = decide(back.request, returned, config(), NOW)
    assert isinstance(again, Admitted)
    assert again.dispatch.channel is Channel.SMS
    off = replace(config().apps["shop"], enabled=False)
    assert reason(decide(back.request, returned, config(apps={"shop": off}), NOW)) is Reason.APP_DISABLED


def test_what_no_other_channel_escapes_does_not_fall_back() -> None:
    assert reason(decided(fallback_channels=[Channel.SMS], category="nothing")) is Reason.UNKNOWN_CATEGORY


def test_an_app_can_have_its_own_class_and_deadline_for_a_category() -> None:
    base = config()
    own = replace(base.apps["shop"], classes={"service": MessageClass.HIGH}, deadlines_s={"service": 60})
    configured = config(apps={**base.apps, "shop": own})
    made = decided(wrote(1), configured)
    assert isinstance(made, Admitted)
    assert (made.dispatch.message_class, made.dispatch.deadline) == (MessageClass.HIGH, NOW - 20 + 60_000)
