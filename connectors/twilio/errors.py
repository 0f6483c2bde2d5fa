"""What a Twilio error means for us: data/error_classes.json, which an operator can override, with safe defaults.

The class of a code is a judgement, its meaning Twilio's. Twilio says that the code for a given cause may change, so
nothing but this table decides, and codes that it lacks get a default by HTTP status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any


class Scope(StrEnum):
    """What the error is about, and so who must stop.

    message: this message only. recipient: any message to this person on this channel. sender: any message of this lane.
    account: any message of this account. throttled: slow down, never processed. transient: not processed, a
    retry may work. in_doubt: Twilio may have accepted.
    """

    MESSAGE = "message"
    RECIPIENT = "recipient"
    SENDER = "sender"
    ACCOUNT = "account"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    IN_DOUBT = "in_doubt"


class Subject(StrEnum):
    """Who the error is about; differs from the scope for `throttled` (20429: the account, 21611: one sender)."""

    MESSAGE = "message"
    RECIPIENT = "recipient"
    SENDER = "sender"
    ACCOUNT = "account"


class Retry(StrEnum):
    """Whether the same message may be tried again.

    no: never. backoff: in seconds. later: in minutes to hours. once: one careful retry. fix: after a person changed
    something. alt: with another sender, channel or template.
    """

    NO = "no"
    BACKOFF = "backoff"
    LATER = "later"
    ONCE = "once"
    FIX = "fix"
    ALT = "alt"


class Suppress(StrEnum):
    """How far a number is suppressed by one such error: on the channel that was tried, or for everything."""

    CHANNEL = "channel"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """How to treat an error.

    Attributes:
        scope: what it is about.
        retry: whether to try again.
        title: Twilio's title of the code, or a description of the HTTP status.
        action: what an operator or stage should do.
        subject: who it is about.
        opt_out: the recipient has opted out; belongs in the consent ledger.
        suppress: suppress the number, so far; None leaves it alone.
        suppress_for_s: seconds until the suppression ends; None for never. Where one report proves little, or Twilio
            blocks for a while only, it ends.
        known: the code stands in the table.
        blames_sender: a message that fails with it after Twilio took it says something of the sender: carriers filter
            what it sends, or do not take it from this sender.
        day_cap_of: the carrier, by our name, that takes no more of the brand until 00:00 Pacific time.
        may_be_country: of an error about the sender: it may be refused for the recipient's country alone.
    """

    scope: Scope
    retry: Retry
    title: str
    action: str
    subject: Subject
    opt_out: bool = False
    suppress: Suppress | None = None
    suppress_for_s: int | None = None
    known: bool = True
    blames_sender: bool = False
    day_cap_of: str | None = None
    may_be_country: bool = False


@dataclass(frozen=True, slots=True)
class ErrorOverride:
    """An operator's different opinion about one code; None leaves the table's.

    Attributes:
        scope, retry, subject, action, opt_out: as in `ErrorClass`. A new scope brings its own subject.
        suppresses: False: the error suppresses nobody. True: as `suppress` and `suppress_for_s` here say.
        suppress: how far, where `suppresses`.
        suppress_for_s: until when, where `suppresses`; None for ever.
        blames_sender: as in `ErrorClass`; a new subject brings its own.
        may_be_country: as in `ErrorClass`; false where the scope is not the sender.
    """

    scope: Scope | None = None
    retry: Retry | None = None
    subject: Subject | None = None
    action: str | None = None
    opt_out: bool | None = None
    suppresses: bool | None = None
    suppress: Suppress = Suppress.ALL
    suppress_for_s: int | None = None
    blames_sender: bool | None = None
    may_be_country: bool | None = None


@dataclass(frozen=True, slots=True)
class TwilioError:
    """One error as Twilio (or our own check of the parameters) stated it.

    Attributes:
        code: Twilio's error code; None where the answer held none.
        message: Twilio's text. May hold phone numbers: mask before logging.
        http_status: None when the error did not come over HTTP (a callback, our own check).
        error_class: how to treat it.
    """

    code: int | None
    message: str
    http_status: int | None
    error_class: ErrorClass


class ErrorPolicy:
    """The table of error classes with an operator's overrides."""

    def __init__(self, overrides: Mapping[int, ErrorOverride] | None = None) -> None:
        self._classes = dict(_table())
        for code, override in (overrides or {}).items():
            self._classes[code] = _overridden(code, self._classes.get(code), override)

    def codes(self) -> frozenset[int]:
        """Every code that has a class of its own."""
        return frozenset(self._classes)

    def classify(self, code: int | None, http_status: int | None = None) -> ErrorClass:
        """The class of an error.

        Args:
            code: Twilio's code, None if there was none.
            http_status: status of the response that carried it; None for callbacks. A POST answered 5xx may have been
                carried out, so that is always in doubt, except where the code says that the request was throttled.
        """
        found = self._classes.get(code) if code is not None else None
        if http_status is not None and http_status >= 500 and (found is None or found.scope is not Scope.THROTTLED):
            return found if found is not None and found.scope is Scope.IN_DOUBT else _server_error(http_status)
        if found is not None:
            return found
        return _unknown_code(code) if http_status is None else _by_status(code, http_status)


def classify(code: int | None, http_status: int | None = None) -> ErrorClass:
    """`ErrorPolicy.classify` with the table as shipped."""
    return _shipped().classify(code, http_status)


@cache
def _shipped() -> ErrorPolicy:
    return ErrorPolicy()


@cache
def _table() -> Mapping[int, ErrorClass]:
    rows: list[dict[str, Any]] = json.loads(
        files(__package__).joinpath("data/error_classes.json").read_text(encoding="utf-8")
    )
    return {
        row["code"]: ErrorClass(
            scope=Scope(row["scope"]),
            retry=Retry(row["retry"]),
            title=row["title"],
            action=row["action"],
            subject=Subject(row["subject"]),
            opt_out=row["opt_out"],
            suppress=Suppress(row["suppress"]) if row["suppress"] is not None else None,
            suppress_for_s=row["suppress_for_s"],
            blames_sender=row.get("blames_sender", row["subject"] == Subject.SENDER),
            day_cap_of=row.get("day_cap_of"),
            may_be_country=row.get("may_be_country", False),
        )
        for row in rows
    }


_SUBJECTS = {
    Scope.RECIPIENT: Subject.RECIPIENT,
    Scope.SENDER: Subject.SENDER,
    Scope.ACCOUNT: Subject.ACCOUNT,
    Scope.THROTTLED: Subject.SENDER,
}


def _overridden(code: int, shipped: ErrorClass | None, override: ErrorOverride) -> ErrorClass:
    base = shipped or _unknown_code(code)
    changes: dict[str, Any] = {"known": True}
    if override.scope is not None:
        changes["scope"] = override.scope
        changes["subject"] = _SUBJECTS.get(override.scope, Subject.MESSAGE)
        if override.scope is not Scope.RECIPIENT:  # what is not about the person changes nothing for the person
            changes |= {"opt_out": False, "suppress": None, "suppress_for_s": None}
    for name in ("retry", "subject", "action", "opt_out"):
        value = getattr(override, name)
        if value is not None:
            changes[name] = value
    if "subject" in changes:
        changes["blames_sender"] = changes["subject"] is Subject.SENDER
    if override.blames_sender is not None:
        changes["blames_sender"] = override.blames_sender
    if override.suppresses is not None:
        changes["suppress"] = override.suppress if override.suppresses else None
        changes["suppress_for_s"] = override.suppress_for_s if override.suppresses else None
    may_be = base.may_be_country if override.may_be_country is None else override.may_be_country
    changes["may_be_country"] = may_be and changes.get("scope", base.scope) is Scope.SENDER
    return replace(base, **changes)


def _unknown_code(code: int | None) -> ErrorClass:
    # A code that only a callback brings. New 3xxxx (carriers) and 63xxx (channels) codes are failures of one delivery.
    if code is not None and (30000 <= code < 40000 or 60000 <= code < 70000):
        return _default(Scope.TRANSIENT, Retry.ONCE, f"Unknown delivery error {code}")
    return _default(Scope.MESSAGE, Retry.NO, f"Unknown error {code}" if code is not None else "No error code")


def _by_status(code: int | None, http_status: int) -> ErrorClass:
    what = f"HTTP {http_status}" + (f", unknown code {code}" if code is not None else " without an error code")
    if http_status in (401, 403):
        return _default(Scope.ACCOUNT, Retry.FIX, what)
    if code is None and http_status in _WRONG_PLACE:
        return _default(Scope.ACCOUNT, Retry.FIX, what)
    if http_status == 429:
        return _default(Scope.THROTTLED, Retry.BACKOFF, what, Subject.ACCOUNT)
    if http_status in _NOT_TAKEN:
        return _default(Scope.TRANSIENT, Retry.BACKOFF, what)
    if 400 <= http_status < 500 and http_status != 408:
        return _default(Scope.MESSAGE, Retry.NO, what)
    return _default(Scope.IN_DOUBT, Retry.ONCE, what)


_WRONG_PLACE = frozenset({301, 307, 308, 404, 405, 407, 421})
"""Without Twilio's error body these come from something that is not the Messages API: a wrong base URL or a proxy. They
say that the request was not carried out, and every message of the account would fare the same."""

_NOT_TAKEN = frozenset({425})
"""Too Early: the server was unwilling to process the request. 408 is not among them: a proxy may send it for a
request that it had passed on."""


def _server_error(http_status: int) -> ErrorClass:
    return _default(Scope.IN_DOUBT, Retry.ONCE, f"HTTP {http_status}")


def _default(scope: Scope, retry: Retry, title: str, subject: Subject | None = None) -> ErrorClass:
    return ErrorClass(
        scope=scope,
        retry=retry,
        title=title,
        action="not in the error table: look at Twilio's error dictionary, then override or report it",
        subject=subject or _SUBJECTS.get(scope, Subject.MESSAGE),
        known=False,
    )
