"""Apps, categories and consumers: has each what it needs?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from commlayer.config.draft import Draft
from commlayer.config.problems import Path, Problem, Severity
from commlayer.config.rules import Quota
from schemas.records import MessageClass

_PRINCIPAL = re.compile(r"User:\S(?:.*\S)?")


def rules(draft: Draft) -> Iterator[Problem]:
    """What apps may do and who reads the outcome."""
    owners: dict[str, str] = {}
    for name, app in draft.apps.items():
        path: Path = ("apps", name)
        if app.pool is None and not app.pools and not app.senders:
            yield Problem(path, "nothing to send from.", "add `pool:` or `senders:`.")
        yield from _countries(draft, path, app.countries or ())
        if app.quota is not None:
            yield from _quota(draft, (*path, "quota"), app.quota, draft.senders_of(app))
        if app.principal is None:
            continue
        yield from _principal((*path, "principal"), app.principal)
        other = owners.setdefault(app.principal, name)
        if other != name:
            what = f"app `{other}` has the same principal: each could write as the other."
            fix = "give each app its own Kafka user."
            yield Problem((*path, "principal"), what, fix, severity=Severity.WARNING)
    for name, members in draft.pools.items():
        if not members:
            yield Problem(("pools", name), "must not be empty.", "name at least one sender.")
    for party, principal in () if draft.kafka is None else draft.kafka.principals.items():
        yield from _principal(("kafka", "principals", party.value), principal)
    for name, consumer in draft.consumers.items():
        yield from _principal(("consumers", name, "principal"), consumer.principal)
    if draft.categories and not any(each.message_class is MessageClass.CRITICAL for each in draft.categories.values()):
        what = "no category is of class critical, so everything on an urgent topic will be denied."
        yield Problem(("categories",), what, "give one-time passwords `class: critical`.", severity=Severity.WARNING)


def _quota(draft: Draft, path: Path, quota: Quota, usable: set[str]) -> Iterator[Problem]:
    fix = "add `per_second:` or `per_day:`, or remove it."
    if quota.limits_nothing:
        yield Problem(path, "it limits nothing.", fix)
    for name, lane in quota.lanes.items():
        if lane.limits_nothing:
            yield Problem((*path, "lanes", name), "it limits nothing.", fix)
        if name in draft.senders and name not in usable:
            what = "the app does not use this sender."
            yield Problem((*path, "lanes", name), what, "remove it, or add the sender to its `senders:` or pool.")


def _principal(path: Path, principal: str) -> Iterator[Problem]:
    if not _PRINCIPAL.fullmatch(principal):
        yield Problem(path, "not a Kafka principal.", f"write `User:{principal.strip() or 'name'}`.")


def _countries(draft: Draft, path: Path, countries: tuple[str, ...]) -> Iterator[Problem]:
    for index, country in enumerate(countries):
        if draft.countries is not None and country not in draft.countries.allow:
            fix = "add it to countries.allow, or remove it here."
            yield Problem((*path, "countries", index), f"{country} is not in countries.allow.", fix)
