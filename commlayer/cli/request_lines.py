"""Message requests as JSON lines: one object a line, keys as the parameters of `commlayer_client.Publisher.send`, and
`app`. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from commlayer.moments import moment

_MOMENTS = ("not_before", "deadline")


@dataclass(frozen=True, slots=True)
class RequestLine:
    """One line that can be asked for.

    Attributes:
        number: from 1.
        app: whose request it is.
        fields: everything else; the publisher checks them.
    """

    number: int
    app: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line that cannot."""

    number: int
    what: str
    fix: str


def read_lines(lines: Iterable[bytes], default_app: str | None) -> Iterator[RequestLine | BadLine]:
    """One result for each line of UTF-8, in order; blank lines are passed over."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _read(number, line, default_app)


def _read(number: int, line: bytes, default_app: str | None) -> RequestLine | BadLine:
    try:
        fields = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return BadLine(number, f"not UTF-8 at byte {error.start}", "write the file in UTF-8")
    except RecursionError:
        return BadLine(number, "nested too deeply", 'write one object a line, such as {"to": "+1...", ...}')
    except ValueError as error:  # its text tells the place, not the content
        return BadLine(number, f"not JSON: {error}", 'write one object a line, such as {"to": "+1...", ...}')
    if not isinstance(fields, dict):
        return BadLine(number, "not a JSON object", 'write one object a line, such as {"to": "+1...", ...}')
    app = fields.pop("app", default_app)
    if app is not None and not isinstance(app, str):
        return BadLine(number, f"app: is of type {type(app).__name__}", "write the app's name as text")
    if app is None:
        return BadLine(number, "app: is missing", 'give --app, or "app" in every line')
    for name in _MOMENTS:
        if isinstance(fields.get(name), str):
            try:
                fields[name] = moment(fields[name])
            except ValueError as error:
                what, _, fix = str(error).partition(": ")
                return BadLine(number, f"{name}: {what}", fix)
    return RequestLine(number, app, fields)
