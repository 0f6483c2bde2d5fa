"""Asks for Twilio's list of messages to one person, within a budget of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from connectors.masking import mask_numbers
from connectors.outage import Outage
from connectors.twilio.account import Account
from connectors.twilio.answers import Listing, Rejected, Unavailable
from schemas.records import Channel, Dispatch

from .bucket import Bucket

LISTS_PER_S = 10.0
"""Requests for lists per account: a crash leaves some hundred messages in doubt, and sending goes on beside."""
LISTS_AT_ONCE = 8
"""So many may be under way, all accounts together: an answer takes longer than a tenth of a second."""
LISTING_MARGIN_MS = 900_000
"""Lists are asked for from so much earlier: Twilio's clock may be apart from ours, and its answer tells by how much."""


class Lists(Protocol):
    """What lists; `connectors.twilio.messages.Messages`."""

    async def list_to(
        self, account: Account, to: str, since_ms: int, *, channel: Channel = Channel.SMS
    ) -> Listing | Rejected | Unavailable:
        """Messages to one address."""


@dataclass(slots=True)
class Lister:
    """All methods belong to one event loop.

    Args:
        lists: asks Twilio.
        accounts: by name.
        clock: monotonic seconds.
    """

    lists: Lists
    accounts: Mapping[str, Account]
    clock: Callable[[], float]
    _budgets: dict[str, Bucket] = field(default_factory=dict)
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LISTS_AT_ONCE))
    _trouble: Outage = field(default_factory=lambda: Outage("Twilio's message list"))

    async def list(self, order: Dispatch, since_ms: int, account_name: str) -> Listing | None:
        """Messages of an account to the recipient of this one, on its channel, since then, and somewhat earlier; None
        where they cannot be had."""
        account = self.accounts.get(account_name)
        if account is None:
            self._trouble.began(f"account {account_name} is not configured")
            return None
        async with self._at_once:
            await self._turn(account_name)
            answer = await self.lists.list_to(
                account, order.recipient, since_ms - LISTING_MARGIN_MS, channel=order.channel
            )
        if isinstance(answer, Listing):
            self._trouble.ended()
            return answer
        self._trouble.began(answer.why if isinstance(answer, Unavailable) else mask_numbers(answer.error.message))
        return None

    async def _turn(self, account: str) -> None:
        budget = self._budgets.setdefault(account, Bucket(LISTS_PER_S))
        now = self.clock()
        at = max(now, budget.due(1))
        budget.charge(1, at)  # before the wait: whoever asks meanwhile comes after this one
        if at > now:
            await asyncio.sleep(at - now)
