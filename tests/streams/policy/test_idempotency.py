from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.reasons import Reason
from schemas.records import Channel, Content
from streams.policy.case import Case
from streams.policy.facts import Facts
from streams.policy.idempotency import digest
from streams.policy.rules import idempotency
from streams.policy.verdict import ALLOW, Deny

from .installation import NOW, config, entry, request


@pytest.mark.parametrize(
    "changes",
    [{"created_at": NOW + 9}, {"deadline": NOW + 9}, {"tags": {"a": "b"}}, {"correlation_id": "x"}, {"pool": "codes"}],
)
def test_what_a_client_makes_anew_is_no_other_content(changes: dict[str, Any]) -> None:
    assert digest(request(**changes)) == digest(request())


@pytest.mark.parametrize(
    "changes",
    [
        {"content": Content(body="Your code is 123457")},
        {"content": Content(template="a", variables={"x": "1"})},
        {"category": "service"},
        {"channel": Channel.WHATSAPP},
        {"fallback_channels": [Channel.WHATSAPP]},
        {"locale": "de"},
    ],
)
def test_another_text_category_channel_or_language_is_another_content(changes: dict[str, Any]) -> None:
    assert digest(request(**changes)) != digest(request())


def test_the_order_of_variables_does_not_matter() -> None:
    one, other = (
        Content(template="a", variables={"x": "1", "y": "2"}),
        Content(template="a", variables={"y": "2", "x": "1"}),
    )
    assert digest(request(content=one)) == digest(request(content=other))


def test_half_a_surrogate_pair_has_a_digest_too() -> None:
    assert digest(request(content=Content(body="\ud800"))) != digest(request(content=Content(body="\ud801")))


TEXTS = st.text(max_size=20)


@given(
    st.builds(
        Content,
        body=st.none() | TEXTS,
        media_urls=st.lists(TEXTS, max_size=3),
        template=st.none() | TEXTS,
        template_version=st.none() | TEXTS,
        content_sid=st.none() | TEXTS,
        variables=st.dictionaries(TEXTS, TEXTS, max_size=3),
    ),
    st.lists(st.sampled_from(Channel), max_size=3),
    st.none() | TEXTS,
)
def test_the_digest_is_that_of_the_json_that_was_remembered_before(
    content: Content, fallback: list[Channel], locale: str | None
) -> None:
    asked = request(content=content, fallback_channels=fallback, locale=locale)
    said = [
        asked.category,
        asked.channel.value,
        [channel.value for channel in fallback],
        locale,
        content.body,
        content.media_urls,
        content.template,
        content.template_version,
        content.content_sid,
        sorted(content.variables.items()),
    ]
    assert digest(asked) == blake2b(json.dumps(said).encode(), digest_size=16).digest()


def test_a_key_used_for_another_content_is_denied_in_the_first_round_only() -> None:
    other = Facts(earlier_digest=digest(request(locale="de")))
    asked = request(idempotency_key="k")
    verdict = idempotency.check(Case(asked, entry(), config(), NOW, other))
    assert isinstance(verdict, Deny)
    assert verdict.reason is Reason.IDEMPOTENCY_CONFLICT
    assert idempotency.check(Case(asked, entry(round=1), config(), NOW, other)) is ALLOW
    assert idempotency.check(Case(asked, entry(), config(), NOW, Facts(earlier_digest=digest(asked)))) is ALLOW
    assert idempotency.check(Case(asked, entry(), config(), NOW)) is ALLOW
