"""Templates: can every text be rendered, and does it stay within its limits with the longest values?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from commlayer.config.draft import Draft
from commlayer.config.problems import Path, Problem, Severity
from commlayer.config.suggest import instead
from commlayer.config.templates import Template
from streams.policy.templates.lint import findings
from streams.policy.templates.model import granted

LOCALE = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*")


def templates(draft: Draft) -> Iterator[Problem]:
    """Texts, their references, and who may use them."""
    for name, template in draft.templates.items():
        path: Path = ("templates", name)
        line = draft.unsubscribe_lines if _may_end_with_line(draft, template) else None
        for found in findings(template.as_policy(name), line):
            severity = Severity.ERROR if found.error else Severity.WARNING
            yield Problem((*path, *found.path), found.what, found.fix, severity=severity)
        yield from _locales((*path, "versions"), template)
        for index, category in enumerate(template.categories or ()):
            known = draft.declared.get("categories")
            if known is not None and category not in known:
                fix = instead(category, known, otherwise="add it under `categories:`.")
                yield Problem((*path, "categories", index), f"no category is called `{category}`.", fix)
        if template.unsubscribe and not draft.unsubscribe_lines:
            yield Problem((*path, "unsubscribe"), "there is no line to end with.", "add `unsubscribe_lines:`.")
    sids: dict[str, str] = {}
    for name, content in draft.content_templates.items():
        if name in draft.templates:
            yield Problem(("content_templates", name), "a template has the same name.", "name it differently.")
        other = sids.setdefault(content.sid.lower(), name)
        if other != name:
            yield Problem(("content_templates", name, "sid"), f"`{other}` has the same SID.", "keep one of them.")
    for name, section in draft.categories.items():
        if section.unsubscribe and not draft.unsubscribe_lines:
            path = ("categories", name, "unsubscribe")
            yield Problem(path, "there is no line to end with.", "add `unsubscribe_lines:`.")
    yield from _grants(draft)
    yield from _short_links(draft)


def _may_end_with_line(draft: Draft, template: Template) -> bool:
    if template.unsubscribe is not None:
        return template.unsubscribe
    names = draft.categories if template.categories is None else template.categories
    return any(draft.categories[name].unsubscribe for name in names if name in draft.categories)


def _locales(path: Path, template: Template) -> Iterator[Problem]:
    for number, version in template.versions.items():
        for locale in version.texts:
            if not LOCALE.fullmatch(locale):
                fix = "write a language, and a region if it matters: en, pt-BR."
                yield Problem((*path, number, "texts", locale), "not a locale.", fix)


def _grants(draft: Draft) -> Iterator[Problem]:
    declared = (draft.declared.get("templates"), draft.declared.get("content_templates"))
    if declared[0] is None or declared[1] is None:
        return
    known = declared[0] | declared[1]
    for app_name, app in draft.apps.items():
        for index, pattern in enumerate(app.templates):
            if not any(granted(name, (pattern,)) for name in known):
                fix = instead(pattern, known, otherwise="add it under `templates:`.")
                yield Problem(("apps", app_name, "templates", index), f"no template is called `{pattern}`.", fix)


def _short_links(draft: Draft) -> Iterator[Problem]:
    for name, sender in draft.senders.items():
        if sender.short_links and sender.messaging_service_sid is None:
            fix = "remove it, or send from the messaging service that has the domain."
            yield Problem(("senders", name, "short_links"), "Twilio shortens links of messaging services only.", fix)
