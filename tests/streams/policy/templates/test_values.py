from __future__ import annotations

import pytest

from schemas.reasons import Reason
from streams.policy.templates import Charset, Kind, Variable
from streams.policy.templates.locales import best
from streams.policy.templates.values import fill
from streams.policy.verdict import Deny

NAME = Variable(max_length=5)
DECLARED = {"name": NAME, "note": Variable(max_length=5, default="")}


def test_the_request_wins_over_the_profile_and_the_profile_over_the_default() -> None:
    assert fill(DECLARED, {"name": "Ann"}, {"name": "Eve", "note": "hi"}) == {"name": "Ann", "note": "hi"}
    assert fill(DECLARED, {}, {"name": "Eve", "other": "not ours"}) == {"name": "Eve", "note": ""}


@pytest.mark.parametrize("given", [{}, {"name": ""}, {"name": "Ann", "nmae": "x"}, {"name": "Anneke"}])
def test_what_is_missing_empty_unknown_or_too_long_is_denied(given: dict[str, str]) -> None:
    denied = fill(DECLARED, given)
    assert isinstance(denied, Deny)
    assert denied.reason is Reason.INVALID_VARIABLES


@pytest.mark.parametrize(
    ("variable", "good", "bad"),
    [
        (Variable(kind=Kind.NUMBER, max_length=20), "-1,234.50", "12 EUR"),
        (Variable(kind=Kind.CODE, max_length=20), "AB-12", "AB 12"),
        (Variable(kind=Kind.URL, max_length=40), "https://a.example/x?y=1", "javascript:alert(1)"),
        (Variable(kind=Kind.URL, max_length=40), "http://a.example", "https://a.example/~b"),
        (Variable(max_length=9, charset=Charset.GSM7), "Zoé", "Işık"),
        (Variable(max_length=9, charset=Charset.GSM7), "€€€€a", "€€€€€"),
        (Variable(max_length=4), "😀😀", "😀😀😀"),
        (Variable(max_length=9), "a\nb", "a\x00b"),
        (Variable(max_length=9), "a", "\ud800"),
    ],
)
def test_a_value_is_of_its_kind_and_the_denial_never_quotes_it(variable: Variable, good: str, bad: str) -> None:
    assert fill({"v": variable}, {"v": good}) == {"v": good}
    denied = fill({"v": variable}, {"v": bad})
    assert isinstance(denied, Deny)
    assert denied.field == "content.variables.v"
    assert bad not in denied.text()


def test_a_wrong_value_of_the_profile_is_denied_too() -> None:
    assert isinstance(fill({"name": NAME}, {}, {"name": "far too long"}), Deny)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["de-CH", "en"], "de"),
        (["pt_br"], "pt-BR"),
        (["fr", "en-US"], "en"),
        ([None, "de"], "de"),
        (["ja"], None),
        (["d"], None),
    ],
)
def test_a_locale_is_shortened_until_a_text_fits(wanted: list[str | None], found: str | None) -> None:
    assert best({"de": "", "en": "", "pt-BR": ""}, wanted) == found
