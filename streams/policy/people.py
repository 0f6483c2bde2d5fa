"""What policy learns of a person beside requests: changes of consent, that they wrote to us, customer data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from connectors.kafka.intake import Intake
from schemas.errors import DecodeError
from schemas.reasons import Reason
from schemas.records import Channel, Consent, CustomerProfile, Inbound, Record
from schemas.topics import CONSENT, PROFILES
from streams.consent import Effect, effect_of, fault_of, named_by
from streams.numbers import E164

from . import metrics
from .memory import Memory


class Nothing(Enum):
    """What stands in place of a record."""

    UNREADABLE_CONSENT = auto()
    """A record of comms.consent that cannot be read or used: opt-out from everything, until an operator's record
    repairs it."""
    NO_PROFILE = auto()
    """Customer data forgot the person."""


@dataclass(frozen=True, slots=True)
class Change:
    """One record about a person.

    Attributes:
        recipient: their number.
        offset: where the record stands in their partition.
        written_at: when it was written there, epoch milliseconds UTC.
        record: what it says, or what to do without one.
    """

    recipient: str
    offset: int
    written_at: int
    record: Consent | Inbound | CustomerProfile | Nothing


class People:
    """Folds such records into what is remembered of the person they are about."""

    def __init__(self, memory: Memory, *, intake: Intake) -> None:
        self._memory = memory
        self._intake = intake

    async def read(self, message: Any) -> Change | None:
        """The change in a record of comms.consent, comms.inbound or comms.profiles. None when it is about nobody that
        could be sent to, or says nothing. What cannot be read or used was dead-lettered; that of comms.inbound is
        feedback's to tell."""
        if message.topic == CONSENT:
            return await self._consent(message)
        if message.topic == PROFILES:
            if message.value is None:
                return _of_key(message, Nothing.NO_PROFILE)
            return await self._profile(message)
        try:
            return _of(message, await self._intake.decode(message.value or b""))
        except DecodeError:
            return None

    async def _consent(self, message: Any) -> Change | None:
        record = await self._intake.read(message, (Consent,))
        assert record is None or isinstance(record, Consent)
        fault = None if record is None else fault_of(record)
        if fault is not None:
            reason = Reason.INVALID_RECIPIENT if fault.field == "recipient" else Reason.INVALID_FIELD
            await self._intake.dead(message, reason=reason, detail=fault.detail, field=fault.field, fix=fault.fix)
        recipient, effect = named_by(record, message.key), effect_of(record)
        if recipient is None or effect is Effect.NOTHING:
            return None
        counts = record if record is not None and effect is Effect.FOLDED else Nothing.UNREADABLE_CONSENT
        return Change(recipient, message.offset, _written_at(message), counts)

    async def _profile(self, message: Any) -> Change | None:
        record = await self._intake.read(message, (CustomerProfile,))
        change = _of(message, record)
        if change is None and record is not None:
            await self._intake.dead(
                message,
                reason=Reason.INVALID_RECIPIENT,
                detail="it is no E.164 number",
                field="recipient",
                fix="write + and country code, with no prefix and no spaces",
            )
        return change

    async def keep(self, home: int, change: Change) -> None:
        """Fold a change in. The caller has the person's turn."""
        record = change.record
        if isinstance(record, CustomerProfile) or record is Nothing.NO_PROFILE:
            profile = record if isinstance(record, CustomerProfile) else None
            await self._memory.keep_profile(home, change.recipient, profile)
            return
        ledger, last_inbound = self._memory.person(home, change.recipient)
        if isinstance(record, Inbound):
            address = _address(record)
            if last_inbound.get(address, 0) >= record.received_at:
                return
            last_inbound = {**last_inbound, address: record.received_at}
        else:
            before = ledger
            if isinstance(record, Consent):
                ledger = ledger.folded(record, change.offset, change.written_at)
            else:
                ledger = ledger.with_unreadable(change.offset)
            if ledger == before:  # it was folded in before a crash
                return
            metrics.consents.inc()
        await self._memory.keep_person(home, change.recipient, ledger, last_inbound)


def _of(message: Any, record: Record | None) -> Change | None:
    if not isinstance(record, Consent | Inbound | CustomerProfile) or E164.fullmatch(record.recipient) is None:
        return None
    return Change(record.recipient, message.offset, _written_at(message), record)


def _of_key(message: Any, nothing: Nothing) -> Change | None:
    key = (message.key or b"").decode("ascii", "replace")
    return Change(key, message.offset, _written_at(message), nothing) if E164.fullmatch(key) else None


def _written_at(message: Any) -> int:
    return int(message.timestamp * 1000)


def _address(inbound: Inbound) -> str:
    """Our address as Twilio writes it."""
    prefix = "whatsapp:" if inbound.channel is Channel.WHATSAPP and not inbound.sender.startswith("whatsapp:") else ""
    return f"{prefix}{inbound.sender}"
