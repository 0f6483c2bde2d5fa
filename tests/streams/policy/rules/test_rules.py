"""Each rule by itself: what it lets pass, what it denies, and that a denial names field and fix."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.reasons import Reason
from schemas.records import Channel, Content
from streams.policy.memory import CANCELLATION_KEPT_MS
from streams.policy.rules import (
    app,
    category,
    content,
    country,
    deadline,
    limits,
    recipient,
    schedule,
    urgency,
)
from streams.policy.verdict import ALLOW, Defer, Deny, Verdict
from tests.streams.policy.installation import AMERICAN, HOUR, LANDLINE, MINUTE, NOW, case, config, shop_case

HX = "HX" + "0" * 32
SM = "SM" + "a" * 32


def denied(verdict: Verdict) -> tuple[Reason, str | None]:
    assert isinstance(verdict, Deny), verdict
    assert verdict.detail.endswith(".")
    assert verdict.fix.endswith((".", "-")), "a fix is a sentence"
    return verdict.reason, verdict.field


def test_a_configured_app_passes() -> None:
    assert app.check(case()) is ALLOW


def test_an_app_nobody_configured_is_denied() -> None:
    assert denied(app.check(case(entry_of={"app": "stranger"}))) == (Reason.UNKNOWN_APP, None)


def test_an_app_that_is_switched_off_is_denied() -> None:
    assert denied(app.check(case(entry_of={"app": "off"}))) == (Reason.APP_DISABLED, None)


def test_a_granted_category_passes() -> None:
    assert category.check(case()) is ALLOW


def test_a_category_nobody_configured_is_denied() -> None:
    assert denied(category.check(case(category="spam"))) == (Reason.UNKNOWN_CATEGORY, "category")


def test_a_category_of_another_app_is_denied_and_the_granted_ones_are_named() -> None:
    verdict = category.check(case(category="marketing"))
    assert denied(verdict) == (Reason.CATEGORY_NOT_GRANTED, "category")
    assert isinstance(verdict, Deny)
    assert "otp" in verdict.fix


def test_critical_categories_may_use_the_urgent_topic() -> None:
    assert urgency.check(case(entry_of={"urgent": True})) is ALLOW


def test_other_categories_may_not_use_the_urgent_topic() -> None:
    pushy = case(entry_of={"app": "shop", "urgent": True}, category="marketing")
    assert denied(urgency.check(pushy)) == (Reason.NOT_URGENT, "category")


def test_other_categories_may_use_the_normal_topic() -> None:
    assert urgency.check(shop_case(category="marketing")) is ALLOW


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"idempotency_key": "k" * 128},
        {"tags": {f"k{number}": "v" for number in range(10)}},
        {"tags": {"k" * 128: "v" * 256}},
        {"tags": {"a.b_c~d-E9": "0"}},
        {"validity_period_s": 1},
        {"validity_period_s": 36_000},
        {"fallback_channels": [Channel.MMS, Channel.WHATSAPP]},
        {"campaign": "spring sale, week 2"},
        {"locale": "de-CH"},
        {"in_reply_to": SM},
    ],
    ids=str,
)
def test_fields_within_their_limits_pass(fields: dict[str, Any]) -> None:
    assert limits.check(case(**fields)) is ALLOW


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"idempotency_key": "k" * 129}, "idempotency_key"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"tags": {f"k{number}": "v" for number in range(11)}}, "tags"),
        ({"tags": {"k" * 129: "v"}}, "tags"),
        ({"tags": {"white space": "v"}}, "tags"),
        ({"tags": {"k": "v" * 257}}, "tags.k"),
        ({"tags": {"k": "ä"}}, "tags.k"),
        ({"tags": {"k": "v\n"}}, "tags.k"),
        ({"tags": {"k": ""}}, "tags.k"),
        ({"validity_period_s": 0}, "validity_period_s"),
        ({"validity_period_s": 36_001}, "validity_period_s"),
        ({"fallback_channels": [Channel.SMS]}, "fallback_channels"),
        ({"fallback_channels": [Channel.MMS, Channel.MMS]}, "fallback_channels"),
        ({"campaign": "c" * 257}, "campaign"),
        ({"recipient_id": ""}, "recipient_id"),
        ({"correlation_id": "c" * 257}, "correlation_id"),
        ({"locale": "x" * 36}, "locale"),
        ({"in_reply_to": "yesterday's"}, "in_reply_to"),
        ({"created_at": -1}, "created_at"),
        ({"not_before": 10**18}, "not_before"),
        ({"deadline": -5}, "deadline"),
    ],
    ids=str,
)
def test_fields_outside_their_limits_are_denied(fields: dict[str, Any], field: str) -> None:
    assert denied(limits.check(case(**fields))) == (Reason.INVALID_FIELD, field)


def test_a_message_is_in_time_until_its_deadline() -> None:
    assert deadline.check(case(deadline=NOW + 1)) is ALLOW
    assert denied(deadline.check(case(deadline=NOW))) == (Reason.DEADLINE_PASSED, "deadline")


def test_without_a_deadline_the_category_gives_it() -> None:
    assert deadline.check(case(created_at=NOW - 10 * MINUTE + 1)) is ALLOW
    assert denied(deadline.check(case(created_at=NOW - 10 * MINUTE))) == (Reason.DEADLINE_PASSED, "deadline")


def test_a_category_without_a_deadline_gives_a_day() -> None:
    assert shop_case(created_at=NOW - HOUR).deadline == NOW + 23 * HOUR


def test_the_default_deadline_counts_from_not_before() -> None:
    assert case(not_before=NOW + 5 * HOUR).deadline == NOW + 5 * HOUR + 10 * MINUTE


def test_an_app_whose_clock_is_ahead_gets_no_later_deadline() -> None:
    assert case(created_at=NOW + 50 * HOUR).deadline == NOW + 10 * MINUTE


def test_a_deadline_fixed_in_an_earlier_round_stays() -> None:
    assert case(entry_of={"round": 1, "deadline": NOW + 7}).deadline == NOW + 7


def test_a_deadline_more_than_three_days_after_the_earliest_moment_is_denied() -> None:
    assert deadline.check(case(created_at=NOW, deadline=NOW + 72 * HOUR)) is ALLOW
    assert denied(deadline.check(case(created_at=NOW, deadline=NOW + 72 * HOUR + 1))) == (
        Reason.DEADLINE_TOO_FAR,
        "deadline",
    )


def test_not_before_may_lie_far_ahead_when_the_deadline_follows_it() -> None:
    month = 30 * 24 * HOUR
    assert deadline.check(case(not_before=NOW + month, deadline=NOW + month + HOUR)) is ALLOW


def test_a_message_may_wait_for_400_days_and_no_longer() -> None:
    latest = NOW + deadline.NOT_BEFORE_MAX_MS
    assert deadline.check(case(not_before=latest)) is ALLOW
    assert denied(deadline.check(case(not_before=latest + 1))) == (Reason.INVALID_FIELD, "not_before")


def test_a_cancellation_outlives_everything_that_it_may_be_about() -> None:
    request_kept_ms = 7 * 24 * HOUR
    assert deadline.NOT_BEFORE_MAX_MS + deadline.DEADLINE_MAX_MS + request_kept_ms < CANCELLATION_KEPT_MS


def test_a_deadline_before_not_before_is_denied_at_once() -> None:
    assert denied(deadline.check(case(not_before=NOW + 2 * HOUR, deadline=NOW + HOUR))) == (
        Reason.INVALID_FIELD,
        "deadline",
    )


@pytest.mark.parametrize("number", ["+41791234567", "+14155550123", "+4915123456789", "+15005550006", "+18005550123"])
def test_numbers_that_may_be_mobile_pass(number: str) -> None:
    assert recipient.check(case(recipient=number)) is ALLOW


@pytest.mark.parametrize(
    "number",
    [
        "",
        "4179 123 45 67",
        "+41 79 123 45 67",
        "0791234567",
        "whatsapp:+41791234567",
        "+4179123456",
        "+99912345678",
        "+1555",
        "+141555501234567890",
        "+4407911123456",
        "+447911",
        "+210123456789",
        "+39",
        "+٤١٧٩١٢٣٤٥٦٧",
        "+41791234567\n",
    ],
    ids=repr,
)
def test_what_is_no_number_is_denied(number: str) -> None:
    assert denied(recipient.check(case(recipient=number))) == (Reason.INVALID_RECIPIENT, "recipient")


@pytest.mark.parametrize("number", [LANDLINE, "+442079460000", "+33142685300", "+390612345678"])
def test_a_fixed_line_takes_no_sms(number: str) -> None:
    assert denied(recipient.check(case(recipient=number))) == (Reason.LANDLINE_RECIPIENT, "recipient")


def test_a_fixed_line_takes_no_mms_but_may_have_whatsapp() -> None:
    assert denied(recipient.check(case(recipient=LANDLINE, channel=Channel.MMS)))[0] is Reason.LANDLINE_RECIPIENT
    assert recipient.check(case(recipient=LANDLINE, channel=Channel.WHATSAPP)) is ALLOW


def test_an_allowed_country_passes() -> None:
    assert country.check(case(recipient=AMERICAN)) is ALLOW


@pytest.mark.parametrize("number", ["+33612345678", "+80012345678"])
def test_a_country_that_is_not_allowed_is_denied(number: str) -> None:
    assert denied(country.check(case(recipient=number))) == (Reason.COUNTRY_NOT_ALLOWED, "recipient")


def test_two_countries_of_one_dialling_code_are_told_apart() -> None:
    only_us = config(countries=frozenset({"US"}))
    assert country.check(case(recipient=AMERICAN, configured=only_us)) is ALLOW
    assert denied(country.check(case(recipient="+16135550123", configured=only_us)))[0] is Reason.COUNTRY_NOT_ALLOWED


def test_an_app_may_be_held_to_fewer_countries() -> None:
    swiss: dict[str, Any] = {"entry_of": {"app": "swiss"}, "category": "service"}
    assert country.check(case(**swiss)) is ALLOW
    assert denied(country.check(case(recipient=AMERICAN, **swiss)))[0] is Reason.COUNTRY_NOT_ALLOWED


JPG = "https://media.example.com/a.jpg"


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        (Channel.SMS, Content(body="hi")),
        (Channel.SMS, Content(body="x" * 1600)),
        (Channel.SMS, Content(body="😀" * 800)),
        (Channel.SMS, Content(content_sid=HX, variables={"1": "Ann"})),
        (Channel.MMS, Content(media_urls=[JPG])),
        (Channel.MMS, Content(body="look", media_urls=[JPG] * 10)),
        (Channel.WHATSAPP, Content(body="look", media_urls=[JPG])),
        (Channel.WHATSAPP, Content(content_sid=HX)),
        (Channel.MMS, Content(media_urls=["http://127.0.0.1:8080/a?b=c"])),
    ],
    ids=lambda value: value.value if isinstance(value, Channel) else repr(value)[:60],
)
def test_content_that_its_channel_carries_passes(channel: Channel, said: Content) -> None:
    assert content.check(shop_case(channel=channel, content=said)) is ALLOW


@pytest.mark.parametrize(
    ("channel", "said", "reason", "field"),
    [
        (Channel.SMS, Content(), Reason.EMPTY_CONTENT, "content"),
        (Channel.SMS, Content(body=""), Reason.EMPTY_CONTENT, "content"),
        (Channel.SMS, Content(body=" \n "), Reason.EMPTY_CONTENT, "content"),
        (Channel.SMS, Content(body="x" * 1601), Reason.BODY_TOO_LONG, "content.body"),
        (Channel.SMS, Content(body="😀" * 801), Reason.BODY_TOO_LONG, "content.body"),
        (Channel.SMS, Content(body="hi", content_sid=HX), Reason.AMBIGUOUS_CONTENT, "content"),
        (Channel.SMS, Content(body="hi", template="t"), Reason.AMBIGUOUS_CONTENT, "content"),
        (Channel.MMS, Content(media_urls=[JPG], content_sid=HX), Reason.AMBIGUOUS_CONTENT, "content"),
        (Channel.SMS, Content(template="welcome"), Reason.UNKNOWN_TEMPLATE, "content.template"),
        (Channel.SMS, Content(body="hi", template_version="2"), Reason.INVALID_FIELD, "content.template_version"),
        (Channel.SMS, Content(body="hi", variables={"1": "a"}), Reason.INVALID_FIELD, "content.variables"),
        (Channel.SMS, Content(content_sid="HX1"), Reason.INVALID_FIELD, "content.content_sid"),
        (
            Channel.SMS,
            Content(content_sid=HX, variables={str(n): "x" for n in range(101)}),
            Reason.INVALID_FIELD,
            "content.variables",
        ),
        (
            Channel.SMS,
            Content(content_sid=HX, variables={"1": "x" * 1601}),
            Reason.INVALID_FIELD,
            "content.variables",
        ),
        (Channel.MMS, Content(content_sid=HX), Reason.UNSUPPORTED_CONTENT, "channel"),
        (Channel.SMS, Content(body="hi", media_urls=[JPG]), Reason.UNSUPPORTED_CONTENT, "content.media_urls"),
        (Channel.MMS, Content(body="hi"), Reason.UNSUPPORTED_CONTENT, "content.media_urls"),
        (Channel.MMS, Content(media_urls=[JPG] * 11), Reason.INVALID_MEDIA, "content.media_urls"),
        (Channel.WHATSAPP, Content(media_urls=[JPG] * 2), Reason.INVALID_MEDIA, "content.media_urls"),
        (Channel.MMS, Content(media_urls=[JPG, "ftp://x/a"]), Reason.INVALID_MEDIA, "content.media_urls[1]"),
        (Channel.MMS, Content(media_urls=["https://x/a b"]), Reason.INVALID_MEDIA, "content.media_urls[0]"),
        (Channel.MMS, Content(media_urls=["https://x/" + "a" * 2048]), Reason.INVALID_MEDIA, "content.media_urls[0]"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value)[:40],
)
def test_content_that_cannot_be_sent_is_denied(channel: Channel, said: Content, reason: Reason, field: str) -> None:
    assert denied(content.check(shop_case(channel=channel, content=said))) == (reason, field)


def test_a_denial_never_repeats_the_body() -> None:
    secret = "the code is 987654 " * 100
    verdict = content.check(case(content=Content(body=secret)))
    assert isinstance(verdict, Deny)
    assert "987654" not in verdict.text()


def test_a_message_waits_until_its_not_before() -> None:
    assert schedule.check(case(not_before=NOW + 1)) == Defer(NOW + 1, Reason.NOT_BEFORE)
    assert schedule.check(case(not_before=NOW)) is ALLOW
