"""In which order Twilio writes the fields of a webhook.

Real requests come in no alphabetical or logical order, yet always in the same: that of Scala's immutable hash map
(2.12 and before), which walks a trie of 5 bits of the improved `String.hashCode` per level. It reproduces every
captured SMS, MMS and WhatsApp request and SMS status callback we know, and so tells the place of any other field.
Only the WhatsApp status callback of 2026 is written in another order, see `callbacks.py`.
"""

from __future__ import annotations

from functools import cache

_32_BITS = 0xFFFFFFFF


@cache
def _place(name: str) -> tuple[int, ...]:
    code = 0
    for char in name:
        code = (31 * code + ord(char)) & _32_BITS
    code = (code + (~(code << 9) & _32_BITS)) & _32_BITS
    code ^= code >> 14
    code = (code + (code << 4)) & _32_BITS
    code ^= code >> 10
    return tuple((code >> (5 * level)) & 31 for level in range(7))


@cache
def _ordered(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=_place))


def in_wire_order(fields: dict[str, str]) -> list[tuple[str, str]]:
    """The fields as Twilio would write them."""
    return [(name, fields[name]) for name in _ordered(tuple(fields))]
