"""What changed since policy decided: consent and cancellations of the last days, held in memory, asked before a POST.

Written by the tail's thread, read by the event loop: a change becomes visible by one assignment, whole or not at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import structlog

from connectors.kafka.tail import NotNow
from connectors.masking import mask_numbers
from schemas.codec import Codec
from schemas.errors import DecodeError, RegistryUnavailable, SchemaNotLoaded
from schemas.reasons import Reason
from schemas.records import Cancellation, Consent, ConsentChange, ConsentSource, Dispatch, Record
from schemas.topics import CANCELLATIONS, CONSENT
from streams.consent import About, Effect, Entry, Ledger, effect_of, named_by

log = structlog.get_logger(__name__)

KEPT_MS = 4 * 24 * 3_600_000
"""The retention of the dispatch topics: no message here was decided longer ago."""
CLOCKS_APART_MS = 60_000
"""What was written so long after a decision policy did not know, whatever its position says: in a comms.consent that
was made anew positions begin again. Clocks of writers and policy differ by less."""
FRESH_S = 1.0
"""A STOP that Kafka acknowledged so long ago must be known before a POST begins."""
WHILE_STALE = frozenset({"otp", "security"})
"""Twilio intents that do not wait while it is unknown what changed: a code that comes late is as good as none, and a
person who stops them is rare and harmed little by one more. No others: that a STOP wins is promised for them."""

_YES = frozenset({ConsentChange.OPT_IN, ConsentChange.UNSUPPRESS})


class _Change(NamedTuple):
    partition: int
    position: int
    written_at: int
    entry: Entry | None
    """None: it could not be read."""
    repairs: bool


class Changes:
    """See the module.

    Args:
        codec: reads records.
        now_ms: epoch milliseconds UTC.
        age_s: seconds of which nothing may be known (`Tail.age_s`).
        brands: brand of the lanes that have one.
        by_law: categories that opt-outs do not stop.
    """

    def __init__(
        self,
        codec: Codec,
        *,
        now_ms: Callable[[], int],
        age_s: Callable[[], float],
        brands: Mapping[str, str] | None = None,
        by_law: frozenset[str] = frozenset(),
    ) -> None:
        self._codec = codec
        self._now_ms = now_ms
        self._age_s = age_s
        self._brands = brands or {}
        self._by_law = by_law
        self._consent: dict[str, tuple[_Change, ...]] = {}
        self._cancelled: dict[str, tuple[str | None, ...]] = {}
        self._until: deque[tuple[int, dict[str, tuple[Any, ...]], str]] = deque()

    @property
    def held(self) -> int:
        """Number of changes in memory."""
        return len(self._until)

    def waits(self, order: Dispatch) -> bool:
        """Whether a message must wait because what changed of late is not known."""
        return order.message_intent not in WHILE_STALE and not self._age_s() < FRESH_S

    def against(self, order: Dispatch, now_ms: int) -> Reason | None:
        """Why a message may not be sent any more, by what is known; `CONSENT_CHANGED`: only policy can tell whether it
        may, for the person opted out of a sender that is not the message's own."""
        apps = self._cancelled.get(order.message_id)
        if apps is not None and (order.app in apps or None in apps):
            return Reason.CANCELED
        changes = self._consent.get(order.recipient)
        return None if changes is None else self._refused(order, changes, now_ms)

    def take(self, message: Any) -> None:
        """Note a record of either topic (a `confluent_kafka.Message`); what cannot be read of consent is an opt-out
        from everything for the recipient in its key.

        Raises:
            NotNow: its schema is not known, and the registry is away.
        """
        self._forget()
        record = self._read(message)
        if message.topic() == CONSENT:
            self._take_consent(record if isinstance(record, Consent) else None, message)
        elif message.topic() == CANCELLATIONS and isinstance(record, Cancellation) and record.message_id is not None:
            self._note(self._cancelled, record.message_id, record.app)

    # Inside -----------------------------------------------------------------------------------------------------------

    def _refused(self, order: Dispatch, changes: tuple[_Change, ...], now_ms: int) -> Reason | None:
        new = [change for change in changes if not _known_to_policy(change, order)]
        ledger = _folded(new)
        message = About(
            channel=order.channel,
            category=order.category,
            sender=order.lane,
            address=order.sender,
            messaging_service_sid=order.messaging_service_sid,
            brand=self._brands.get(order.lane),
        )
        if ledger.suppressed(message, now_ms) is not None:
            return Reason.SUPPRESSED
        if order.category in self._by_law:
            return None
        if ledger.opted_out(message, now_ms) is not None:
            return Reason.OPTED_OUT
        # What lies in another partition policy writes again where it belongs: asked before that, it could say nothing
        # new, and dispatch would ask for ever.
        at_home = _folded(change for change in new if change.partition == order.consent_partition)
        return None if at_home.opted_out_of_a_sender(now_ms) is None else Reason.CONSENT_CHANGED

    def _take_consent(self, record: Consent | None, message: Any) -> None:
        partition, position, written_at = message.partition(), message.offset(), message.timestamp()[1]
        recipient, effect = named_by(record, message.key()), effect_of(record)
        if recipient is None or effect is Effect.NOTHING:
            log.error("consent cannot be used", partition=partition, position=position)
        elif record is None or effect is Effect.OPT_OUT_OF_EVERYTHING:
            log.error("consent cannot be read: opted out of everything", partition=partition, position=position)
            self._note(self._consent, recipient, _Change(partition, position, written_at, None, False))
        else:
            if record.change in _YES and record.recipient not in self._consent:
                return  # it could only lift an earlier no, and there is none: an import may hold millions of them
            repairs = record.source is ConsentSource.OPERATOR
            entry = Entry.of(record, position, written_at)
            change = _Change(partition, position, written_at, entry, repairs)
            self._note(self._consent, record.recipient, change)

    def _note(self, table: dict[str, tuple[Any, ...]], key: str, change: Any) -> None:
        table[key] = (*table.get(key, ()), change)
        self._until.append((self._now_ms() + KEPT_MS, table, key))

    def _forget(self) -> None:
        now_ms = self._now_ms()
        while self._until and self._until[0][0] < now_ms:
            _, table, key = self._until.popleft()
            rest = table[key][1:]
            if rest:
                table[key] = rest
            else:
                del table[key]

    def _read(self, message: Any) -> Record | None:
        data = message.value() or b""
        try:
            try:
                return self._codec.decode(data)
            except SchemaNotLoaded as missing:
                self._codec.load(missing.schema_id)  # type: ignore[attr-defined]  # only a codec that loads asks for it
                return self._codec.decode(data)
        except RegistryUnavailable as error:
            raise NotNow("the schema registry is away") from error
        except (DecodeError, SchemaNotLoaded) as error:
            log.error("change cannot be read", topic=message.topic(), why=mask_numbers(str(error)))
            return None


def _known_to_policy(change: _Change, order: Dispatch) -> bool:
    if order.consent_position is None or change.partition != order.consent_partition:
        return False
    return change.position < order.consent_position and change.written_at < order.decided_at + CLOCKS_APART_MS


def _folded(changes: Iterable[_Change]) -> Ledger:
    ledger = Ledger()
    for change in sorted(changes, key=lambda each: each.position):
        if change.entry is None:
            ledger = ledger.with_unreadable(change.position)
        else:
            ledger = ledger.folded_entry(change.entry, repairs=change.repairs)
    return ledger
