"""Phone numbers as they may appear in logs."""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"\+\d{7,15}")


def mask_number(number: str) -> str:
    """`+14155550123` becomes `+1********23`: country digit and last two stay, the length stays."""
    return number[:2] + "*" * (len(number) - 4) + number[-2:] if len(number) > 5 else "*" * len(number)


def mask_numbers(text: str) -> str:
    """The text with every E.164 number in it masked."""
    return _NUMBER.sub(lambda match: mask_number(match.group()), text)


def mask_within(value: Any) -> Any:
    """Plain nested values (dicts, lists) with every E.164 number in every text masked; keys stay."""
    if isinstance(value, str):
        return mask_numbers(value)
    if isinstance(value, dict):
        return {name: mask_within(each) for name, each in value.items()}
    return [mask_within(each) for each in value] if isinstance(value, list) else value
