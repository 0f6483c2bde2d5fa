"""What a phone number tells by itself: whether its plan knows it, in which country, and whether as a fixed line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneMetadata
from phonenumbers.phonemetadata import PhoneNumberDesc

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
"""ITU-T E.164: a plus, the country code, at most 15 digits in all."""
_LONGEST = 16

_CACHED_NUMBERS = 100_000  # a look-up takes 10 to 30 µs, a cached one 0.1; about 15 MB when full


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is valid in its country's plan.

    Attributes:
        country: ISO 3166 alpha-2; "001" for numbers of no country (such as +800).
        fixed_line: the plan knows it as a fixed line. Where the plan cannot tell fixed from mobile, as in the
            USA, this is False.
    """

    country: str
    fixed_line: bool


def look_up(e164: str) -> Number | None:
    """The facts about a number in E.164, None when it is no valid number. It is taken digit by digit:
    `phonenumbers.parse` would forgive what is no E.164, such as the 0 in +44 0 7911…, and takes as long as all the
    rest."""
    return _looked_up(e164) if len(e164) <= _LONGEST else None  # what is no number may be long, and is not to be kept


def country_of(e164: str) -> str | None:
    """Country of a number in E.164 (`Number.country`), None when it is no valid number."""
    number = look_up(e164)
    return None if number is None else number.country


@lru_cache(maxsize=_CACHED_NUMBERS)
def _looked_up(e164: str) -> Number | None:
    if E164.fullmatch(e164) is None:
        return None
    for end in (2, 3, 4):
        code = int(e164[1:end])
        if code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return _in_plan(code, e164[end:])
    return None


def _in_plan(code: int, national: str) -> Number | None:
    """What `phonenumbers.region_code_for_number` and `number_type` say of the digits behind a country code. Both go
    through the plans of all countries that share it (twenty-five share +1), and the latter does so twice."""
    for plan in _plans(code):
        if plan.first is not None and plan.first(national) is None:
            continue
        kinds = plan.kinds(len(national))
        if kinds.any is not None and kinds.any(national) is not None:
            if kinds.movable is not None and kinds.movable(national) is not None:
                return plan.movable
            if kinds.fixed is not None and kinds.fixed(national) is not None:
                return plan.fixed
        if plan.first is not None:
            return None
    return None


Match = Callable[[str], object | None]


class _Kinds(NamedTuple):
    """Numbers of one length: those that the plan knows at all, those that are no fixed lines (mobile or perhaps mobile,
    toll-free, ...), and the fixed lines. One expression where `phonenumbers` asks one by one for each of ten kinds."""

    any: Match | None
    movable: Match | None
    fixed: Match | None


class _Plan:
    """One country's plan.

    Attributes:
        first: matches the first digits that tell it from others with the same code; None: it has the code to itself.
        movable, fixed: what is said of its numbers.
    """

    def __init__(self, country: str, plan: PhoneMetadata, *, alone: bool) -> None:
        first = None if alone else plan.leading_digits  # they tell the country, whether valid or not
        self.first = None if first is None else re.compile(first).match
        self.movable, self.fixed = Number(country, fixed_line=False), Number(country, fixed_line=True)
        self._plan = plan
        self._kinds: dict[int, _Kinds] = {}

    def kinds(self, length: int) -> _Kinds:
        """Of numbers so long. Made when the first one comes, which takes a millisecond."""
        kinds = self._kinds.get(length)
        if kinds is None:
            plan, same = self._plan, self._plan.same_mobile_and_fixed_line_pattern  # which of the two cannot be told
            neither = [getattr(plan, kind) for kind in _NEITHER]
            kinds = self._kinds[length] = _Kinds(
                _one_of([plan.general_desc], length),
                _one_of([*neither, plan.fixed_line if same else plan.mobile], length),
                None if same else _one_of([plan.fixed_line], length),
            )
        return kinds


@cache
def _plans(code: int) -> tuple[_Plan, ...]:
    countries = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]
    plans = ((each, PhoneMetadata.metadata_for_region_or_calling_code(code, each)) for each in countries)
    return tuple(_Plan(each, plan, alone=len(countries) == 1) for each, plan in plans if plan is not None)


def _one_of(kinds: list[PhoneNumberDesc | None], length: int) -> Match | None:
    """Matches a number that is of one of these kinds; None where none has numbers so long."""
    patterns = [
        f"(?:{kind.national_number_pattern})"
        for kind in kinds
        if kind is not None
        and kind.national_number_pattern
        and (not kind.possible_length or length in kind.possible_length)
    ]
    return re.compile("|".join(patterns)).fullmatch if patterns else None


_NEITHER = ("premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail")
"""Kinds that are neither mobile nor fixed lines; `phonenumbers` asks for them first."""
