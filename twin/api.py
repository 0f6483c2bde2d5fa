"""Twilio's HTTP: paths, headers, forms and JSON of the Messages resource (API 2010-04-01)."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import hdrs, web
from yarl import URL

from twin import magic
from twin.accounts import Account
from twin.addresses import parse
from twin.books import Refusal
from twin.errors import ApiError, refuse
from twin.exchange import Exchange
from twin.faults import NO_REQUEST_TROUBLE, RequestTrouble
from twin.listing import list_page, read_query
from twin.messages import API, Media, Message, api_date, new_sid
from twin.segments import count
from twin.settings import RequestFault

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


class MessagesApi:
    """Serves an exchange over HTTP."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._date_second = 0
        self._date = ""

    def add_routes(self, app: web.Application) -> None:
        """Serve the resource's paths; `.json` may be left out."""
        base = f"/{API}/Accounts/{{account}}"
        for suffix in (".json", ""):
            one = rf"{base}/Messages/{{sid:(?:SM|MM)[0-9a-fA-F]{{32}}}}"
            self._add(app, f"{base}/Messages{suffix}", POST=self._create, GET=self._list)
            self._add(app, f"{one}{suffix}", POST=self._update, GET=self._fetch, DELETE=self._delete)
            self._add(app, f"{one}/Feedback{suffix}", POST=self._feedback)
            self._add(app, f"{one}/Media{suffix}", GET=self._media_list)
        media = rf"{one}/Media/{{media:ME[0-9a-fA-F]{{32}}}}"
        self._add(app, f"{media}.json", GET=self._media_fetch, DELETE=self._media_delete)
        self._add(app, media, GET=self._media_content, DELETE=self._media_delete)
        for suffix in (".json", ""):
            self._add(app, f"/{API}/Accounts/{{account:[^/.]+}}{suffix}", GET=self._account)
        app.router.add_route("*", f"/{API}/{{tail:.*}}", self._unknown_path)

    def _add(self, app: web.Application, path: str, **operations: Operation) -> None:
        async def serve(request: web.Request) -> web.StreamResponse:
            operation = operations.get(request.method)
            if operation is None:
                return self._respond(refuse(20004), 0.0, 1, _request_id())
            return await self._serve(request, operation, creates=operation == self._create)

        app.router.add_route("*", path, serve)

    # -- operations

    def _create(self, call: Call) -> Answer | ApiError:
        account = call.account
        if account.settings.test:
            error = magic.judge(call.form, call.media)
            return error or Answer(201, _test_message(call, self._now()).as_json(self._now()))
        made = self._exchange.create(
            account, call.form, call.media, raw=call.raw, received=call.received, request_id=call.request_id
        )
        return made if isinstance(made, ApiError) else Answer(201, made.as_json(self._now()), made)

    def _list(self, call: Call) -> Answer | ApiError:
        query = read_query(call.request.query)
        if isinstance(query, ApiError):
            return query
        path = f"/{API}/Accounts/{call.account.sid}/Messages.json"
        exchange = self._exchange
        return Answer(200, list_page(exchange.store, call.account.sid, path, query, exchange.clock.now()))

    def _fetch(self, call: Call) -> Answer | ApiError:
        return self._with_message(call, lambda message: Answer(200, message.as_json(self._now())))

    def _update(self, call: Call) -> Answer | ApiError:
        def update(message: Message) -> Answer | ApiError:
            body, status = call.form.get("Body"), call.form.get("Status")
            if status is None and body == "":
                self._exchange.redact(message)
            elif status == "canceled" and body is None:
                if not self._exchange.journey.cancel(message):
                    return refuse(30409)
            else:
                return refuse(30400)
            return Answer(200, message.as_json(self._now()))

        return self._with_message(call, update)

    def _delete(self, call: Call) -> Answer | ApiError:
        def delete(message: Message) -> Answer | ApiError:
            if not message.is_final:
                return refuse(20009)
            message.deleted = True
            return Answer(204)

        return self._with_message(call, delete)

    def _feedback(self, call: Call) -> Answer | ApiError:
        def note(message: Message) -> Answer | ApiError:
            outcome = call.form.get("Outcome", "unconfirmed")
            if outcome not in ("confirmed", "unconfirmed"):
                return refuse(20001)
            message.feedback = outcome
            now = api_date(self._now())
            return Answer(
                200,
                {
                    "account_sid": message.account.sid,
                    "message_sid": message.sid,
                    "outcome": outcome,
                    "date_created": now,
                    "date_updated": now,
                    "uri": message.path + "/Feedback.json",
                },
            )

        return self._with_message(call, note)

    def _media_list(self, call: Call) -> Answer | ApiError:
        def listed(message: Message) -> Answer:
            uri = f"{message.path}/Media.json?PageSize=50&Page=0"
            return Answer(
                200,
                {
                    "first_page_uri": uri,
                    "end": max(0, len(message.media) - 1),
                    "media_list": [media.as_json(message) for media in message.media],
                    "previous_page_uri": None,
                    "uri": uri,
                    "page_size": 50,
                    "start": 0,
                    "next_page_uri": None,
                    "page": 0,
                },
            )

        return self._with_message(call, listed)

    def _media_fetch(self, call: Call) -> Answer | ApiError:
        return self._with_media(call, lambda message, media: Answer(200, media.as_json(message)))

    def _media_content(self, call: Call) -> Answer | ApiError:
        return self._with_media(call, lambda _, media: Answer(307, location=media.url))

    def _media_delete(self, call: Call) -> Answer | ApiError:
        def delete(message: Message, media: Media) -> Answer:
            message.media.remove(media)
            return Answer(204)

        return self._with_media(call, delete)

    def _account(self, call: Call) -> Answer | ApiError:
        settings = call.account.settings
        path = f"/{API}/Accounts/{settings.sid}"
        return Answer(
            200,
            {
                "sid": settings.sid,
                "friendly_name": "Twin",
                "status": "active",
                "type": "Trial" if settings.trial else "Full",
                "owner_account_sid": settings.parent or settings.sid,
                "uri": path + ".json",
                "subresource_uris": {"messages": path + "/Messages.json"},
            },
        )

    def _now(self) -> float:
        return self._exchange.clock.now()

    def _with_message(self, call: Call, act: Callable[[Message], Answer | ApiError]) -> Answer | ApiError:
        if call.account.settings.test:
            return refuse(20008)
        message = self._exchange.store.find(call.account.sid, call.request.match_info["sid"])
        return refuse(20404, path=call.request.path) if message is None else act(message)

    def _with_media(self, call: Call, act: Callable[[Message, Media], Answer]) -> Answer | ApiError:
        def find(message: Message) -> Answer | ApiError:
            for media in message.media:
                if media.sid == call.request.match_info["media"]:
                    return act(message, media)
            return refuse(20404, path=call.request.path)

        return self._with_message(call, find)

    # -- around them

    async def _serve(self, request: web.Request, operation: Operation, *, creates: bool) -> web.StreamResponse:
        began = time.perf_counter()
        exchange = self._exchange
        received, request_id = exchange.clock.now(), _request_id()
        sid = request.match_info["account"]
        account = exchange.directory.accounts.authenticate(sid, request.headers.get(hdrs.AUTHORIZATION), request.path)
        if isinstance(account, ApiError):
            self._note(request, sid, account, b"", received)
            return self._respond(account, began, 1, request_id)
        account.in_flight += 1
        try:
            raw = await request.read()
            form, media = _read_form(request, raw)
            call = Call(request, account, form, media, raw, received, request_id)
            trouble = self._trouble(call, creates=creates)
            if trouble.latency_s:
                await asyncio.sleep(trouble.latency_s)
            cap = account.settings.concurrency
            if cap is not None and account.in_flight > cap:
                answer: Answer | ApiError = refuse(20429)
            elif trouble.before is not None:
                spoiled = await self._spoil(call, trouble.before, trouble.hang_s)
                answer = spoiled
            else:
                answer = operation(call)
                if trouble.after is not None and isinstance(answer, Answer):
                    accepted = answer.accepted
                    answer = await self._spoil(call, trouble.after, trouble.hang_s)
                    self._note(request, account.sid, answer, raw, received, accepted)
                    return self._respond(answer, began, account.in_flight, request_id)
            if isinstance(answer, ApiError):
                self._note(request, account.sid, answer, raw, received)
            return self._respond(answer, began, account.in_flight, request_id)
        finally:
            account.in_flight -= 1

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

    async def _unknown_path(self, request: web.Request) -> web.StreamResponse:
        return self._respond(refuse(20404, path=request.path), time.perf_counter(), 1, _request_id())

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


def _request_id() -> str:
    return "RQ" + secrets.token_hex(16)


def _read_form(request: web.Request, raw: bytes) -> tuple[dict[str, str], list[str]]:
    """Fields of a form; of a repeated one the last, of MediaUrl all. Another content type has no fields."""
    if not raw or not request.headers.get(hdrs.CONTENT_TYPE, "").startswith(_FORM):
        return {}, []
    pairs = list(URL.build(query_string=raw.decode("utf-8", "replace"), encoded=True).query.items())  # parsed in C
    form = dict(pairs)
    return form, [value for name, value in pairs if name == "MediaUrl"] if "MediaUrl" in form else []


def _test_message(call: Call, now: float) -> Message:
    """What test credentials answer: a message that is kept nowhere."""
    body = call.form.get("Body", "")
    return Message(
        seq=0,
        sid=new_sid("MM" if call.media else "SM"),
        account=call.account,
        direction="outbound-api",
        to=parse(call.form["To"]).text,
        person="",
        channel="sms",
        body=body,
        submitted=body,
        segments=count(body).segments,
        cost=1,
        lane="",
        received=now,
        accepted=now,
        from_=call.form["From"],
        media=[Media(new_sid("ME"), url, "", now) for url in call.media],
        updated=now,
    )
