"""Errors: is the code one of Twilio's, and does its class fit what else is said of it?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from commlayer.config.draft import Draft
from commlayer.config.errors import ErrorRule
from commlayer.config.problems import Path, Problem
from commlayer.config.suggest import instead
from connectors.twilio.errors import ErrorClass, ErrorPolicy, Retry, Scope

_CODE = re.compile(r"[1-9]\d{4}")
_AGAIN = {
    Scope.TRANSIENT: (Retry.BACKOFF, Retry.LATER, Retry.ONCE),
    Scope.THROTTLED: (Retry.BACKOFF, Retry.LATER),
}
"""Classes that mean another attempt, and how they may say when."""


def errors(draft: Draft) -> Iterator[Problem]:
    """Each rule alone, then what it makes of its code."""
    known = ErrorPolicy().codes()
    for code, rule in draft.errors.items():
        path: Path = ("errors", code)
        if not _CODE.fullmatch(code):
            yield Problem(path, "no error code of Twilio's.", "write its five digits, for example 30007.")
            continue
        if int(code) not in known and rule.scope is None:
            fix = f"add `class:`, or {instead(code, map(str, known), otherwise='remove it.')}"
            yield Problem(path, "no code of docs/errors.md, so its class must be said.", fix)
            continue
        yield from _rule(path, rule, ErrorPolicy({int(code): rule.as_override()}).classify(int(code)))


def _rule(path: Path, rule: ErrorRule, made: ErrorClass) -> Iterator[Problem]:
    if made.scope is not Scope.RECIPIENT:
        for key, said in (("opt_out", made.opt_out), ("suppress", made.suppress is not None)):
            if said:
                yield Problem((*path, key), f"class {made.scope} is not about the person.", "add `class: recipient`.")
    if rule.suppress_for_s is not None and made.suppress is None:
        yield Problem((*path, "suppress_for_s"), "nothing is suppressed.", "add `suppress: all`, or remove it.")
    elif rule.suppress_for_s is not None and rule.suppress is None:
        yield Problem((*path, "suppress_for_s"), "it says not how far.", "add `suppress:` with channel or all.")
    if rule.about is not None and made.scope is not Scope.THROTTLED:
        yield Problem((*path, "about"), f"class {made.scope} says itself who stops.", "remove it.")
    again = _AGAIN.get(made.scope)
    if again is not None and made.retry not in again:
        what = f"class {made.scope} means another attempt, and retry {made.retry} does not."
        yield Problem((*path, "retry"), what, f"write one of: {', '.join(again)}.")
