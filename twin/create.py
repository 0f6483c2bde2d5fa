"""Is a request to create a message acceptable, and what does it ask for? (docs: messaging/api/message-resource)

The order of checks follows what is known: an error about To comes before one about From.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from twin.accounts import Account
from twin.addresses import Address, Kind, masked, parse
from twin.directory import Directory
from twin.errors import ApiError, refuse
from twin.pools import NANP_COUNTRIES, Service, reaches
from twin.segments import utf16_units
from twin.senders import Sender

MAX_BODY = 1600
MAX_MEDIA = 10
MAX_CALLBACK = 4000
MAX_VALIDITY_S = 36_000
MIN_AHEAD_S = 900
MAX_AHEAD_S = 3_024_000  # 35 days

_SERVICE_SID = re.compile(r"MG[0-9a-fA-F]{32}")
_CONTENT_SID = re.compile(r"HX[0-9a-fA-F]{32}")
_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")  # no underscore
# What most requests do not have, so that they pass by the checks of it.
_SELDOM = frozenset(
    {"ValidityPeriod", "ContentRetention", "AddressRetention", "ShortenUrls", "MaxPrice", "ScheduleType"}
)
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Draft:
    """An acceptable request, before the account's own conditions were looked at.

    Attributes:
        sender: the From, if the request names one.
        send_at: when a scheduled message is to go, seconds since the epoch.
        templated: whether the body comes from a template.
    """

    to: Address
    sender: Sender | None
    service: Service | None
    body: str
    media: tuple[str, ...]
    status_callback: str | None
    validity_s: float
    send_at: float | None
    smart_encoded: bool
    provide_feedback: bool
    templated: bool


def read_create(
    form: Mapping[str, str], media: Sequence[str], account: Account, directory: Directory, now: float
) -> Draft | ApiError:
    """Check a create request of a live account."""
    to = read_to(form)
    if isinstance(to, ApiError):
        return to
    route = _route(form, to, account, directory)
    if isinstance(route, ApiError):
        return route
    sender, service = route
    content = _content(form, media, directory)
    if isinstance(content, ApiError):
        return content
    body, files = content
    if files and sender is not None and not sender.settings.mms:
        return refuse(21621, sender=sender.address)
    if sender is not None and service is None and not reaches(sender, to.text, media=bool(files)):
        return _unreachable(sender, to, media=bool(files))
    callback = _callback(form, service, directory)
    if isinstance(callback, ApiError):
        return callback
    send_at: float | None = None
    if not _SELDOM.isdisjoint(form):
        error = _options(form)
        if error is not None:
            return error
        schedule = _schedule(form, service, now)
        if isinstance(schedule, ApiError):
            return schedule
        send_at = schedule
    validity = form.get("ValidityPeriod")
    return Draft(
        to=to,
        sender=sender,
        service=service,
        body=body,
        media=files,
        status_callback=callback,
        validity_s=float(validity or (service.settings.validity_period if service else MAX_VALIDITY_S)),
        send_at=send_at,
        smart_encoded=form.get("SmartEncoded", "").lower() == "true"
        or (service is not None and service.settings.smart_encoding),
        provide_feedback=form.get("ProvideFeedback", "").lower() == "true",
        templated="ContentSid" in form,
    )


def account_refuses(draft: Draft, account: Account) -> ApiError | None:
    """Geo permissions and the limits of a trial account."""
    settings, number = account.settings, draft.to.person
    allowed = settings.allowed_prefixes
    if (allowed is not None and not number.startswith(allowed)) or number.startswith(settings.denied_prefixes):
        return refuse(21408, masked=masked(number))
    if settings.trial and number not in settings.verified:
        return refuse(21608, masked=masked(number))
    return None


def read_to(form: Mapping[str, str]) -> Address | ApiError:
    """The recipient."""
    text = form.get("To")
    if not text:
        return refuse(21604)
    to = parse(text)
    if to.kind is Kind.SHORT_CODE:
        return refuse(21265)
    if to.kind in (Kind.INVALID, Kind.ALPHANUMERIC):
        return refuse(21211, to=text)
    return to


def _route(
    form: Mapping[str, str], to: Address, account: Account, directory: Directory
) -> tuple[Sender | None, Service | None] | ApiError:
    text, service_sid = form.get("From"), form.get("MessagingServiceSid")
    if not text and not service_sid:
        return refuse(21603)
    service = None
    if service_sid:
        if not _SERVICE_SID.fullmatch(service_sid):
            return refuse(21705)
        service = directory.services.get(service_sid)
        if service is None or service.account is not account:
            return refuse(21701)
        if not service.pool:
            return refuse(21704)
    if not text:
        return None, service
    sender = _sender(text, to, account, directory)
    return sender if isinstance(sender, ApiError) else (sender, service)


def _sender(text: str, to: Address, account: Account, directory: Directory) -> Sender | ApiError:
    address = parse(text)
    if address.kind is Kind.INVALID:
        return refuse(21212, sender=text)
    if address.channel != to.channel:
        return refuse(21910)
    sender = directory.senders.get(address.text)
    if sender is None:
        if address.kind is Kind.WHATSAPP:
            return refuse(63007)
        return refuse(21606 if address.kind is Kind.ALPHANUMERIC else 21659, sender=address.text)
    if sender.account is not account:
        return refuse(21660, sender=address.text, account=account.sid)
    if not sender.settings.sms:
        return refuse(21661, sender=address.text)
    if address.text == to.text:
        return refuse(21266)
    return sender


def _unreachable(sender: Sender, to: Address, *, media: bool) -> ApiError:
    if sender.type == "short_code" and sender.settings.country in NANP_COUNTRIES:
        return refuse(21659, sender=sender.address)
    return refuse(21612, to=to.text, sender=sender.address, via="MMS" if media else "SMS")


def _content(
    form: Mapping[str, str], media: Sequence[str], directory: Directory
) -> tuple[str, tuple[str, ...]] | ApiError:
    body, content_sid, variables = form.get("Body"), form.get("ContentSid"), form.get("ContentVariables")
    if variables is not None and body:
        return refuse(35127)
    if content_sid:
        return _templated(content_sid, variables, directory)
    if variables is not None:
        return refuse(21654)
    if not body and not media:
        return refuse(21619 if body is None else 21602)
    if body and utf16_units(body) > MAX_BODY:
        return refuse(21617)
    if len(media) > MAX_MEDIA:
        return refuse(21623)
    if not all(_is_web_address(url) for url in media):
        return refuse(21620)
    return body or "", tuple(media)


def _templated(content_sid: str, variables: str | None, directory: Directory) -> tuple[str, tuple[str, ...]] | ApiError:
    content = directory.contents.get(content_sid) if _CONTENT_SID.fullmatch(content_sid) else None
    if content is None:
        return refuse(21655)
    try:
        given = json.loads(variables or "{}")
    except ValueError:
        return refuse(21656)
    if not isinstance(given, dict):
        return refuse(21656)
    return _PLACEHOLDER.sub(lambda found: str(given.get(found[1], found[0])), content.body), content.media


def _callback(form: Mapping[str, str], service: Service | None, directory: Directory) -> str | ApiError | None:
    url = form.get("StatusCallback")
    if url:
        return url if len(url) <= MAX_CALLBACK and _is_web_address(url) else refuse(21609, url=url)
    application = form.get("ApplicationSid")
    if application:
        known = directory.applications.get(application)
        return refuse(21420) if known is None else known.status_callback
    return service.settings.status_callback if service is not None else None


def _options(form: Mapping[str, str]) -> ApiError | None:
    validity = form.get("ValidityPeriod")
    if validity is not None and not (_is_number(validity) and 1 <= int(validity) <= MAX_VALIDITY_S):
        return refuse(21624)
    if form.get("ContentRetention", "retain") not in ("retain", "discard"):
        return refuse(30029)
    if form.get("AddressRetention", "retain") not in ("retain", "obfuscate"):
        return refuse(30030)
    if form.get("ShortenUrls", "").lower() == "true" and not form.get("MessagingServiceSid"):
        return refuse(30124)
    price = form.get("MaxPrice")
    if price is not None:
        try:
            float(price)
        except ValueError:
            return refuse(21627)
    return None


def _schedule(form: Mapping[str, str], service: Service | None, now: float) -> float | ApiError | None:
    """A SendAt without ScheduleType is ignored: the message goes at once."""
    kind, text = form.get("ScheduleType"), form.get("SendAt")
    if not kind:
        return None
    if kind != "fixed":
        return refuse(35126)
    if service is None:
        return refuse(35118)
    if not text:
        return refuse(35111)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return refuse(35114)
    at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if at < now + MIN_AHEAD_S:
        return refuse(35115)
    return at if at <= now + MAX_AHEAD_S else refuse(35117)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return False
    host = parts.netloc.rpartition("@")[2]
    if not host.startswith("["):
        host = host.partition(":")[0]
    return parts.scheme in ("http", "https") and bool(_HOST.fullmatch(host))
