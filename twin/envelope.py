"""What surrounds every operation of the API: credentials, concurrency, planned troubles, headers, the books."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import hdrs, web
from yarl import URL

from twin.accounts import Account
from twin.addresses import parse
from twin.arrival import waited_s
from twin.books import Refusal
from twin.errors import ApiError, refuse
from twin.exchange import Exchange
from twin.faults import NO_REQUEST_TROUBLE, RequestTrouble
from twin.messages import Message
from twin.settings import RequestFault

# Headers of captured answers, in their order; the empty ones are filled in.
_FIXED_HEADERS = {
    "Twilio-Concurrent-Requests": "1",
    "Twilio-Request-Id": "",
    "Twilio-Request-Duration": "",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Match, "
    "If-Unmodified-Since, Idempotency-Key",
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Expose-Headers": "ETag",
    "Access-Control-Allow-Credentials": "true",
    "X-Powered-By": "AT-5000",
    "X-Shenanigans": "none",
    "X-Home-Region": "us1",
    "X-Api-Domain": "api.twilio.com",
    "Strict-Transport-Security": "max-age=31536000",
}
_FORM = "application/x-www-form-urlencoded"
_FAULT_CODES = {500: 20500, 502: 20500, 503: 20503, 504: 20504}
_DRIPS = 50
"""An answer that drips comes in so many pieces."""
_REASONS = {status.value: status.phrase.upper() for status in HTTPStatus}


@dataclass(slots=True)
class Call:
    """One request at work."""

    request: web.Request
    account: Account
    form: dict[str, str]
    media: list[str]
    raw: bytes
    received: float
    request_id: str


@dataclass(slots=True)
class Answer:
    """What an operation answers: a status, JSON or nothing, and the message it accepted."""

    status: int
    body: dict[str, object] | None = None
    accepted: Message | None = None
    location: str | None = None


Operation = Callable[[Call], Answer | ApiError]


class Envelope:
    """Serves operations of an exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._date_second = 0
        self._date = ""

    async def serve(self, request: web.Request, operation: Operation | None, *, creates: bool) -> web.StreamResponse:
        """Answer a request with an operation; None is a method that the path does not have."""
        began = time.perf_counter()
        exchange = self._exchange
        received, request_id = self._arrived(request), _request_id()
        sid = request.match_info["account"]
        account = exchange.directory.accounts.authenticate(sid, request.headers.get(hdrs.AUTHORIZATION), request.path)
        if isinstance(account, ApiError):
            self._note(request, sid, account, b"", received)
            return self._respond(account, began, 1, request_id)
        account.in_flight += 1
        try:
            cap = account.settings.concurrency
            too_many = cap is not None and account.in_flight > cap
            raw = await request.read()
            form, media = _read_form(request, raw)
            call = Call(request, account, form, media, raw, received, request_id)
            accepted: Message | None = None
            trouble = NO_REQUEST_TROUBLE
            if operation is None or too_many:
                answer: Answer | ApiError = refuse(20004 if operation is None else 20429)
            else:
                trouble = self._trouble(call, creates=creates)
                answer, accepted = await self._perform(call, operation, trouble)
            if isinstance(answer, ApiError):
                self._note(request, account.sid, answer, raw, received, accepted)
            response = self._respond(answer, began, account.in_flight, request_id)
            if trouble.drip_s:
                dripping, whole = await _drip(request, response, trouble.drip_s)
                if not whole and isinstance(answer, Answer):
                    self._note(request, account.sid, ApiError(0, "drip", 0), raw, received, answer.accepted)
                return dripping
            return response
        finally:
            account.in_flight -= 1

    async def not_found(self, request: web.Request) -> web.StreamResponse:
        """Answer a path that does not exist."""
        return self._respond(refuse(20404, path=request.path), time.perf_counter(), 1, _request_id())

    def _arrived(self, request: web.Request) -> float:
        clock = self._exchange.clock
        # A virtual clock stands still while the network does not.
        return clock.now() - (0.0 if clock.virtual else waited_s(request.transport))

    async def _perform(
        self, call: Call, operation: Operation, trouble: RequestTrouble
    ) -> tuple[Answer | ApiError, Message | None]:
        """The answer, and the message that was accepted although the answer is spoiled."""
        if trouble.latency_s:
            await asyncio.sleep(trouble.latency_s)
        if trouble.before is not None:
            return await self._spoil(call, trouble.before, trouble.hang_s), None
        answer = operation(call)
        if trouble.after is None or isinstance(answer, ApiError):
            return answer, None
        return await self._spoil(call, trouble.after, trouble.hang_s), answer.accepted

    def _trouble(self, call: Call, *, creates: bool) -> RequestTrouble:
        faults = self._exchange.faults
        if not faults.settings.requests:
            return NO_REQUEST_TROUBLE
        to = parse(call.form.get("To", "")).text
        kind = "create" if creates else "read"
        return faults.for_request(kind, to, call.form.get("From", ""), self._exchange.clock.now())

    async def _spoil(self, call: Call, fault: RequestFault, hang_s: float) -> ApiError:
        """Refuse, or hang, or tear the connection; a torn one has status 0."""
        if fault.kind == "throttle":
            return refuse(20429)
        if fault.kind.startswith("error"):
            error = refuse(_FAULT_CODES[fault.status])
            return ApiError(error.code, error.message, fault.status)
        if fault.kind.startswith("hang"):
            await asyncio.sleep(hang_s)
        transport = call.request.transport
        if transport is not None:
            transport.abort()
        return ApiError(0, fault.kind, 0)

    def _note(
        self,
        request: web.Request,
        account: str,
        error: ApiError,
        raw: bytes,
        received: float,
        accepted: Message | None = None,
    ) -> None:
        self._exchange.books.refusals.append(
            Refusal(
                at=received,
                method=request.method,
                path=request.path_qs,
                account=account,
                status=error.status,
                code=error.code or None,
                message=error.message,
                accepted_sid=None if accepted is None else accepted.sid,
                form=raw,
            )
        )

    def _respond(self, answer: Answer | ApiError, began: float, concurrent: int, request_id: str) -> web.Response:
        headers = dict(_FIXED_HEADERS)
        headers["Date"] = self._date_header()
        headers["Twilio-Concurrent-Requests"] = str(concurrent)
        headers["Twilio-Request-Id"] = request_id
        headers["Twilio-Request-Duration"] = f"{time.perf_counter() - began if began else 0.0:.3f}"
        if isinstance(answer, ApiError):
            body: bytes | None = answer.body()
            if answer.status == 401:
                headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
        else:
            body = None if answer.body is None else json.dumps(answer.body).encode()
            if answer.location is not None:
                headers["Location"] = answer.location
        if body is not None:
            headers["Content-Type"] = "application/json"
        status = answer.status or 503
        return web.Response(status=status, reason=_REASONS[status], body=body, headers=headers)

    def _date_header(self) -> str:
        second = int(self._exchange.clock.now())
        if second != self._date_second:
            self._date_second, self._date = second, formatdate(second, usegmt=True)
        return self._date


async def _drip(request: web.Request, whole: web.Response, seconds: float) -> tuple[web.StreamResponse, bool]:
    """Send an answer byte by byte. Returns it, and whether the caller waited for its end."""
    body = whole.body if isinstance(whole.body, bytes) else b""
    response = web.StreamResponse(status=whole.status, reason=whole.reason, headers=whole.headers)
    response.content_length = len(body)
    with contextlib.suppress(ConnectionError):  # gone before the first byte: seen below
        await response.prepare(request)
    pieces = min(len(body), _DRIPS)
    for number in range(pieces):
        await asyncio.sleep(seconds / pieces)
        if request.transport is None or request.transport.is_closing():
            return response, False
        with contextlib.suppress(ConnectionError):  # looked at in the next turn
            await response.write(body[len(body) * number // pieces : len(body) * (number + 1) // pieces])
    return response, True


def _request_id() -> str:
    return "RQ" + secrets.token_hex(16)


def _read_form(request: web.Request, raw: bytes) -> tuple[dict[str, str], list[str]]:
    """Fields of a form; of a repeated one the last, of MediaUrl all. Another content type has no fields."""
    if not raw or not request.headers.get(hdrs.CONTENT_TYPE, "").startswith(_FORM):
        return {}, []
    pairs = list(URL.build(query_string=raw.decode("utf-8", "replace"), encoded=True).query.items())  # parsed in C
    form = dict(pairs)
    return form, [value for name, value in pairs if name == "MediaUrl"] if "MediaUrl" in form else []
