"""The bridge: Twilio's webhooks become records, and 2xx means that Kafka has them.

Everything hostile gets 4xx. 503 says that a genuine webhook could not be stored; Twilio tries again where our callback
URLs ask for it (`#rc=5&rp=all`). Repeats are harmless: what reads the records folds them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import Counter, Gauge, Histogram

from connectors.health import Health, HealthBoard, add_routes
from connectors.masking import mask_numbers
from connectors.twilio.signature import SignatureChecker
from schemas.codec import Codec
from schemas.topics import CONSENT, INBOUND, LIFECYCLE

from .burst import Burst
from .delivery import Delivery, Publisher
from .form import Malformed, parse_query
from .inbound import consents_of, read_inbound
from .reading import Refused, read_signed_form
from .settings import BridgeSettings
from .status import read_status

STATUS_PATH = "/twilio/status"
INBOUND_PATH = "/twilio/inbound"
IDEMPOTENCY_HEADER = "I-Twilio-Idempotency-Token"
_TOKEN = re.compile(r"[!-~]{1,100}")  # a UUID; the signature does not cover headers, so anything may stand there

NO_REPLY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
"""TwiML that answers a message with nothing: replies are decided later, by whoever reads the record."""

_webhooks = Counter("commlayer_bridge_webhooks", "Webhooks by what became of them.", ["webhook", "outcome"])
_seconds = Histogram(
    "commlayer_bridge_answer_seconds",
    "Time from a request's arrival to its answer.",
    ["webhook"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_consents = Counter("commlayer_bridge_consent_changes", "STOP and START keywords stored.", ["change"])
_handling = Gauge("commlayer_bridge_requests_in_flight", "Webhooks being handled.")

_STORED = "stored"


def create_bridge(
    settings: BridgeSettings,
    publisher: Publisher,
    codec: Codec,
    board: HealthBoard,
    now_ms: Callable[[], int],
) -> web.Application:
    """The bridge as an aiohttp application, with health and metrics.

    Args:
        settings: accounts, public URL and limits.
        publisher: writes the records; its health becomes a readiness check.
        codec: encodes them.
        board: health of the process.
        now_ms: wall clock, epoch milliseconds UTC.

    Raises:
        ValueError: an account has no signing token.
    """
    bridge = _Bridge(settings, publisher, codec, now_ms)
    # Bodies are limited by the bridge itself: a hostile one shall not be read to its end first.
    app = web.Application(client_max_size=settings.max_body)
    app.router.add_post(STATUS_PATH, bridge.handler("status", bridge.status))
    app.router.add_post(INBOUND_PATH, bridge.handler("inbound", bridge.inbound))
    app.on_cleanup.append(bridge.close)
    board.ready_when("kafka", publisher.health)
    board.ready_when("bridge", bridge.health)
    add_routes(app, board)
    return app


class _Bridge:
    def __init__(
        self,
        settings: BridgeSettings,
        publisher: Publisher,
        codec: Codec,
        now_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._now_ms = now_ms
        self._delivery = Delivery(publisher, codec, limit=settings.max_in_flight)
        tokens: dict[str, tuple[str, ...]] = {}
        self._names: dict[str, str] = {}
        for account in settings.accounts:
            tokens[account.sid] = (*tokens.get(account.sid, ()), *account.signing_tokens)
            self._names.setdefault(account.sid, account.name)
        self._checker = SignatureChecker(tokens)
        self._in_flight = 0
        self._refusals = Burst("webhooks refused")
        self._oddities = Burst("signed webhooks are malformed")
        self._failures = Burst("webhooks not stored, answered 503")

    def handler(
        self, webhook: str, handle: Callable[[web.Request, float], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """The outside of every webhook: bounded, measured, and answered whatever happens."""
        answered = _seconds.labels(webhook)

        async def answer(request: web.Request) -> web.Response:
            began_s = time.monotonic()
            if self._in_flight >= self._settings.max_in_flight or self._delivery.full:
                return self._refuse(request, webhook, Refused(503, "busy"))
            self._in_flight += 1
            _handling.set(self._in_flight)
            try:
                response = await handle(request, began_s + self._settings.answer_within_s)
            except Refused as refusal:
                return self._refuse(request, webhook, refusal)
            finally:
                self._in_flight -= 1
                _handling.set(self._in_flight)
                answered.observe(time.monotonic() - began_s)
            _webhooks.labels(webhook, _STORED).inc()
            return response

        return answer

    async def status(self, request: web.Request, until_s: float) -> web.Response:
        """What Twilio says of an outbound message."""
        form = await read_signed_form(request, self._settings, self._checker)
        try:
            query = parse_query(request.raw_path.partition("?")[2])
            callback = read_status(form, query, token=_token(request), now_ms=self._now_ms())
        except Malformed as error:
            raise self._malformed(error) from None
        if not await self._delivery.stored(LIFECYCLE, callback, callback.message_id, until_s=until_s):
            raise Refused(503, "not_stored")
        return web.Response(status=204)

    async def inbound(self, request: web.Request, until_s: float) -> web.Response:
        """A person wrote to us."""
        form = await read_signed_form(request, self._settings, self._checker)
        account_sid = dict(form).get("AccountSid", "")
        try:
            message = read_inbound(
                form,
                account=self._names.get(account_sid),
                token=_token(request),
                now_ms=self._now_ms(),
                packs=self._settings.keyword_packs,
            )
        except Malformed as error:
            raise self._malformed(error) from None
        # The consent first: whoever sees the message may rely on it, and a 2xx promises that it holds.
        for consent in consents_of(message):
            if not await self._delivery.stored(CONSENT, consent, consent.recipient, until_s=until_s):
                raise Refused(503, "not_stored")
            _consents.labels(consent.change.value).inc()
        if not await self._delivery.stored(INBOUND, message, message.recipient, until_s=until_s):
            raise Refused(503, "not_stored")
        return web.Response(text=NO_REPLY, content_type="text/xml")

    def health(self) -> Health:
        """Whether further webhooks are taken."""
        waiting = self._delivery.unacknowledged
        return Health(not self._delivery.full, f"{waiting} records unacknowledged" if waiting else "")

    async def close(self, _: web.Application) -> None:
        """Finish the log lines that are open."""
        for lines in (self._refusals, self._oddities, self._failures, self._delivery):
            lines.close()

    def _malformed(self, error: Malformed) -> Refused:
        # Signed by Twilio: either it has changed, or a URL is configured for another kind of webhook.
        self._oddities.happened(why=str(error))
        return Refused(400, "malformed")

    def _refuse(self, request: web.Request, webhook: str, refusal: Refused) -> web.Response:
        _webhooks.labels(webhook, refusal.why).inc()
        response = web.Response(status=refusal.status)
        if refusal.status == 503:
            self._failures.happened(webhook=webhook, why=refusal.why)
            response.headers["Retry-After"] = str(self._settings.retry_after_s)
        else:
            peer = mask_numbers(request.remote or "")
            self._refusals.happened(webhook=webhook, why=refusal.why, status=refusal.status, peer=peer)
        if request.body_exists and not request.content.is_eof():
            response.force_close()  # whatever of the body is still to come is not worth reading
        return response


def _token(request: web.Request) -> str | None:
    token = request.headers.get(IDEMPOTENCY_HEADER, "")
    return token if _TOKEN.fullmatch(token) else None
