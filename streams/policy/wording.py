"""What a message will say: the app's own words, a template filled, or a Content template of Twilio's."""

from __future__ import annotations

from connectors.twilio import segments
from schemas.limits import BODY_MAX, code_units
from schemas.reasons import Reason
from schemas.records import Channel, Content

from .case import Case
from .quote import quote
from .said import Wording
from .templates import Template, Version
from .templates.locales import best
from .templates.model import granted
from .templates.syntax import render
from .templates.values import fill
from .verdict import Deny


def word(case: Case) -> Wording | Deny:
    """The wording, or why there is none. Only for content of a right shape, as the rule 'content' checks it."""
    content = case.request.content
    if content.template is not None:
        return _from_template(case, content.template, content)
    if content.content_sid is not None:
        return _from_twilio(case, content.content_sid, content.variables)
    if not content.body or not case.category.unsubscribe:
        return Wording(body=content.body)
    return _within_twilio(Wording(body=_with_line(case, content.body, [*_locales(case)])), "content.body")


def _from_template(case: Case, name: str, content: Content) -> Wording | Deny:
    template = case.config.templates.get(name)
    if template is None:
        return Deny(
            Reason.UNKNOWN_TEMPLATE,
            "content.template",
            f"No template {quote(name)} is configured.",
            "Use a configured template (`commlayer templates list`), or give the text as `body`.",
        )
    if refusal := _not_granted(case, name, "content.template"):
        return refusal
    if template.categories is not None and case.category.name not in template.categories:
        return Deny(
            Reason.TEMPLATE_NOT_GRANTED,
            "content.template",
            f"The template {name!r} is not for the category {case.category.name!r}.",
            f"Use it with one of: {', '.join(sorted(template.categories))}.",
        )
    number = template.current if content.template_version is None else content.template_version
    version = template.versions.get(number)
    if version is None:
        return Deny(
            Reason.UNKNOWN_TEMPLATE,
            "content.template_version",
            f"The template {name!r} has no version {quote(number)}.",
            f"Use one of: {', '.join(template.versions)}; or leave it out for the current one.",
        )
    return _rendered(case, template, number, version, content.variables)


def _rendered(case: Case, template: Template, number: str, version: Version, given: dict[str, str]) -> Wording | Deny:
    profile = case.facts.profile
    values = fill(version.variables, given, profile.variables if profile is not None else {})
    if isinstance(values, Deny):
        return values
    locale = best(version.texts, [*_locales(case), template.default_locale])
    if locale is None:
        raise AssertionError("configuration was taken without a text for the default locale")
    body = render(version.texts[locale], values)
    if not body.strip():
        return Deny(
            Reason.EMPTY_CONTENT,
            "content.variables",
            f"With these variables the template {template.name!r} says nothing.",
            "Give other variables, or mend the template.",
        )
    if case.category.unsubscribe if template.unsubscribe is None else template.unsubscribe:
        body = _with_line(case, body, [*_locales(case), locale])
    wording = Wording(
        body=body,
        shorten_urls=template.shorten_urls,
        facts={"template": template.name, "template_version": number, "locale": locale},
    )
    if case.request.channel is Channel.SMS:
        made = segments.count(body, smart_encoding=bool(case.request.smart_encoding)).segments
        if made > template.max_segments:
            return Deny(
                Reason.TOO_MANY_SEGMENTS,
                "content.variables",
                f"The text makes {made} segments; the template {template.name!r} allows {template.max_segments}.",
                "Give shorter values, or values without characters outside GSM-7.",
            )
    return _within_twilio(wording, "content.variables")


def _from_twilio(case: Case, sid: str, given: dict[str, str]) -> Wording | Deny:
    template = case.config.content_templates.get(sid.lower())
    if template is None:
        return Wording(content_sid=sid, variables=given)
    if refusal := _not_granted(case, template.name, "content.content_sid"):
        return refusal
    profile = case.facts.profile
    values = fill(template.variables, given, profile.variables if profile is not None else {})
    if isinstance(values, Deny):
        return values
    return Wording(content_sid=sid, variables=values, facts={"template": template.name})


def _not_granted(case: Case, name: str, at: str) -> Deny | None:
    if granted(name, case.grants.templates):
        return None
    return Deny(
        Reason.TEMPLATE_NOT_GRANTED,
        at,
        f"The app {case.grants.name!r} may not use the template {name!r}.",
        "Grant it under `apps.<app>.templates`; `*` stands for any text.",
    )


def _locales(case: Case) -> tuple[str | None, str | None]:
    """What the app asked for, then what the person is known to read."""
    return case.request.locale, case.facts.profile.locale if case.facts.profile is not None else None


def _with_line(case: Case, body: str, locales: list[str | None]) -> str:
    """The body and the unsubscribe line; a body that comes back from the wheel has it already."""
    lines = case.config.unsubscribe_lines
    if not lines or any(line in body for line in lines.values()):
        return body
    return f"{body}\n{lines[best(lines, locales) or next(iter(lines))]}"


def _within_twilio(wording: Wording, at: str) -> Wording | Deny:
    units = code_units(wording.body or "")
    if units <= BODY_MAX:
        return wording
    return Deny(
        Reason.BODY_TOO_LONG,
        at,
        f"With all that belongs to it, the text has {units} characters as Twilio counts (UTF-16 code units).",
        f"Shorten it to {BODY_MAX}.",
    )
