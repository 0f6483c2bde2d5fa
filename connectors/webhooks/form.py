"""A webhook's form as received: every pair for the signature, and each field once for the record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

MAX_FIELDS = 300
"""Twilio sends about 20, a location or button reply 40; more is no webhook."""

_INT = re.compile(r"-?[0-9]{1,9}")  # fits Avro's 32 bits
_DECIMAL = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,20})?")

Pairs = Sequence[tuple[str, str]]


class Malformed(Exception):
    """The request is no webhook of this kind. The text names what is missing or wrong, never what was sent."""


def parse_form(body: bytes) -> Pairs:
    """The pairs of an `application/x-www-form-urlencoded` body, in order, blank values kept: Twilio signs them.

    Raises:
        Malformed: not UTF-8, or too many fields.
    """
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError:
        raise Malformed("the body is not UTF-8") from None
    except ValueError:
        raise Malformed(f"more than {MAX_FIELDS} fields") from None


def parse_query(query: str) -> Pairs:
    """The pairs of a URL's query, as `parse_form`."""
    return parse_form(query.encode("utf-8", "replace"))


class Fields:
    """The parameters by name; the first value of a name counts. What is taken no longer belongs to the rest.

    A blank value is as good as none for `text` and the others, and stays in the rest, as does what does not parse.
    """

    def __init__(self, pairs: Pairs) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            self._values.setdefault(name, value)

    def peek(self, name: str) -> str:
        """The value, which stays in the rest; empty where there is none."""
        return self._values.get(name, "")

    def text(self, name: str) -> str | None:
        """Take a value."""
        return self._values.pop(name) if self._values.get(name) else None

    def required(self, name: str) -> str:
        """Take a value.

        Raises:
            Malformed: it is missing or blank.
        """
        value = self.text(name)
        if value is None:
            raise Malformed(f"{name} is missing")
        return value

    def matching(self, name: str, pattern: re.Pattern[str]) -> str | None:
        """Take a value that matches as a whole."""
        return self._values.pop(name) if pattern.fullmatch(self.peek(name)) else None

    def integer(self, name: str) -> int | None:
        """Take a whole number of at most nine digits."""
        value = self.matching(name, _INT)
        return None if value is None else int(value)

    def decimal(self, name: str) -> float | None:
        """Take a decimal number as coordinates are written."""
        value = self.matching(name, _DECIMAL)
        return None if value is None else float(value)

    def rest(self) -> dict[str, str]:
        """Everything not taken."""
        return dict(self._values)
