"""What a template is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase


class Kind(StrEnum):
    """What a variable may hold."""

    TEXT = "text"
    NUMBER = "number"
    CODE = "code"
    URL = "url"


class Charset(StrEnum):
    """Which characters a text variable may hold: those of GSM-7, or any (one outside GSM-7 makes the SMS UCS-2)."""

    GSM7 = "gsm7"
    ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One declared variable.

    Attributes:
        kind: what it may hold.
        max_length: longest value, as an SMS counts it: septets for GSM-7 (`€` is two), else UTF-16 units (an emoji is
            two and more).
        charset: characters of a text; the other kinds are within GSM-7.
        default: value where neither request nor profile has one; None: it must be given. "" lets a template ask
            `{% if name %}`.
    """

    kind: Kind = Kind.TEXT
    max_length: int
    charset: Charset = Charset.ANY
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a template: variables by name and texts by locale (BCP 47)."""

    variables: Mapping[str, Variable] = field(default_factory=dict)
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A text of our own.

    Attributes:
        name: configured name, as requests give it.
        current: version used where the request names none.
        versions: by their names.
        default_locale: locale of the text used where nothing fits the person; every version has it.
        categories: categories it may be sent in; None: all.
        max_segments: most SMS segments it may make.
        unsubscribe: end with the unsubscribe line; None: as the category says.
        shorten_urls: Twilio ShortenUrls; None: as the category says.
    """

    name: str
    current: str
    versions: Mapping[str, Version]
    default_locale: str
    categories: frozenset[str] | None = None
    max_segments: int
    unsubscribe: bool | None = None
    shorten_urls: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentTemplate:
    """A Content template at Twilio, as far as the operator told.

    Attributes:
        name: configured name.
        sid: HX and 32 hexadecimal digits.
        variables: by name, as Twilio's placeholders (`1`, `2`).
        approved: WhatsApp approved it, so that it may open a conversation.
    """

    name: str
    sid: str
    variables: Mapping[str, Variable] = field(default_factory=dict)
    approved: bool = True


def granted(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether grants such as `order-*` cover a template."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
