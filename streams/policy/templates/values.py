"""The values of a template's variables: from the request, else from the person's profile, else the declared default."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connectors.twilio.segments import count
from schemas.limits import code_units
from schemas.reasons import Reason
from schemas.records import Encoding
from streams.policy.quote import quote
from streams.policy.verdict import Deny

from .model import Charset, Kind, Variable

NO_VARIABLES: Mapping[str, str] = {}
_FORMS = {
    Kind.NUMBER: (re.compile(r"[+-]?[0-9]+([.,][0-9]+)*"), "a number", "Give digits, with . or , between them."),
    Kind.CODE: (re.compile(r"[A-Za-z0-9-]+"), "a code", "Give letters A to Z, digits and -."),
    # Every character is one septet of GSM-7, so that length is cost; `~`, `[` and the like can be percent-encoded.
    Kind.URL: (
        re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?([/?#][A-Za-z0-9._:/?#@!$&'()*+,;=%-]*)?"),
        "a URL",
        "Give an http or https URL, unusual characters as %XX.",
    ),
}
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def fill(
    declared: Mapping[str, Variable], given: Mapping[str, str], profile: Mapping[str, str] = NO_VARIABLES
) -> dict[str, str] | Deny:
    """A value for every declared variable, or what is wrong. A value that the profile holds in a wrong form is an error
    as well: better no message than a wrong one. No detail ever quotes a value."""
    for name in given:
        if name not in declared:
            known = ", ".join(declared) or "it has none"
            return _deny("content.variables", f"There is no variable {quote(name)}.", f"Leave it out; known: {known}.")
    values = {}
    for name, variable in declared.items():
        value = given.get(name, profile.get(name))
        if value is None:
            if variable.default is None:
                return _deny(_field(name), "It is missing.", "Give it in the request or in the person's profile.")
            values[name] = variable.default
            continue
        if isinstance(trouble := complaint(variable, value), tuple):
            return _deny(_field(name), *trouble)
        values[name] = value
    return values


def complaint(variable: Variable, value: str) -> tuple[str, str] | None:
    """What is wrong with a value, and how to mend it."""
    if not value:
        # An empty text is for a variable that may be left out.
        return None if variable.default == "" else ("It is empty.", "Give a value.")
    if len(value) > variable.max_length or (length := _length(variable, value)) > variable.max_length:
        length = len(value) if len(value) > variable.max_length else length
        return f"It has {length} characters as an SMS counts them.", f"Give at most {variable.max_length}."
    if variable.kind is not Kind.TEXT:
        form, what, fix = _FORMS[variable.kind]
        return None if form.fullmatch(value) else (f"It is not {what}.", fix)
    if _CONTROL.search(value):
        return "It holds a control character or half a surrogate pair.", "Give plain text."
    if variable.charset is Charset.GSM7 and count(value).encoding is not Encoding.GSM7:
        return "It holds a character that is not in GSM-7.", "Replace it, or declare the variable `charset: any`."
    return None


def _length(variable: Variable, value: str) -> int:
    if variable.kind is Kind.TEXT and variable.charset is Charset.GSM7:
        return count(value).units
    return code_units(value)


def _field(name: str) -> str:
    return f"content.variables.{name}"


def _deny(field: str, detail: str, fix: str) -> Deny:
    return Deny(Reason.INVALID_VARIABLES, field, detail, fix)
