"""Does the request say exactly one thing, and can its channel carry it?"""

from __future__ import annotations

import re

from schemas.limits import BODY_MAX, MEDIA_MAX, code_units
from schemas.reasons import Reason
from schemas.records import Channel, Content
from streams.policy.case import Case
from streams.policy.quote import quote
from streams.policy.verdict import ALLOW, Deny, Verdict
from streams.policy.wording import word

WHATSAPP_MEDIA_MAX = 1
VARIABLES_MAX = 100
"""Most variables of a Content template."""
VARIABLE_NAME_MAX = 64
VARIABLE_MAX = BODY_MAX  # no variable can be longer than the text it stands in
MEDIA_URL_MAX = 2048  # longer ones do not survive carriers' and browsers' limits

_CONTENT_SID = re.compile(r"HX[0-9a-fA-F]{32}")
_MEDIA_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(/[^\s]*)?(\?[^\s]*)?")


def check(case: Case) -> Verdict:
    """Deny for nothing to say, for several things at once, and for what the channel or Twilio would refuse; else
    fill the template and keep the wording in the case."""
    shape = _shape(case)
    if shape is not ALLOW:
        return shape
    wording = word(case)
    if isinstance(wording, Deny):
        return wording
    case.wording = wording
    return ALLOW


def _shape(case: Case) -> Verdict:
    content = case.request.content
    bare = content.body is None and not content.media_urls
    if bare + (content.template is None) + (content.content_sid is None) != 2:
        return _not_one_way(content)
    if content.template is not None:
        if case.request.channel is Channel.MMS:
            return Deny(
                Reason.UNSUPPORTED_CONTENT,
                "channel",
                "A template is text alone, which an MMS without media is not for.",
                "Use channel sms or whatsapp.",
            )
        return ALLOW
    if content.template_version is not None:
        return Deny(
            Reason.INVALID_FIELD,
            "content.template_version",
            "It belongs to a template, and there is none.",
            "Leave it out.",
        )
    if content.content_sid is not None:
        return _content_sid(case.request.channel, content.content_sid, content.variables)
    return _body_and_media(case.request.channel, content)


def _not_one_way(content: Content) -> Deny:
    ways = [
        name
        for name, present in (
            ("body or media_urls", content.body is not None or bool(content.media_urls)),
            ("template", content.template is not None),
            ("content_sid", content.content_sid is not None),
        )
        if present
    ]
    if not ways:
        return _empty()
    return Deny(
        Reason.AMBIGUOUS_CONTENT,
        "content",
        f"It names {' and '.join(ways)}.",
        "Give exactly one of: body and/or media_urls; template; content_sid.",
    )


def _empty() -> Deny:
    return Deny(
        Reason.EMPTY_CONTENT,
        "content",
        "There is neither text nor media.",
        "Give a body, media_urls or a content_sid.",
    )


def _content_sid(channel: Channel, content_sid: str, variables: dict[str, str]) -> Verdict:
    if _CONTENT_SID.fullmatch(content_sid) is None:
        return Deny(
            Reason.INVALID_FIELD,
            "content.content_sid",
            "It is no SID of a Content template.",
            "Give HX followed by 32 hexadecimal digits.",
        )
    if channel is Channel.MMS:
        return Deny(
            Reason.UNSUPPORTED_CONTENT,
            "channel",
            "What a Content template holds is not known here, so it cannot be paced as MMS.",
            "Use channel sms or whatsapp, or give media_urls.",
        )
    if len(variables) > VARIABLES_MAX:
        return Deny(
            Reason.INVALID_FIELD,
            "content.variables",
            f"There are {len(variables)} variables.",
            f"Give at most {VARIABLES_MAX}.",
        )
    for name, value in variables.items():
        if not 1 <= len(name) <= VARIABLE_NAME_MAX or len(value) > VARIABLE_MAX:
            return Deny(
                Reason.INVALID_FIELD,
                "content.variables",
                f"The variable {quote(name)} has a name of {len(name)} and a value of {len(value)} characters.",
                f"Give a name of 1 to {VARIABLE_NAME_MAX} and a value of at most {VARIABLE_MAX} characters.",
            )
    return ALLOW


def _body_and_media(channel: Channel, content: Content) -> Verdict:
    if content.variables:
        return Deny(
            Reason.INVALID_FIELD,
            "content.variables",
            "Variables belong to a template or content_sid, and there is none.",
            "Leave them out, or give a content_sid.",
        )
    body = content.body or ""
    if not body.strip() and not content.media_urls:
        return _empty()
    # 800 characters cannot make more than 1600 code units.
    if len(body) > BODY_MAX // 2 and (units := code_units(body)) > BODY_MAX:
        return Deny(
            Reason.BODY_TOO_LONG,
            "content.body",
            f"It has {units} characters as Twilio counts (UTF-16 code units).",
            f"Shorten it to {BODY_MAX}.",
        )
    return _media(channel, content.media_urls)


def _media(channel: Channel, urls: list[str]) -> Verdict:
    if channel is Channel.SMS and urls:
        return Deny(
            Reason.UNSUPPORTED_CONTENT,
            "content.media_urls",
            "SMS carries no media.",
            "Use channel mms or whatsapp.",
        )
    if channel is Channel.MMS and not urls:
        return Deny(
            Reason.UNSUPPORTED_CONTENT,
            "content.media_urls",
            "An MMS without media would leave as SMS and be paced wrongly.",
            "Use channel sms, or give media_urls.",
        )
    limit = WHATSAPP_MEDIA_MAX if channel is Channel.WHATSAPP else MEDIA_MAX
    if len(urls) > limit:
        return Deny(
            Reason.INVALID_MEDIA,
            "content.media_urls",
            f"There are {len(urls)} media.",
            f"Give at most {limit} on {channel.value}.",
        )
    for number, url in enumerate(urls):
        if len(url) > MEDIA_URL_MAX or _MEDIA_URL.fullmatch(url) is None:
            return Deny(
                Reason.INVALID_MEDIA,
                f"content.media_urls[{number}]",
                "It is no http or https URL.",
                "Give a public URL that Twilio can fetch.",
            )
    return ALLOW
