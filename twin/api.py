"""The Messages resource over HTTP (API 2010-04-01): its paths and operations."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from twin import magic
from twin.addresses import parse
from twin.envelope import Answer, Call, Envelope, Operation
from twin.errors import ApiError, refuse
from twin.exchange import Exchange
from twin.listing import list_page, read_query
from twin.messages import API, Media, Message, api_date, new_sid
from twin.segments import count


class MessagesApi:
    """Serves an exchange over HTTP."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._envelope = Envelope(exchange)

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
        app.router.add_route("*", f"/{API}/{{tail:.*}}", self._envelope.not_found)

    def _add(self, app: web.Application, path: str, **operations: Operation) -> None:
        async def serve(request: web.Request) -> web.StreamResponse:
            operation = operations.get(request.method)
            return await self._envelope.serve(request, operation, creates=operation == self._create)

        app.router.add_route("*", path, serve)

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
