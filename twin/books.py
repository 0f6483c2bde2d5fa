"""What a twin has seen: every message, webhook and refusal, told as JSON to whoever checks a product by it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, parse_qsl, urlsplit

from twin.clock import Clock
from twin.messages import Message
from twin.pacing import worst_window
from twin.store import Store
from twin.webhooks import Webhook


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was not accepted, or whose answer the fault plan spoiled.

    Attributes:
        code: of the answer; None where the connection was torn instead.
        accepted_sid: the message that was accepted all the same.
        form: the form of a create.
    """

    at: float
    method: str
    path: str
    account: str
    status: int
    code: int | None
    message: str
    accepted_sid: str | None
    form: bytes


@dataclass(frozen=True, slots=True)
class Alert:
    """What Twilio's debugger would show: a failed webhook, bad TwiML, a brand's day at a carrier that is used up."""

    at: float
    code: int
    sid: str
    url: str
    detail: str


def message_id_of(url: str | None) -> str | None:
    """The sender's own id of a message: `m` in the query of its StatusCallback."""
    if not url or "?" not in url:
        return None
    return parse_qs(urlsplit(url).query).get("m", [None])[0]


class Books:
    """The books over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.webhooks: list[Webhook] = []
        self.refusals: list[Refusal] = []
        self.alerts: list[Alert] = []

    @property
    def messages(self) -> list[Message]:
        """All messages, oldest first, deleted ones too."""
        return self._store.messages

    def clear(self) -> None:
        """Forget all but the messages."""
        self.webhooks.clear()
        self.refusals.clear()
        self.alerts.clear()

    def debugger(self, code: int, message: Message, detail: str) -> None:
        """Twilio's debugger shows something about a message."""
        self.alerts.append(Alert(self._clock.now(), code, message.sid, "", detail))

    def outbound(self) -> Iterable[Message]:
        """Messages accepted through the API."""
        return (message for message in self.messages if message.direction == "outbound-api")

    def summary(self) -> dict[str, object]:
        """Numbers of everything."""
        outbound = list(self.outbound())
        called = [webhook for webhook in self.webhooks if webhook.kind == "status"]
        return {
            "accepted": len(outbound),
            "segments": sum(message.segments for message in outbound),
            "by_status": dict(Counter(message.status for message in outbound)),
            "by_error_code": dict(Counter(str(message.error_code) for message in outbound if message.error_code)),
            "by_direction": dict(Counter(message.direction for message in self.messages)),
            "final": sum(message.is_final for message in outbound),
            "refused_by_code": dict(Counter(str(one.code) for one in self.refusals if one.accepted_sid is None)),
            "answers_spoiled": sum(refusal.accepted_sid is not None for refusal in self.refusals),
            "duplicates": len(self.duplicates()),
            "callbacks": {
                "made": len(called),
                "tries": sum(len(webhook.tries) for webhook in called),
                "delivered": sum(webhook.delivered for webhook in called),
                "lost": sum(webhook.lost for webhook in called),
            },
            "alerts": len(self.alerts),
        }

    def duplicates(self) -> list[dict[str, object]]:
        """Messages accepted more than once: equal To, body and message id (`m`; None where a callback has none)."""
        groups: defaultdict[tuple[str, str, str | None], list[Message]] = defaultdict(list)
        for message in self.outbound():
            groups[message.to, message.submitted, message_id_of(message.status_callback)].append(message)
        return [
            {
                "to": to,
                "m": own_id,
                "count": len(group),
                "sids": [message.sid for message in group],
                "status_callbacks": [message.status_callback for message in group],
                "accepted": [message.accepted for message in group],
            }
            for (to, _, own_id), group in groups.items()
            if len(group) > 1
        ]

    def pacing(self, rates: Mapping[str, float], *, tolerance_s: float = 0.0) -> list[dict[str, object]]:
        """The worst window of each lane (sender or Messaging Service), judged by when requests began to arrive."""
        lanes: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
        for message in self.outbound():
            lanes[message.lane].append((message.received, message.cost))
        rows: list[dict[str, object]] = []
        for lane, arrivals in sorted(lanes.items()):
            rate = rates.get(lane)
            worst = None if rate is None else worst_window(arrivals, rate, tolerance_s=tolerance_s)
            if rate is None or worst is None:
                continue
            rows.append(
                {
                    "lane": lane,
                    "rate": rate,
                    "messages": len(arrivals),
                    "segments": sum(cost for _, cost in arrivals),
                    "largest": worst.largest,
                    "excess_segments": round(worst.segments, 6),
                    "excess_s": round(worst.segments / rate, 6),
                    "window_from": worst.from_s,
                    "window_s": round(worst.until_s - worst.from_s, 6),
                    "window_segments": worst.carried,
                }
            )
        return rows

    def message_rows(self, filters: Mapping[str, str]) -> Iterable[dict[str, object]]:
        """Messages that have all these values: sid, to, from, status, direction, error_code, m, lane, account."""
        for message in self.messages:
            own_id = message_id_of(message.status_callback)
            facts = {
                "sid": message.sid,
                "to": message.to,
                "from": message.from_,
                "status": message.status,
                "direction": message.direction,
                "error_code": str(message.error_code),
                "m": own_id,
                "lane": message.lane,
                "account": message.account.sid,
            }
            if all(facts.get(name) == value for name, value in filters.items() if name in facts):
                yield message_row(message, own_id, self._clock.now())

    def webhook_rows(self, filters: Mapping[str, str]) -> Iterable[dict[str, object]]:
        """Webhooks that have all these values: sid, kind, status, m, delivered (true or false)."""
        for webhook in self.webhooks:
            own_id = message_id_of(webhook.url.partition("#")[0])
            facts = {
                "sid": webhook.sid,
                "kind": webhook.kind,
                "status": webhook.status,
                "m": own_id,
                "delivered": str(webhook.delivered).lower(),
            }
            if all(facts.get(name) == value for name, value in filters.items() if name in facts):
                yield webhook_row(webhook, own_id)

    def refusal_rows(self, filters: Mapping[str, str]) -> Iterable[dict[str, object]]:
        """Refusals that have all these values: code, status, account, to, m."""
        for refusal in self.refusals:
            form = _form(refusal.form)
            own_id = message_id_of(form.get("StatusCallback", "").partition("#")[0])
            facts = {
                "code": str(refusal.code),
                "status": str(refusal.status),
                "account": refusal.account,
                "to": form.get("To"),
                "m": own_id,
            }
            if all(facts.get(name) == value for name, value in filters.items() if name in facts):
                yield {
                    "at": refusal.at,
                    "method": refusal.method,
                    "path": refusal.path,
                    "account": refusal.account,
                    "status": refusal.status,
                    "code": refusal.code,
                    "message": refusal.message,
                    "accepted_sid": refusal.accepted_sid,
                    "m": own_id,
                    "form": form,
                }


def message_row(message: Message, own_id: str | None, now: float) -> dict[str, object]:
    """A message in full: the API's JSON and what only the twin knows."""
    return message.as_json(now) | {
        "m": own_id,
        "lane": message.lane,
        "submitted_body": message.submitted,
        "segments": message.segments,
        "cost": message.cost,
        "status_callback": message.status_callback,
        "received": message.received,
        "accepted": message.accepted,
        "left_queue": message.left_queue,
        "send_at": message.send_at,
        "history": [{"status": status, "at": at} for status, at in message.history],
        "media": [media.url for media in message.media],
        "feedback_outcome": message.feedback,
        "deleted": message.deleted,
        "request_id": message.request_id,
        "form": _form(message.form),
    }


def webhook_row(webhook: Webhook, own_id: str | None) -> dict[str, object]:
    """A webhook in full."""
    return {
        "kind": webhook.kind,
        "sid": webhook.sid,
        "m": own_id,
        "status": webhook.status,
        "url": webhook.url,
        "method": webhook.method,
        "token": webhook.token,
        "created": webhook.created,
        "copy": webhook.copy,
        "lost": webhook.lost,
        "delivered": webhook.delivered,
        "fields": dict(webhook.fields),
        "tries": [
            {
                "at": one.at,
                "took_s": one.took_s,
                "result": one.result,
                "http_status": one.http_status,
                "error": one.error,
            }
            for one in webhook.tries
        ],
    }


def _form(form: bytes) -> dict[str, str]:
    return dict(parse_qsl(form.decode("utf-8", "replace"), keep_blank_values=True))
