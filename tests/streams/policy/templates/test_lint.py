from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.twilio.segments import count
from schemas.records import Encoding
from streams.policy.templates import Charset, Kind, Template, Variable, Version, syntax
from streams.policy.templates.lint import findings, measure
from streams.policy.templates.syntax import TemplateInvalid

GSM = Variable(max_length=30, charset=Charset.GSM7)


def template(text: str, variables: dict[str, Variable] | None = None, **changes: Any) -> Template:
    values: dict[str, Any] = {
        "name": "t",
        "current": "1",
        "versions": {"1": Version(variables=variables or {}, texts={"en": text})},
        "default_locale": "en",
        "max_segments": 1,
    }
    return Template(**{**values, **changes})


def test_the_longest_values_decide_the_segments() -> None:
    text = "x" * 130 + "{{ name }}"
    assert measure(text, {"name": GSM}).most == 1
    assert measure(text + "y", {"name": GSM}).most == 2
    assert measure(text + "y", {"name": GSM}).least == 1


def test_a_variable_of_any_characters_counts_as_ucs2() -> None:
    cost = measure("x" * 41 + "{{ name }}", {"name": Variable(max_length=30)})
    assert (cost.most, cost.encoding, cost.loose) == (2, Encoding.UCS2, ("name",))


def test_the_longest_way_through_the_conditions_counts() -> None:
    text = "{% if name %}{{ name }}" + "x" * 150 + "{% else %}short{% endif %}"
    cost = measure(text, {"name": Variable(max_length=30, charset=Charset.GSM7, default="")})
    assert (cost.least, cost.most) == (1, 2)


def test_the_unsubscribe_line_counts() -> None:
    assert measure("x" * 150, {}, "Reply STOP").most == 2


def test_characters_that_force_ucs2_are_named() -> None:
    assert measure("It’s ready", {}).forcing == ("’",)


@given(st.text(alphabet="abc€[é", max_size=30), st.integers(100, 200))
def test_no_gsm7_value_makes_more_segments_than_measured_but_for_split_pairs(value: str, length: int) -> None:
    variable = Variable(max_length=60, charset=Charset.GSM7, default="")
    text = "x" * length + "{{ v }}"
    made = count(syntax.render(text, {"v": value}))
    assert made.units <= length + 60
    assert made.segments <= measure(text, {"v": variable}).most


@pytest.mark.parametrize(
    ("broken", "path"),
    [
        (template("{{ nobody }}"), ("versions", "1", "texts", "en")),
        (template("{% for a in b %}{% endfor %}"), ("versions", "1", "texts", "en")),
        (template("x" * 161), ("versions", "1", "texts", "en")),
        (template("x" * 1601, max_segments=20), ("versions", "1", "texts", "en")),
        (template(" "), ("versions", "1", "texts", "en")),
        (template("x", current="2"), ("current",)),
        (template("x", default_locale="de"), ("versions", "1", "texts")),
        (
            template("{{ a }}", {"a": Variable(max_length=2, default="abc")}),
            ("versions", "1", "variables", "a", "default"),
        ),
        (template("{{ a }}", {"a": GSM, "b-c": GSM}), ("versions", "1", "variables", "b-c")),
    ],
)
def test_an_error_names_its_place(broken: Template, path: tuple[str, ...]) -> None:
    assert path in [found.path for found in findings(broken) if found.error]


def test_a_good_template_has_no_findings_and_an_odd_one_warnings_only() -> None:
    assert list(findings(template("Code {{ code }}", {"code": Variable(kind=Kind.CODE, max_length=8)}))) == []
    odd = list(findings(template("It’s", {"idle": GSM})))
    assert len(odd) == 2
    assert not any(found.error for found in odd)


def test_the_line_in_another_language_counts_when_none_fits() -> None:
    broken = template("x" * 150)
    assert [found.error for found in findings(broken, {"de": "Abmelden mit STOP"})] == [True]
    assert list(findings(broken, None)) == []


def test_an_undeclared_variable_cannot_be_measured() -> None:
    with pytest.raises(TemplateInvalid, match="nobody"):
        measure("{{ nobody }}", {})
