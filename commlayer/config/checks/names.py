"""Names: may they be written like this, and is there somebody of that name?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from commlayer.config.draft import NAMED, Draft
from commlayer.config.fields import NAME
from commlayer.config.problems import Path, Problem
from commlayer.config.suggest import instead
from connectors.twilio.carriers import Carriers, folded
from schemas.topics import APP_NAME

_SINGULAR = {
    "accounts": "account",
    "budgets": "budget",
    "groups": "group",
    "senders": "sender",
    "pools": "pool",
    "categories": "category",
}


def names(draft: Draft) -> Iterator[Problem]:
    """Spelling of names, and every reference by name."""
    for section in NAMED:
        for name in sorted(draft.declared.get(section, ())):
            yield from _spelling(section, name)
    for name, group in draft.groups.items():
        if group.budget is not None:
            yield from _known(draft, ("groups", name, "budget"), "budgets", group.budget)
    yield from _carriers(draft)
    for name, sender in draft.senders.items():
        yield from _known(draft, ("senders", name, "account"), "accounts", sender.account)
        yield from _list(draft, ("senders", name, "categories"), "categories", sender.categories or ())
        if sender.group is not None:
            yield from _known(draft, ("senders", name, "group"), "groups", sender.group)
    for name, members in draft.pools.items():
        yield from _list(draft, ("pools", name), "senders", members)
    for name, cap in draft.caps.items():
        yield from _list(draft, ("caps", name, "categories"), "categories", cap.categories)
    for name, app in draft.apps.items():
        yield from _list(draft, ("apps", name, "categories"), "categories", app.categories)
        yield from _list(draft, ("apps", name, "pools"), "pools", app.pools)
        yield from _list(draft, ("apps", name, "senders"), "senders", app.senders)
        for lane in app.quota.lanes if app.quota is not None else ():
            yield from _known(draft, ("apps", name, "quota", "lanes", lane), "senders", lane)
        for key in ("classes", "deadlines_s"):
            for category in getattr(app, key):
                yield from _known(draft, ("apps", name, key, category), "categories", category)
        if app.pool is not None:
            yield from _known(draft, ("apps", name, "pool"), "pools", app.pool)


def _spelling(section: str, name: str) -> Iterator[Problem]:
    pattern, extra, longest = (APP_NAME, "", 41) if section == "apps" else (NAME, ", `_`", 63)
    if pattern.fullmatch(name):
        return
    why = "an app's name is part of its topics" if section == "apps" else "it appears in logs and metrics"
    allowed = f"a lower-case letter, then lower-case letters, digits, `-`{extra}; at most {longest} characters"
    better = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-0123456789")[:longest]
    suggestion = f", for example `{better}`" if pattern.fullmatch(better) else ""
    yield Problem((section, name), f"not a usable name: {why}.", f"use {allowed}{suggestion}.")


def _carriers(draft: Draft) -> Iterator[Problem]:
    known = Carriers(draft.carriers).names | draft.declared.get("carriers", frozenset())
    limits: dict[Path, Iterable[str]] = {("groups", name): group.carriers for name, group in draft.groups.items()}
    limits |= {("budgets", name): budget.carriers for name, budget in draft.budgets.items()}
    for place, carriers in limits.items():
        for carrier in carriers:
            if carrier not in known:
                fix = instead(carrier, known, otherwise="add it under `carriers:` with the names that your data uses.")
                yield Problem((*place, "carriers", carrier), f"no carrier is called `{carrier}`.", fix)
    taken: dict[str, str] = {}
    for name, others in draft.carriers.items():
        for index, said in enumerate(others):
            first = taken.setdefault(folded(said), name)
            if first != name:
                what, fix = f"`{said}` is also the name of carrier {first}.", "keep it at one of them."
                yield Problem(("carriers", name, index), what, fix)


def _list(draft: Draft, path: Path, section: str, references: Iterable[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, reference in enumerate(references):
        if reference in seen:
            yield Problem((*path, index), f"`{reference}` stands here twice.", "keep one of them.")
        seen.add(reference)
        yield from _known(draft, (*path, index), section, reference)


def _known(draft: Draft, path: Path, section: str, reference: str) -> Iterator[Problem]:
    known = draft.declared.get(section)
    if known is not None and reference not in known:
        fix = instead(reference, known, otherwise=f"add it under `{section}:`.")
        yield Problem(path, f"no {_SINGULAR[section]} is called `{reference}`.", fix)
