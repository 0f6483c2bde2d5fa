"""How many segments a text takes: Twilio's published calculator, written anew.

A segment carries 1120 bits; a text of several segments spends 48 of them on a header: 153 septets or 67 UTF-16 units
remain. A pair of septets, a surrogate pair and a grapheme cluster are never split, so a text may take one segment
more than its length suggests. One character outside GSM-7 turns the whole text into UCS-2.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files

import regex

_SEGMENT_BITS = 1120
_HEADER_BITS = 48
_SEPTET = 7
_UNIT = 16

_DATA = json.loads(files("twin").joinpath("data/gsm7.json").read_text(encoding="utf-8"))
_BASIC: str = _DATA["basic"]
_EXTENSION = frozenset(_DATA["extension"])
_SMART = str.maketrans(_DATA["smart"])
_PLAIN = re.compile(f"[{re.escape(_BASIC)}]*")
_GSM = re.compile(f"[{re.escape(_BASIC + ''.join(sorted(_EXTENSION)))}]*")
_ONE_UNIT_EACH = re.compile("[\x00-\x7f\xa0-\u02ff\u0370-\u0482\u048a-\u058f]*")  # no combining marks in these blocks
_GRAPHEME = regex.compile(r"\X")
_BEFORE_JOINED_LETTER = regex.compile(r"(?V1)(?<=[\p{M}\u200d])(?=\p{Lo})(?![\u0e33\u0eb3])")
"""Letters after a mark, joined to it by Unicode 15.1 (Indic conjuncts) and not yet by 10, by which Twilio counts."""


@dataclass(frozen=True, slots=True)
class Segments:
    """How a text goes over the air.

    Attributes:
        encoding: "GSM-7" or "UCS-2".
        segments: number of parts, at least 1.
        message_bits: size of the text alone.
        total_bits: with the headers of its parts.
    """

    encoding: str
    segments: int
    message_bits: int
    total_bits: int


def smart_encode(text: str) -> str:
    """Replace characters that look like a GSM-7 one by it, as Twilio's Smart Encoding does (some texts grow)."""
    return text.translate(_SMART)


def count(text: str) -> Segments:
    """Count the segments of a text as Twilio's calculator does."""
    if _PLAIN.fullmatch(text):
        return _even("GSM-7", len(text), _SEPTET)
    if _GSM.fullmatch(text):
        return _pack("GSM-7", [2 * _SEPTET if char in _EXTENSION else _SEPTET for char in text])
    if _ONE_UNIT_EACH.fullmatch(text):
        return _even("UCS-2", len(text), _UNIT)
    return _pack("UCS-2", [_UNIT * utf16_units(cluster) for cluster in _graphemes(text)])


def utf16_units(text: str) -> int:
    """Length as Twilio and JavaScript count it: characters outside the basic plane count twice."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _graphemes(text: str) -> list[str]:
    clusters = (part for cluster in _GRAPHEME.findall(text) for part in (cluster if cluster == "\r\n" else (cluster,)))
    return [part for cluster in clusters for part in _BEFORE_JOINED_LETTER.split(cluster)]


def _even(encoding: str, length: int, bits: int) -> Segments:
    """All characters are of one size."""
    message_bits = length * bits
    if message_bits <= _SEGMENT_BITS:
        return Segments(encoding, 1, message_bits, message_bits)
    parts = -(-length // ((_SEGMENT_BITS - _HEADER_BITS) // bits))
    return Segments(encoding, parts, message_bits, message_bits + parts * _HEADER_BITS)


def _pack(encoding: str, sizes: list[int]) -> Segments:
    message_bits = sum(sizes)
    if message_bits <= _SEGMENT_BITS:
        return Segments(encoding, 1, message_bits, message_bits)
    parts, free = 1, _SEGMENT_BITS - _HEADER_BITS
    for size in sizes:
        if size > free:
            parts, free = parts + 1, _SEGMENT_BITS - _HEADER_BITS
        free -= size
    return Segments(encoding, parts, message_bits, message_bits + parts * _HEADER_BITS)
