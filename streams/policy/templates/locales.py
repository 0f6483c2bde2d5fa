"""Which of several texts fits a person's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache


def best(texts: Mapping[str, str], wanted: Iterable[str | None]) -> str | None:
    """The key of the first text that fits the wanted locales in their order, None when none does.

    Each locale is shortened from its end until a text is found (RFC 4647, lookup): `de-CH` finds `de`. Case and `_` do
    not matter.
    """
    return _best(tuple(texts), tuple(wanted))


@lru_cache(maxsize=4096)  # few templates have the same locales, and few locales are asked for
def _best(texts: tuple[str, ...], wanted: tuple[str | None, ...]) -> str | None:
    known = {_plain(locale): locale for locale in texts}
    for locale in wanted:
        parts = _plain(locale or "").split("-")
        while parts:
            if found := known.get("-".join(parts)):
                return found
            parts.pop()
    return None


def _plain(locale: str) -> str:
    return locale.replace("_", "-").lower()
