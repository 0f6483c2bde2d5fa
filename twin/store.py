"""The messages Twilio keeps, by sid, account and recipient."""

from __future__ import annotations

from collections import defaultdict

from twin.messages import Message


class Store:
    """All messages in order of acceptance. Deleted ones stay for the books; lookups and lists leave them out."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._by_sid: dict[str, Message] = {}
        self._of_account: defaultdict[str, list[Message]] = defaultdict(list)
        self._to: defaultdict[tuple[str, str], list[Message]] = defaultdict(list)

    def add(self, message: Message) -> None:
        """Keep a message."""
        self.messages.append(message)
        self._by_sid[message.sid] = message
        self._of_account[message.account.sid].append(message)
        self._to[message.account.sid, message.to].append(message)

    def find(self, account: str, sid: str) -> Message | None:
        """The account's message of this sid, unless deleted."""
        message = self._by_sid.get(sid)
        return message if message is not None and message.account.sid == account and not message.deleted else None

    def by_sid(self, sid: str) -> Message | None:
        """The message of this sid, deleted or not."""
        return self._by_sid.get(sid)

    def candidates(self, account: str, to: str | None) -> list[Message]:
        """Messages of an account, only those to `to` where given, oldest first."""
        return self._of_account[account] if to is None else self._to[account, to]

    def scheduled(self, account: str) -> int:
        """How many messages of the account wait scheduled."""
        return sum(message.status == "scheduled" for message in self._of_account[account])

    def clear(self) -> None:
        """Forget all."""
        for part in (self.messages, self._by_sid, self._of_account, self._to):
            part.clear()
