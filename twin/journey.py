"""The way of an outbound message through its statuses.

    no service:  queued → sent → delivered → read     (Twilio's `sending`, in between, is never shown)
    service:     accepted → queued → sent …           (the sender is chosen on the way)
    scheduled:   scheduled → queued …  or → canceled

Before it is sent a message may fail; after, it may be undelivered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from twin.clock import Clock, Timer
from twin.errors import DELIVERY_ERRORS
from twin.messages import Message
from twin.optouts import OptOuts
from twin.outcomes import Fate
from twin.senders import Sender

# What an error of the request becomes when a Messaging Service took the message first.
_LATER_CODE = {21611: 30001, 21614: 30006, 21635: 30006}


@dataclass(slots=True)
class _Underway:
    fate: Fate
    timer: Timer | None = None


class Journey:
    """Moves messages on.

    Args:
        changed: called after every change of status that Twilio reports.
        last_inbound: when a person last wrote to a WhatsApp sender; None where never.
        carrier_refuses: the code with which a carrier refuses a message that leaves its queue at a moment.
    """

    def __init__(
        self,
        clock: Clock,
        optouts: OptOuts,
        changed: Callable[[Message], None],
        last_inbound: Callable[[str, str], float | None],
        carrier_refuses: Callable[[Message, float], int | None] = lambda message, at: None,
    ) -> None:
        self._clock = clock
        self._optouts = optouts
        self._changed = changed
        self._last_inbound = last_inbound
        self._carrier_refuses = carrier_refuses
        self._underway: dict[str, _Underway] = {}
        self.price_after_s = 0.0
        self.whatsapp_window = True
        self.quiet = asyncio.Event()
        self.quiet.set()

    @property
    def open_messages(self) -> int:
        """Messages that will still change by themselves."""
        return len(self._underway)

    def begin(self, message: Message, fate: Fate) -> None:
        """Set the initial status, which is never reported, and start."""
        underway = self._underway[message.sid] = _Underway(fate)
        self.quiet.clear()
        now = self._clock.now()
        if message.send_at is not None:
            self._status(message, "scheduled", now)
            underway.timer = self._clock.call_at(message.send_at, self._choose, message)
        elif message.service is not None:
            self._status(message, "accepted", now)
            after_s = message.service.settings.choose_after_s
            underway.timer = self._clock.call_at(now + after_s, self._choose, message)
        else:
            self._status(message, "queued", now)
            assert message.sender is not None
            message.sender.offer(message)

    def cancel(self, message: Message) -> bool:
        """Cancel a scheduled message; False when it is not scheduled any more."""
        if message.status != "scheduled":
            return False
        underway = self._underway[message.sid]
        assert underway.timer is not None
        underway.timer.cancel()
        self._end(message, "canceled")
        return True

    def left_queue(self, message: Message, at: float) -> None:
        """The message's turn came at `at`."""
        message.left_queue = at
        underway = self._underway.get(message.sid)
        if underway is None:
            return
        sent_after_s = underway.fate.delay(underway.fate.outcome.sent_after_s)
        self._clock.call_at(at + sent_after_s, self._hand_over, message, self._refused_at_handover(message, at))

    def expired(self, message: Message, at: float) -> None:
        """The message's validity ended in the queue."""
        self._end(message, "failed", 30036, at=at)

    def close(self) -> None:
        """Forget all messages underway."""
        for underway in self._underway.values():
            if underway.timer is not None:
                underway.timer.cancel()
        self._underway.clear()
        self.quiet.set()

    def _choose(self, message: Message) -> None:
        service = message.service
        if service is None or message.sid not in self._underway:
            return
        if message.doomed is not None:
            self._end(message, "failed", _LATER_CODE.get(message.doomed, message.doomed))
            return
        if (message.account.sid, service.sid, message.person) in self._optouts:
            self._end(message, "failed", 21610)
            return
        if message.sender is None:
            choice = service.choose(message.to, message.cost, media=bool(message.media))
            if not isinstance(choice, Sender):
                self._end(message, "failed", choice)
                return
            message.sender = choice
            message.from_ = choice.address
        elif not message.sender.has_room(message.cost):
            self._end(message, "failed", 30001)
            return
        self._status(message, "queued", self._clock.now())
        self._changed(message)
        message.sender.offer(message)

    def _refused_at_handover(self, message: Message, at: float) -> int | None:
        sender = message.sender
        assert sender is not None
        if sender.type == "toll_free" and message.direction == "outbound-api":
            if (message.account.sid, sender.address, message.person) in self._optouts:
                return 30004  # the network blocks it
        elif sender.type == "whatsapp" and self.whatsapp_window and not message.templated:
            wrote = self._last_inbound(sender.address, message.person)
            if wrote is None or wrote < self._clock.now() - 24 * 3600:
                return 63016
        return self._carrier_refuses(message, at) if message.direction == "outbound-api" else None

    def _hand_over(self, message: Message, code: int | None) -> None:
        underway = self._underway.get(message.sid)
        if underway is None:
            return
        outcome, now = underway.fate.outcome, self._clock.now()
        if code is not None:
            self._end(message, "failed", code)
            return
        if outcome.status == "failed":
            self._end(message, "failed", outcome.error_code)
            return
        message.sent = now
        message.priced_from = now + self.price_after_s
        if outcome.status == "sent":
            self._end(message, "sent")
            return
        self._status(message, "sent", now)
        self._changed(message)
        self._clock.call_at(now + underway.fate.delay(outcome.final_after_s), self._report, message)

    def _report(self, message: Message) -> None:
        underway = self._underway.get(message.sid)
        if underway is None:
            return
        outcome = underway.fate.outcome
        if outcome.status != "read":
            self._end(message, outcome.status, outcome.error_code)
            return
        self._status(message, "delivered", self._clock.now())
        self._changed(message)
        read_at = self._clock.now() + underway.fate.delay(outcome.read_after_s)
        self._clock.call_at(read_at, self._end, message, "read")

    def _end(self, message: Message, status: str, code: int | None = None, *, at: float | None = None) -> None:
        if self._underway.pop(message.sid, None) is None:
            return
        message.error_code = code
        message.error_message = None if code is None else DELIVERY_ERRORS.get(code, "Unknown error")
        self._status(message, status, self._clock.now() if at is None else at)
        self._changed(message)
        if not self._underway:
            self.quiet.set()

    def _status(self, message: Message, status: str, at: float) -> None:
        message.status = status
        message.updated = at
        message.history.append((status, at))
