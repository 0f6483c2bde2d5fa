"""The twin without HTTP: all its parts, wired."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence

from twin import compose
from twin.accounts import Account
from twin.books import Books
from twin.carriers import Carriers
from twin.clock import Clock, RealClock, VirtualClock
from twin.create import Draft, account_refuses, read_create
from twin.directory import Directory
from twin.errors import ApiError, refuse
from twin.faults import FaultPlan
from twin.inbox import Inbox, Receipt
from twin.journey import Journey
from twin.messages import Message
from twin.notices import Notices
from twin.optouts import OptOuts
from twin.outcomes import Facts, Fate, Outcomes
from twin.settings import FaultSettings, OutcomeSettings, TwinSettings
from twin.store import Store


class Exchange:
    """One twin. Build it inside the running loop."""

    def __init__(self, settings: TwinSettings) -> None:
        self.settings = settings
        self.clock: Clock = (
            VirtualClock(time.time() if settings.start is None else settings.start)
            if settings.clock == "virtual"
            else RealClock(skew_s=settings.clock_skew_s)
        )
        self.store = Store()
        self.books = Books(self.store, self.clock)
        self.optouts = OptOuts()
        self.carriers = Carriers(settings.ten_dlc, self.books.debugger)
        self.outcomes = Outcomes(settings.outcomes)
        self.faults = FaultPlan(settings.faults, self.clock.now())
        self.notices = Notices(settings.webhooks, self.clock, self.books, self.faults)
        self.journey = Journey(self.clock, self.optouts, self.notices.status, self._last_inbound, self.carriers.refuses)
        self.journey.price_after_s = settings.price_after_s
        self.journey.whatsapp_window = settings.whatsapp_window
        self.directory = Directory(settings, self.clock, self.journey.left_queue, self.journey.expired)
        self._seq = itertools.count()
        self.inbox = Inbox(self.clock, self.directory, self.store, self.optouts, self.notices, self.journey, self._seq)

    def create(
        self,
        account: Account,
        form: Mapping[str, str],
        media: Sequence[str],
        *,
        raw: bytes,
        received: float,
        request_id: str = "",
    ) -> Message | ApiError:
        """Take a message from a live account.

        Args:
            raw: the request's form as it came.
            received: when the request began to arrive.
        """
        now = self.clock.now()
        draft = read_create(form, media, account, self.directory, now)
        if isinstance(draft, ApiError):
            return draft
        error = account_refuses(draft, account)
        if error is not None:
            return error
        if draft.send_at is not None and self.store.scheduled(account.sid) >= account.settings.scheduled_limit:
            return refuse(35125)
        address = draft.sender.address if draft.sender else None
        fate = self.outcomes.draw(Facts(draft.to.text, address, draft.body))
        lag_s = self.faults.listing_lag_s(draft.to.text)
        message = compose.outbound(draft, account, seq=next(self._seq), received=received, now=now, lag_s=lag_s)
        message.form, message.request_id = raw, request_id
        if draft.service is None:
            error = self._refused_at_once(message, draft, fate)
            if error is not None:
                return error
        else:
            message.doomed = fate.refuse  # with a Messaging Service errors come later, by callback
        self.store.add(message)
        self.journey.begin(message, fate)
        return message

    def redact(self, message: Message) -> None:
        """Empty the body; the books keep it."""
        message.body = ""
        message.updated = self.clock.now()

    async def inbound(
        self,
        from_address: str,
        to: str,
        body: str = "",
        *,
        media: Sequence[str] = (),
        extra: Mapping[str, str] | None = None,
    ) -> Receipt:
        """A person writes to a sender, see `Inbox.receive`."""
        return await self.inbox.receive(from_address, to, body, media, extra or {})

    async def advance(self, seconds: float) -> None:
        """Move a virtual clock, letting webhooks finish in between. Raises TypeError on a real clock."""
        clock, idle = self.clock, self.notices.caller.idle
        if not isinstance(clock, VirtualClock):
            raise TypeError("the twin runs on a real clock")
        target = clock.now() + seconds
        while True:
            while not clock.run_until(target):
                await asyncio.sleep(0)  # others may run
                await idle.wait()
            await idle.wait()
            due = clock.next_due()
            if due is None or due > target:
                return

    async def settled(self) -> None:
        """Wait until no message will change by itself and no webhook is being called.

        On a virtual clock only the webhooks are waited for.
        """
        quiet, idle = self.journey.quiet, self.notices.caller.idle
        while True:
            if not self.clock.virtual:
                await quiet.wait()
            await idle.wait()
            if self.clock.virtual or quiet.is_set():
                return

    def plan_faults(self, settings: FaultSettings) -> None:
        """Set another fault plan; its times and counts start now."""
        self.faults.plan(settings, self.clock.now())

    def plan_outcomes(self, settings: OutcomeSettings) -> None:
        """Set other outcomes for messages to come."""
        self.outcomes.plan(settings)

    def reset(self) -> None:
        """Forget messages, books, queues, opt-outs; configuration, clock and plans stay."""
        self._stop_work()
        for service in self.directory.services.values():
            service.sticky.clear()
        self.store.clear()
        self.books.clear()
        self.optouts.clear()
        self.carriers.clear()
        self.inbox.last.clear()
        self.plan_outcomes(self.outcomes.settings)
        self.plan_faults(self.faults.settings)

    async def close(self) -> None:
        """Stop everything."""
        self._stop_work()
        await self.notices.caller.close()

    def _stop_work(self) -> None:
        self.journey.close()
        self.notices.caller.forget()
        for sender in self.directory.senders.values():
            sender.close()

    def _last_inbound(self, sender: str, person: str) -> float | None:
        return self.inbox.last.get((sender, person))

    def _refused_at_once(self, message: Message, draft: Draft, fate: Fate) -> ApiError | None:
        sender = draft.sender
        assert sender is not None
        opted_out = (message.account.sid, sender.address, message.person) in self.optouts
        if opted_out and sender.type != "toll_free":
            return refuse(21610)
        if fate.refuse is not None:
            return refuse(fate.refuse, to=message.to, sender=sender.address, masked=message.to[:-4] + "XXXX", via="SMS")
        return None if sender.has_room(message.cost) else refuse(21611)
