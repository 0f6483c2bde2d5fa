"""Keywords: messages of one word that ask to stop, to start again or for help. The words are data/keywords.yaml.

A keyword is the whole message and one word, in any case. Space around it does not count. STOP words may also stand in
quotes or before punctuation ("STOP", Stop!): Twilio would not act on that, but whoever sends it wants to be left
alone. START and HELP words must be exact, because a START that Twilio does not see leaves its block in place.
Sentences ("STOP PLEASE", "I'll stop by") are no keywords.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from schemas.records import KeywordIntent

from .addresses import SenderType

LONGEST = 40
"""Longer messages are not looked at: no keyword is as long, and bodies come from strangers."""


@dataclass(frozen=True, slots=True)
class KeywordMatch:
    """A keyword found.

    Attributes:
        intent: what it asks for.
        keyword: the word of the pack, upper case.
        exact: the message is the bare word, so that Twilio's default handling acts on it as well.
    """

    intent: KeywordIntent
    keyword: str
    exact: bool


class KeywordPacks:
    """The keywords of some languages. A word that two languages use with different intents is a STOP first, then a
    START: of two readings the one that sends less wins."""

    def __init__(self, packs: Mapping[str, Mapping[str, Any]]) -> None:
        self._words: dict[str, tuple[KeywordIntent, str, frozenset[SenderType]]] = {}
        for intent in (KeywordIntent.STOP, KeywordIntent.HELP, KeywordIntent.START):
            for pack in packs.values():
                for entry in pack.get(intent.value, ()):
                    word, not_on = (entry, ()) if isinstance(entry, str) else (entry["word"], entry["not_on"])
                    self._words.setdefault(
                        _folded(word), (intent, word.upper(), frozenset(SenderType(name) for name in not_on))
                    )

    def match(self, text: str, sender_type: SenderType = SenderType.LONG_CODE) -> KeywordMatch | None:
        """The keyword that the whole text is, None if it is none.

        Args:
            text: body of the inbound message.
            sender_type: kind of our sender it was sent to; some words count on some only.
        """
        if len(text) > LONGEST:
            return None
        bare = _trimmed(text)
        word = _folded(bare)
        exact = word in self._words
        if not exact:
            word = _folded(_unquoted(bare))
        found = self._words.get(word)
        if found is None:
            return None
        intent, keyword, not_on = found
        if sender_type in not_on or (not exact and intent is not KeywordIntent.STOP):
            return None
        return KeywordMatch(intent, keyword, exact)


def match(text: str, sender_type: SenderType = SenderType.LONG_CODE) -> KeywordMatch | None:
    """`KeywordPacks.match` with the packs as shipped."""
    return shipped_packs().match(text, sender_type)


@cache
def shipped_packs() -> KeywordPacks:
    """The packs of data/keywords.yaml."""
    return KeywordPacks(yaml.safe_load(files(__package__).joinpath("data/keywords.yaml").read_text(encoding="utf-8")))


def _folded(word: str) -> str:
    # NFKC: phones with East Asian keyboards send full-width letters.
    return unicodedata.normalize("NFKC", word).casefold()


def _trimmed(text: str) -> str:
    return _strip(text, lambda character: character.isspace() or unicodedata.category(character) in ("Cc", "Cf"))


def _unquoted(text: str) -> str:
    return _strip(text, lambda character: character.isspace() or unicodedata.category(character)[0] in ("P", "C"))


def _strip(text: str, drop: Callable[[str], bool]) -> str:
    start, end = 0, len(text)
    while start < end and drop(text[start]):
        start += 1
    while end > start and drop(text[end - 1]):
        end -= 1
    return text[start:end]
