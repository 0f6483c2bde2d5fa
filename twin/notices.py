"""Makes webhooks and sees to it that they are called: as configured, or as spoiled by the fault plan."""

from __future__ import annotations

from twin.books import Alert, Books
from twin.callbacks import REPORTED, status_fields
from twin.clock import Clock
from twin.faults import CallbackTrouble, FaultPlan
from twin.messages import Message
from twin.senders import Sender
from twin.settings import WebhookSettings
from twin.twiml import Reply, read
from twin.webhooks import Caller, Webhook

# Debugger codes of a webhook that failed, by the result of its last try.
_ALERT_CODES = {"ct": 11205, "rt": 11203, "4xx": 11200, "5xx": 11200}
_NO_TIME = 11200
_UNKNOWN_FIELD = ("FutureParameter", "1")  # Twilio adds fields without notice


class Notices:
    """Status callbacks and inbound webhooks."""

    def __init__(self, settings: WebhookSettings, clock: Clock, books: Books, faults: FaultPlan) -> None:
        self._clock = clock
        self._books = books
        self._faults = faults
        self.caller = Caller(settings, clock, self._finished)

    def status(self, message: Message) -> None:
        """Report the message's present status, if somebody wants to know."""
        url = message.status_callback
        if not url or message.status not in REPORTED:
            return
        trouble = self._faults.for_callback("status", message.status)
        fields = status_fields(message)
        webhook = Webhook(
            kind="status",
            sid=message.sid,
            status=message.status,
            url=url,
            fields=[*fields, _UNKNOWN_FIELD] if trouble.extra else fields,
            signing_token=message.account.signing_token,
            created=self._clock.now(),
        )
        if self._goes(webhook, trouble):
            if trouble.delay_s:
                self.caller.submit_at(self._clock.now() + trouble.delay_s, webhook)
            else:
                self.caller.submit(webhook)

    async def ask(self, message: Message, sender: Sender, url: str, fields: list[tuple[str, str]]) -> list[Reply] | int:
        """Post an inbound message: the replies it was answered with, or the code of what went wrong."""
        trouble = self._faults.for_callback("inbound", message.status)
        webhook = Webhook(
            kind="inbound",
            sid=message.sid,
            status=message.status,
            url=url,
            fields=[*fields, _UNKNOWN_FIELD] if trouble.extra else fields,
            signing_token=sender.account.signing_token,
            created=self._clock.now(),
            method=sender.settings.inbound_method,
            content_type="application/x-www-form-urlencoded",
        )
        if not self._goes(webhook, trouble):
            return []
        await self.caller.call(webhook)
        code = None if webhook.delivered else _alert_code(webhook)
        outcome = read(webhook.answer, webhook.answer_type) if code is None else code
        if isinstance(outcome, int):
            self._alert(webhook, outcome)
        return outcome

    def _goes(self, webhook: Webhook, trouble: CallbackTrouble) -> bool:
        """Enter it into the books, with its copies; False where it is lost."""
        self._books.webhooks.append(webhook)
        webhook.lost = trouble.lost
        if trouble.lost:
            return False
        for number in range(1, trouble.copies + 1):
            copy = webhook.repeated(number)
            self._books.webhooks.append(copy)
            self.caller.submit(copy)
        return True

    def _finished(self, webhook: Webhook) -> None:
        if webhook.kind == "status" and not webhook.delivered:
            self._alert(webhook, _alert_code(webhook))

    def _alert(self, webhook: Webhook, code: int) -> None:
        last = webhook.tries[-1] if webhook.tries else None
        detail = "no time left" if last is None else last.error or f"answered {last.http_status}"
        self._books.alerts.append(Alert(self._clock.now(), code, webhook.sid, webhook.url, detail))


def _alert_code(webhook: Webhook) -> int:
    return _ALERT_CODES[webhook.tries[-1].result] if webhook.tries else _NO_TIME
