"""What the twin's owner may ask and tell: `/__twin__/…`, JSON, without credentials."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twin.exchange import Exchange
from twin.settings import AccountSettings, FaultSettings, OutcomeSettings, SenderSettings, ServiceSettings

PREFIX = "/__twin__"
_PAGE = 100_000
_MANY = 2**53


class Control:
    """Serves an exchange's books and switches."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def add_routes(self, app: web.Application) -> None:
        """Serve everything below `/__twin__`."""
        books = self._exchange.books
        for kind in ("live", "ready"):
            app.router.add_get(f"/health/{kind}", _well)
        app.router.add_get("/metrics", self._metrics)
        for path in (PREFIX, PREFIX + "/"):
            app.router.add_get(path, self._summary)
        for name, rows in (
            ("messages", books.message_rows),
            ("callbacks", books.webhook_rows),
            ("refusals", books.refusal_rows),
        ):
            app.router.add_get(f"{PREFIX}/{name}", _rows(rows))
        app.router.add_get(f"{PREFIX}/alerts", self._alerts)
        app.router.add_get(f"{PREFIX}/optouts", self._optouts)
        app.router.add_get(f"{PREFIX}/duplicates", self._duplicates)
        app.router.add_get(f"{PREFIX}/pacing", self._pacing)
        app.router.add_get(f"{PREFIX}/carriers", self._carriers)
        app.router.add_get(f"{PREFIX}/senders", self._senders)
        app.router.add_get(f"{PREFIX}/clock", self._clock)
        app.router.add_post(f"{PREFIX}/clock", self._advance)
        app.router.add_post(f"{PREFIX}/settle", self._settle)
        app.router.add_post(f"{PREFIX}/reset", self._reset)
        app.router.add_post(f"{PREFIX}/inbound", self._inbound)
        exchange, directory = self._exchange, self._exchange.directory
        for name, model, put in (
            ("outcomes", OutcomeSettings, exchange.plan_outcomes),
            ("faults", FaultSettings, exchange.plan_faults),
            ("accounts", AccountSettings, directory.put_account),
            ("senders", SenderSettings, directory.put_sender),
            ("services", ServiceSettings, directory.put_service),
        ):
            app.router.add_put(f"{PREFIX}/{name}", _put(model, put))

    async def _summary(self, _: web.Request) -> web.Response:
        exchange = self._exchange
        return _json(
            exchange.books.summary()
            | {
                "now": exchange.clock.now(),
                "underway": exchange.journey.open_messages,
                "webhooks_pending": exchange.notices.caller.pending,
            }
        )

    async def _metrics(self, _: web.Request) -> web.Response:
        """Prometheus' text format: every number of the summary, and how long the queues are."""
        exchange, lines = self._exchange, []
        for name, value in exchange.books.summary().items():
            if isinstance(value, dict):
                lines += [f'twin_{name}{{of="{key}"}} {number}' for key, number in value.items()]
            else:
                lines.append(f"twin_{name} {value}")
        for sender in exchange.directory.senders.values():
            lines.append(f'twin_queued{{sender="{sender.address}"}} {sender.queued}')
        lines.append(f"twin_underway {exchange.journey.open_messages}")
        lines.append(f"twin_webhooks_pending {exchange.notices.caller.pending}")
        return web.Response(text="\n".join(lines) + "\n", content_type="text/plain", charset="utf-8")

    async def _alerts(self, _: web.Request) -> web.Response:
        alerts = self._exchange.books.alerts
        return _json([{"at": a.at, "code": a.code, "sid": a.sid, "url": a.url, "detail": a.detail} for a in alerts])

    async def _optouts(self, _: web.Request) -> web.Response:
        return _json(self._exchange.optouts.as_rows())

    async def _duplicates(self, _: web.Request) -> web.Response:
        return _json(self._exchange.books.duplicates())

    async def _pacing(self, request: web.Request) -> web.Response:
        tolerance_s = _asked_number(request, "tolerance_s", 0.0, float)
        return _json(self._exchange.books.pacing(self._exchange.directory.rates(), tolerance_s=tolerance_s))

    async def _carriers(self, _: web.Request) -> web.Response:
        return _json(self._exchange.carriers.rows(self._exchange.clock.now()))

    async def _senders(self, _: web.Request) -> web.Response:
        return _json(
            [
                {
                    "address": sender.address,
                    "type": sender.type,
                    "rate": sender.rate,
                    "queued": sender.queued,
                    "wait_s": sender.wait_s(),
                }
                for sender in self._exchange.directory.senders.values()
            ]
        )

    async def _clock(self, _: web.Request) -> web.Response:
        clock = self._exchange.clock
        return _json({"now": clock.now(), "virtual": clock.virtual})

    async def _advance(self, request: web.Request) -> web.Response:
        seconds = (await _given(request)).get("advance")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            raise _bad('give {"advance": seconds}, a number from 0')
        try:
            await self._exchange.advance(float(seconds))
        except TypeError as error:
            return _json({"error": str(error)}, status=409)
        return await self._clock(request)

    async def _settle(self, request: web.Request) -> web.Response:
        await self._exchange.settled()
        return await self._summary(request)

    async def _reset(self, request: web.Request) -> web.Response:
        self._exchange.reset()
        return await self._summary(request)

    async def _inbound(self, request: web.Request) -> web.Response:
        try:
            reply = _Inbound.model_validate_json(await request.read())
        except ValidationError as error:
            return _unfit(error)
        try:
            receipt = await self._exchange.inbound(
                reply.from_address, reply.to, reply.body, media=reply.media, extra=reply.extra
            )
        except KeyError as missing:
            return _json({"error": f"no such sender: {missing.args[0]}"}, status=404)
        return _json(receipt.as_json())


async def _well(_: web.Request) -> web.Response:
    return _json({"ok": True, "parts": {}})


def _rows(rows: Callable[[Mapping[str, str]], Iterable[dict[str, object]]]) -> Callable[[web.Request], Any]:
    async def serve(request: web.Request) -> web.Response:
        offset, limit = _asked_number(request, "offset", 0, int), _asked_number(request, "limit", _PAGE, int)
        return _json(list(islice(rows(request.query), offset, offset + limit)))

    return serve


def _put(model: type[BaseModel], put: Callable[[Any], None]) -> Callable[[web.Request], Any]:
    async def serve(request: web.Request) -> web.Response:
        try:
            put(model.model_validate_json(await request.read()))
        except ValidationError as error:
            return _unfit(error)
        except KeyError as missing:
            return _json({"error": f"not found: {missing.args[0]}"}, status=404)
        return _json({"ok": True})

    return serve


class _Inbound(BaseModel):
    """What a person writes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    from_address: str = Field(alias="from")
    to: str
    body: str = ""
    media: list[str] = []
    extra: dict[str, str] | None = None


_Number = TypeVar("_Number", int, float)


def _asked_number(request: web.Request, name: str, default: _Number, kind: Callable[[str], _Number]) -> _Number:
    text = request.query.get(name)
    if text is None:
        return default
    try:
        number = kind(text)
    except ValueError:
        number = -1
    if not 0 <= number < _MANY:
        raise _bad(f"{name}: give a number from 0")
    return number


async def _given(request: web.Request) -> dict[str, Any]:
    try:
        given = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise _bad("give a JSON object")
    return given


def _bad(why: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(body=orjson.dumps({"error": why}), content_type="application/json")


def _unfit(error: ValidationError) -> web.Response:
    return _json({"error": error.errors(include_url=False, include_context=False, include_input=False)}, status=422)


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
