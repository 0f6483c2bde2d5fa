"""A request's body, read within limits of size and time, and believed only with Twilio's signature."""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web

from connectors.twilio.signature import (
    SETTINGS_HEADER,
    SIGNATURE_HEADER,
    SignatureChecker,
    Verdict,
    algorithm_of,
)

from .form import Malformed, Pairs, parse_form
from .settings import BridgeSettings

_FORM = "application/x-www-form-urlencoded"
_CHARSETS = frozenset({None, "utf-8", "utf8", "us-ascii"})


class Refused(Exception):
    """The request gets this HTTP status; `why` is a word for metrics and logs."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


async def read_signed_form(request: web.Request, settings: BridgeSettings, checker: SignatureChecker) -> Pairs:
    """The parameters of a form POST that Twilio signed.

    Raises:
        Refused: 403 not signed by an account of ours, 408 too slow, 413 too large, 415 not a form, 400 malformed.
    """
    if request.content_type != _FORM or _charset(request) not in _CHARSETS:
        raise Refused(415, "content_type")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
        raise Refused(415, "content_encoding")
    if (request.content_length or 0) > settings.max_body:
        raise Refused(413, "too_large")
    try:
        async with asyncio.timeout(settings.read_within_s):
            body = await _read(request, settings.max_body)
    except TimeoutError:
        raise Refused(408, "too_slow") from None
    try:
        form = parse_form(body)
    except Malformed:
        raise Refused(400, "malformed") from None
    verdict = checker.check_form(
        _account_sid(form),
        settings.signed_url(request.raw_path),
        form,
        request.headers.get(SIGNATURE_HEADER),
        algorithm_of(request.headers.get(SETTINGS_HEADER)),
    )
    if verdict is not Verdict.GENUINE:
        raise Refused(403, verdict.value)
    return form


async def _read(request: web.Request, limit: int) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise Refused(413, "too_large")
    except (ConnectionError, web.RequestPayloadError):
        raise Refused(400, "broke_off") from None
    return bytes(body)


def _charset(request: web.Request) -> str | None:
    charset = request.charset
    return None if charset is None else charset.lower()


def _account_sid(form: Pairs) -> str | None:
    """The one AccountSid; with two different ones nobody knows whose token to use."""
    stated = {value for name, value in form if name == "AccountSid"}
    return stated.pop() if len(stated) == 1 else None
