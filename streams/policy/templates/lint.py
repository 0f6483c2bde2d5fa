"""What a template's texts can cost, before anything is sent: the shortest and the longest way through each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from connectors.twilio.segments import count
from schemas.limits import BODY_MAX, code_units
from schemas.records import Encoding

from . import syntax
from .locales import best
from .model import Charset, Kind, Template, Variable
from .syntax import Outcome, TemplateInvalid
from .values import complaint

_GSM7, _BEYOND = "a", "\u2603"  # one septet; one UTF-16 unit outside GSM-7


@dataclass(frozen=True, slots=True)
class Cost:
    """What one text can cost as SMS, unsubscribe line included.

    Attributes:
        least, most: segments with the shortest and with the longest values.
        encoding: of the longest.
        units: UTF-16 units of the longest; Twilio takes 1600.
        forcing: characters of the text itself that make it UCS-2.
        loose: variables whose values may make it UCS-2.
    """

    least: int
    most: int
    encoding: Encoding
    units: int
    forcing: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a template: path inside it, what, and the fix. `error` False: allowed, but worth a look."""

    path: tuple[str, ...]
    what: str
    fix: str
    error: bool = True


def measure(text: str, variables: Mapping[str, Variable], unsubscribe: str = "") -> Cost:
    """The cost of a text.

    Raises:
        TemplateInvalid: it is not within the subset, or names a variable that is not declared.
    """
    used = syntax.variables_of(text)
    if undeclared := sorted(used - variables.keys()):
        raise TemplateInvalid(f"it uses {', '.join(undeclared)}, which is not declared")
    ways = syntax.outcomes(text)
    tail = f"\n{unsubscribe}" if unsubscribe else ""
    longest = [_filled(way, variables, _longest) + tail for way in ways]
    shortest = [_filled(way, variables, _shortest) + tail for way in ways]
    costs = [count(body) for body in longest]
    worst = max(costs, key=lambda cost: cost.segments)
    literal = "".join(piece for way in ways for piece in way if isinstance(piece, str)) + tail
    return Cost(
        least=min(count(body).segments for body in shortest),
        most=worst.segments,
        encoding=worst.encoding,
        units=max(code_units(body) for body in longest),
        forcing=forcing(literal),
        loose=tuple(name for name in sorted(used) if _is_loose(variables[name])),
    )


def forcing(text: str) -> tuple[str, ...]:
    """Characters of a text that are not in GSM-7, each once."""
    return tuple(each for each in dict.fromkeys(text) if count(each).encoding is Encoding.UCS2)


def findings(template: Template, unsubscribe: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Everything wrong with a template.

    Args:
        unsubscribe: the line by locale where the template may be sent with it, else None.
    """
    if template.current not in template.versions:
        known = ", ".join(template.versions)
        yield Finding(("current",), f"there is no version {template.current!r}.", f"write one of: {known}.")
    for name, version in template.versions.items():
        path = ("versions", name)
        if template.default_locale not in version.texts:
            what = f"the text for the default locale {template.default_locale} is missing."
            yield Finding((*path, "texts"), what, "add it, or change `default_locale:`.")
        yield from _variables(path, version.variables, version.texts.values())
        for locale, text in version.texts.items():
            lines = _lines(unsubscribe, locale, template.default_locale)
            yield from _text(template, (*path, "texts", locale), text, version.variables, lines)


def _lines(unsubscribe: Mapping[str, str] | None, locale: str, default: str) -> str:
    """The line that this text would end with; without one for its locale any of them may come: the longest counts."""
    if not unsubscribe:
        return ""
    found = best(unsubscribe, [locale, default])
    return unsubscribe[found] if found else max(unsubscribe.values(), key=len)


def _variables(path: tuple[str, ...], variables: Mapping[str, Variable], texts: Iterable[str]) -> Iterator[Finding]:
    used: set[str] = set()
    for text in texts:
        try:
            used |= syntax.variables_of(text)
        except TemplateInvalid:
            return  # told with the text
    for name, variable in variables.items():
        place = (*path, "variables", name)
        if not name.isidentifier():
            fix = "write a letter or `_`, then letters, digits and `_`."
            yield Finding(place, "a text cannot name this variable.", fix)
        elif name not in used:
            yield Finding(place, "no text uses it.", "use it, or remove it.", error=False)
        if variable.default and (trouble := complaint(variable, variable.default)):
            yield Finding((*place, "default"), trouble[0][0].lower() + trouble[0][1:], trouble[1])


def _text(
    template: Template, path: tuple[str, ...], text: str, variables: Mapping[str, Variable], unsubscribe: str
) -> Iterator[Finding]:
    try:
        cost = measure(text, variables, unsubscribe)
    except TemplateInvalid as invalid:
        yield Finding(path, f"{invalid}.", "see docs/templates.md for what a text may say.")
        return
    if not text.strip():
        yield Finding(path, "there is no text.", "write one, or remove the locale.")
    if cost.units > BODY_MAX:
        what = f"with the longest values it has {cost.units} characters as Twilio counts."
        yield Finding(path, what, f"shorten it, or lower `max_length:` of its variables: Twilio takes {BODY_MAX}.")
    elif cost.most > template.max_segments:
        why = ""
        if cost.forcing:
            why = f" {' '.join(cost.forcing)} makes it UCS-2."
        elif cost.encoding is Encoding.UCS2 and cost.loose:
            why = f" Values of {', '.join(cost.loose)} may make it UCS-2."
        what = f"with the longest values it makes {cost.most} segments, not {template.max_segments}.{why}"
        fix = "shorten it, declare `charset: gsm7`, lower `max_length:`, or raise `max_segments:`."
        yield Finding(path, what, fix)
    elif cost.forcing:
        what = f"{' '.join(cost.forcing)} makes it UCS-2: 70 characters to a segment, not 160."
        yield Finding(path, what, "replace it by a character of GSM-7 if it need not be.", error=False)


def _filled(way: Outcome, variables: Mapping[str, Variable], value: Callable[[Variable], str]) -> str:
    return "".join(piece if isinstance(piece, str) else value(variables[piece.name]) for piece in way)


def _longest(variable: Variable) -> str:
    return (_BEYOND if _is_loose(variable) else _GSM7) * variable.max_length


def _shortest(variable: Variable) -> str:
    return "" if variable.default == "" else _GSM7


def _is_loose(variable: Variable) -> bool:
    return variable.kind is Kind.TEXT and variable.charset is Charset.ANY
