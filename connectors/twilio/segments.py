"""How many SMS segments Twilio makes of a text: the unit of price, of sender rates and of daily caps.

The rules are those of Twilio's open-source calculator. `num_segments` of the API remains authoritative.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import regex

from connectors.values import value
from schemas.records import Encoding

GSM_SINGLE, GSM_PART = 160, 153
"""Septets in a lone segment, and in each of several: a 6-octet header leaves 1,072 of 1,120 bits."""

UCS2_SINGLE, UCS2_PART = 70, 67
"""UTF-16 units in a lone segment, and in each of several."""


@value
class Segments:
    """What a text costs.

    Attributes:
        encoding: GSM-7, or UCS-2 as soon as one character is not in GSM-7.
        segments: parts that the carrier bills; 1 for an empty text.
        units: septets (an extension character takes two) or UTF-16 units.
    """

    encoding: Encoding
    segments: int
    units: int


def count(body: str, *, smart_encoding: bool = False) -> Segments:
    """Segments of a text.

    An escape pair, a surrogate pair and a grapheme cluster are never split over two segments, so the count may exceed
    units ÷ limit. A cluster larger than a segment is the one exception: it is cut between code points.

    Args:
        body: text as sent to Twilio.
        smart_encoding: count what Twilio's Smart Encoding makes of it.
    """
    if smart_encoding:
        body = smart_encode(body)
    if _basic().fullmatch(body):  # nearly all texts: every character is one septet
        units = len(body)
        return Segments(Encoding.GSM7, 1 if units <= GSM_SINGLE else -(-units // GSM_PART), units)
    septets = _septets()
    if all(character in septets for character in body):
        return _count(Encoding.GSM7, [septets[character] for character in body], GSM_SINGLE, GSM_PART)
    return _count(Encoding.UCS2, list(_clusters(body)), UCS2_SINGLE, UCS2_PART)


def smart_encode(body: str) -> str:
    """The text with lookalike Unicode characters replaced by GSM-7 ones, as Twilio does with SmartEncoded=true. Some
    replacements are longer than what they replace, some are empty."""
    return body.translate(_replacements())


def _count(encoding: Encoding, sizes: list[int], single: int, part: int) -> Segments:
    units = sum(sizes)
    return Segments(encoding, 1 if units <= single else _parts(sizes, part), units)


def _parts(sizes: Iterable[int], room: int) -> int:
    parts, free = 1, room
    for size in sizes:
        if size > free:
            parts, free = parts + 1, room
        free -= size
    return parts


_CLUSTER = regex.compile(r"\r\n|\X")
_CONJUNCT = regex.compile(r"(?V1)(?<=[\p{M}\u200d])(?=[\p{Lo}--[\u0e33\u0eb3]])")
"""Before the second letter of an Indic conjunct. Twilio's calculator counts clusters by Unicode 10, which parts them;
since Unicode 15.1 they are one. Two vowels of Thai and Lao are letters as well, and belong to what is before them."""


def _clusters(body: str) -> Iterator[int]:
    for cluster in _parted(_CLUSTER.findall(body)):
        if cluster == "\r\n":
            yield from (1, 1)
            continue
        units = len(cluster) + sum(character > "\uffff" for character in cluster)
        if units <= UCS2_PART:
            yield units
        else:
            yield from (2 if character > "\uffff" else 1 for character in cluster)


def _parted(clusters: Iterable[str]) -> Iterator[str]:
    for cluster in clusters:
        if len(cluster) < 3:
            yield cluster
        else:
            yield from _CONJUNCT.split(cluster)


def _data(name: str) -> Any:
    return json.loads(files(__package__).joinpath(f"data/{name}").read_text(encoding="utf-8"))


@cache
def _septets() -> dict[str, int]:
    return {chr(int(code, 16)): len(octets) for code, octets in _data("gsm7.json")["gsm7"].items()}


@cache
def _basic() -> re.Pattern[str]:
    single = "".join(re.escape(character) for character, septets in _septets().items() if septets == 1)
    return re.compile(f"[{single}]*")


@cache
def _replacements() -> dict[int, str]:
    return {int(code, 16): replacement for code, replacement in _data("smart_encoding.json")["map"].items()}
