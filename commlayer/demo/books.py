"""Questions to the twin: what it accepted, what it refused, what a customer answers."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from .balance import BookEntry

ASK_EVERY_S = 0.2


class TwinBooks:
    """The twin's `/__twin__` over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def settled(self) -> bool:
        """No message is under way at the twin and no webhook waits."""
        summary = await self._get("")
        return bool(summary["underway"] == 0 and summary["webhooks_pending"] == 0)

    async def accepted(self) -> list[BookEntry]:
        """Every message that apps' requests led to."""
        rows = await self._get("/messages")
        return [
            BookEntry(message_id=row["m"] or "", status=row["status"])
            for row in rows
            if row["direction"] == "outbound-api"
        ]

    async def refused(self) -> list[str]:
        """Message id of every POST that was refused."""
        return [row["m"] or "" for row in await self._get("/refusals") if row["method"] == "POST"]

    async def answer(self, person: str, text: str) -> None:
        """A customer answers the newest message she got, as soon as she has one."""
        sender = await self._newest_sender_to(person)
        while sender is None:
            await asyncio.sleep(ASK_EVERY_S)
            sender = await self._newest_sender_to(person)
        body = {"from": person, "to": sender, "body": text}
        async with self._session.post(f"{self._url}/__twin__/inbound", json=body) as response:
            response.raise_for_status()

    async def _newest_sender_to(self, person: str) -> str | None:
        rows = await self._get("/messages", to=person)
        return rows[-1]["from"] if rows else None

    async def _get(self, path: str, **filters: str) -> Any:
        async with self._session.get(f"{self._url}/__twin__{path}", params=filters) as response:
            response.raise_for_status()
            return await response.json()
