"""What Segment answered, as values: the pure reading of an HTTP response."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

TEXT_MAX = 1600
"""A longer value fits no message; it is left out, so that the cache stays small."""

RETRY_AFTER_MAX_S = 3600.0
"""A header that asks for more is no reason to leave customer data alone for a day."""

Traits = Mapping[str, str]
"""Values of a person's traits by name, as text. Lists and objects have none and are left out."""


@dataclass(frozen=True, slots=True)
class Known:
    """Segment knows the person.

    Attributes:
        traits: those of the wanted ones that the person has.
        more: names the next page; None on the last one.
    """

    traits: Traits
    more: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Segment has no profile with that id."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """No answer about the person.

    Attributes:
        why: for a person; no ids, no traits.
        retry_after_s: seconds by the Retry-After header. Segment does not promise one.
        about_us: it says something about Segment or our credentials, not about this one id.
        everybody: it surely holds for everybody, so that nobody else needs to find out.
    """

    why: str
    retry_after_s: float | None = None
    about_us: bool = True
    everybody: bool = False


Answer = Known | Unknown | Trouble


def read(status: int, body: bytes, headers: Mapping[str, str], wanted: Collection[str]) -> Answer:
    """The answer to a request for traits.

    Args:
        status: HTTP status.
        body: as it came.
        headers: of the answer, found by name in any case.
        wanted: names of traits to keep.
    """
    if status == 200:
        return _traits(_object(body), wanted)
    if status == 404:
        # A proxy or a wrong base URL answers 404 as well: only Segment's own word makes a person unknown.
        return Unknown() if _code(body) == "not_found" else Trouble("404 without Segment's `not_found`")
    if status == 400:
        return Trouble("400: Segment does not take this id", about_us=False)
    if status in (401, 403):
        return Trouble(f"{status}: Segment does not take the token", everybody=True)
    retry_after_s = _retry_after_s(headers)
    if status == 429:
        return Trouble("429: too many requests to the space", retry_after_s, everybody=True)
    return Trouble(f"status {status}", retry_after_s)


def _traits(answer: Any, wanted: Collection[str]) -> Answer:
    traits = answer.get("traits") if isinstance(answer, dict) else None
    if not isinstance(traits, dict):
        return Trouble("200 without `traits`")
    texts = {name: text for name in wanted if (text := _text(traits.get(name))) is not None}
    cursor = answer.get("cursor")
    more = cursor.get("next") if isinstance(cursor, dict) and cursor.get("has_more") is True else None
    return Known(texts, more if isinstance(more, str) and more else None)


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return value if isinstance(value, str) and len(value) <= TEXT_MAX else None


def _code(body: bytes) -> object:
    answer = _object(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    return error.get("code") if isinstance(error, dict) else None


def _object(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds, as the header's first form (RFC 9110) says them; a date is not worth its trouble here."""
    value = headers.get("Retry-After", "")
    return min(float(value), RETRY_AFTER_MAX_S) if value.isdecimal() and value.isascii() else None
