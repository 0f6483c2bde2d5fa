"""What policy learns of a person beside requests: changes of consent, and that they wrote to us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.kafka.intake import Intake
from schemas.errors import DecodeError
from schemas.records import Channel, Consent, Inbound
from schemas.topics import CONSENT

from . import metrics
from .memory import Memory
from .numbers import E164


@dataclass(frozen=True, slots=True)
class Change:
    """One record about a person.

    Attributes:
        recipient: their number.
        offset: where the record stands in their partition.
        record: what it says; None for a record of comms.consent that cannot be read: until an operator's record
            repairs that it counts as opt-out from everything.
    """

    recipient: str
    offset: int
    record: Consent | Inbound | None


class People:
    """Folds such records into what is remembered of the person they are about."""

    def __init__(self, memory: Memory, *, intake: Intake) -> None:
        self._memory = memory
        self._intake = intake

    async def read(self, message: Any) -> Change | None:
        """The change in a record of comms.consent or comms.inbound. None when it is about nobody that could be sent
        to. An unreadable record of comms.consent was dead-lettered; those of comms.inbound are feedback's to tell."""
        record = await (self._consent(message) if message.topic == CONSENT else self._inbound(message))
        if record is None:
            key = (message.key or b"").decode("ascii", "replace")
            unreadable = message.topic == CONSENT and E164.fullmatch(key)
            return Change(key, message.offset, None) if unreadable else None
        return Change(record.recipient, message.offset, record) if E164.fullmatch(record.recipient) else None

    async def _consent(self, message: Any) -> Consent | None:
        record = await self._intake.read(message, (Consent,))
        assert record is None or isinstance(record, Consent)
        return record

    async def _inbound(self, message: Any) -> Inbound | None:
        try:
            record = await self._intake.decode(message.value or b"")
        except DecodeError:
            return None
        return record if isinstance(record, Inbound) else None

    async def keep(self, home: int, change: Change) -> None:
        """Fold a change in. The caller has the person's turn."""
        ledger, last_inbound = self._memory.person(home, change.recipient)
        record = change.record
        if isinstance(record, Inbound):
            address = _address(record)
            if last_inbound.get(address, 0) >= record.received_at:
                return
            last_inbound = {**last_inbound, address: record.received_at}
        else:
            before = ledger
            ledger = ledger.with_unreadable(change.offset) if record is None else ledger.folded(record, change.offset)
            if ledger == before:  # it was folded in before a crash
                return
            metrics.consents.inc()
        await self._memory.keep_person(home, change.recipient, ledger, last_inbound)


def _address(inbound: Inbound) -> str:
    """Our address as Twilio writes it."""
    prefix = "whatsapp:" if inbound.channel is Channel.WHATSAPP and not inbound.sender.startswith("whatsapp:") else ""
    return f"{prefix}{inbound.sender}"
