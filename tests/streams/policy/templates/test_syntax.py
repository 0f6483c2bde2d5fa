from __future__ import annotations

import pytest

from streams.policy.templates import syntax
from streams.policy.templates.syntax import TemplateInvalid


def test_values_and_conditions_are_rendered() -> None:
    text = "{% if name %}Hello {{ name }}{% elif kind == 'vip' %}Dear guest{% else %}Hello{% endif %}!"
    assert syntax.render(text, {"name": "Ann", "kind": ""}) == "Hello Ann!"
    assert syntax.render(text, {"name": "", "kind": "vip"}) == "Dear guest!"
    assert syntax.render(text, {"name": "", "kind": ""}) == "Hello!"


def test_a_value_is_never_read_as_code() -> None:
    assert syntax.render("{{ name }}", {"name": "{{ 7 * 7 }}"}) == "{{ 7 * 7 }}"


@pytest.mark.parametrize(
    "text",
    [
        "{% for x in name %}{{ x }}{% endfor %}",
        "{{ name|upper }}",
        "{{ name * 999999 }}",
        "{{ name.__class__ }}",
        "{{ name['a'] }}",
        "{{ range(9) }}",
        "{{ 'text' }}",
        "{{ name ~ name }}",
        "{% set a = name %}",
        "{% include 'a' %}",
        "{% import 'a' as b %}",
        "{% macro a() %}{% endmacro %}",
        "{% if name is string %}{% endif %}",
        "{% if name in 'abc' %}{% endif %}",
        "{% if name < 'a' %}{% endif %}",
        "{% if name == 5 %}{% endif %}",
        "{% if name|length %}{% endif %}",
        "{% block a %}{% endblock %}",
        "{% if name %}",
        "{{ name",
        "{% if a %}" * 11 + "x" + "{% endif %}" * 11,
        "{% if " + "not " * 11 + "a %}{% endif %}",
        "{% if " + "(" * 5000 + "a" + ")" * 2900 + "%}",
        "x" * 8001,
    ],
)
def test_nothing_else_of_jinja_is_let_in(text: str) -> None:
    with pytest.raises(TemplateInvalid):
        syntax.variables_of(text)
    with pytest.raises(TemplateInvalid):
        syntax.render(text, {"name": "x", "a": "x"})


def test_more_conditions_than_can_be_measured_are_refused() -> None:
    assert len(syntax.outcomes("{% if a %}x{% endif %}" * 6)) == 64
    with pytest.raises(TemplateInvalid, match="64"):
        syntax.outcomes("{% if a %}x{% endif %}" * 7)
