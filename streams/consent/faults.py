"""What is wrong with a change of consent that can be read, and what counts then."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from schemas.records import Consent, ConsentChange, ConsentScope

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_NO = frozenset({ConsentChange.OPT_OUT, ConsentChange.SUPPRESS})


class Fault(NamedTuple):
    """The field at fault, what is wrong with it, and how to mend it; holds no number."""

    field: str
    detail: str
    fix: str


class Effect(Enum):
    """What a record does to a ledger."""

    FOLDED = auto()
    """What it says."""
    OPT_OUT_OF_EVERYTHING = auto()
    """It cannot be read, or is a no that does not tell whose or to what it is: an opt-out from everything for the
    person it names, until an operator's record repairs it."""
    NOTHING = auto()
    """It is a yes that does not tell whose or to what it is."""


def fault_of(record: Consent) -> Fault | None:
    """What is wrong with a record, if anything."""
    if _E164.fullmatch(record.recipient) is None:
        return Fault("recipient", "it is no E.164 number", "write + and country code, with no prefix and no spaces")
    if record.scope is not ConsentScope.ALL and not record.scope_value:
        return Fault("scope_value", f"the scope {record.scope.value} needs one", "name it, or use the scope all")
    return None


def effect_of(record: Consent | None) -> Effect:
    """What a record does; None for one that cannot be read."""
    if record is not None and fault_of(record) is None:
        return Effect.FOLDED
    return Effect.OPT_OUT_OF_EVERYTHING if record is None or record.change in _NO else Effect.NOTHING


def named_by(record: Consent | None, key: bytes | None) -> str | None:
    """Whom a record is about: the recipient in it where that is a number, else in its key; None where neither is."""
    if record is not None and _E164.fullmatch(record.recipient):
        return record.recipient
    text = (key or b"").decode("ascii", "replace")
    return text if _E164.fullmatch(text) else None
