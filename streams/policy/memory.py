"""What policy remembers of each person, in the state of their partition.

Keys begin with the number and a zero byte, so that one person's entries lie together:

    <recipient> 00 d <message id>    the last decision about a message        PolicyDecision
    <recipient> 00 f                 customer data of comms.profiles          CustomerProfile
    <recipient> 00 p                 consent, and when they wrote to us       PolicyPerson
    <recipient> 00 x <message id> 00 <app>    what an app took back           Cancellation

and two kinds that lie by themselves, so that a new owner finds them without reading everybody's:

    opened 00 <sender> 00 <recipient>    the sender wrote to them first       PolicyOpening
    quota 00 <app> 00 <lane or nothing>  what the app used up of a day        PolicyQuota

and one of the partition as a whole:

    consent 00 log                       id of the comms.consent that was read    plain text

All other values are in Avro single-object encoding whatever the topics use: they are read in the middle of a decision,
where nobody can wait for a registry, and this encoding knows every released schema.

An entry that cannot be read must stop one message or one person at most, and must let nothing through that it would
have held back: an unreadable decision is raised (the message may have been sent), an unreadable person has opted out of
everything, an unreadable cancellation counts. Customer data and the list of first words are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import inf
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeVar

import structlog

from connectors.masking import mask_number
from schemas.codec import SingleObjectCodec
from schemas.errors import DecodeError
from schemas.records import (
    Cancellation,
    CustomerProfile,
    PolicyDecision,
    PolicyOpening,
    PolicyPerson,
    PolicyQuota,
    Record,
)
from streams.consent import Ledger

from . import metrics
from .config import CLOCKS_DIFFER_MS
from .facts import Past
from .quotas import DAY_MS, Subject
from .whatsapp import WINDOW_MS

log = structlog.get_logger(__name__)

_DECISION = b"\x00d"
_CANCELLATION = b"\x00x"
_PERSON = b"\x00p"
_PROFILE = b"\x00f"
_OPENED = b"opened\x00"
_QUOTA = b"quota\x00"

CANCELLATION_KEPT_MS = 430 * 24 * 3600 * 1000
"""Longer than a message may wait for its not-before (400 days) and its request in its topic (7 days): its cancellation
must be there when it comes back."""

R = TypeVar("R", bound=Record)


class EntryUnreadable(Exception):
    """What is remembered cannot be read: bytes of another origin, or of a newer version. The text holds no value."""


class State(Protocol):
    """What is asked of `connectors.kafka.state.PartitionStates`."""

    def get(self, partition: int, key: bytes) -> bytes | None:
        """What was acknowledged."""

    def get_all(self, partition: int, keys: list[bytes]) -> list[bytes | None]:
        """The same for several keys, in their order."""

    def scan(self, partition: int, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The entries whose keys begin so."""

    async def put(self, partition: int, entries: Mapping[bytes, bytes | None]) -> None:
        """Write; returns when that is acknowledged and in the store."""


class Recalled(NamedTuple):
    """See `Memory.recall`.

    Attributes:
        ledger, last_inbound: as `Memory.person`.
        profile: as `Memory.profile`.
        cancelled: as `Memory.is_cancelled`.
    """

    ledger: Ledger
    last_inbound: Mapping[str, int]
    profile: CustomerProfile | None
    cancelled: bool


_NOBODY: tuple[Ledger, Mapping[str, int]] = Ledger(), MappingProxyType({})


class Memory:
    """Reads and writes what is remembered. A person's partition is that of their number in every topic keyed so."""

    CONSENT_LOG = b"consent\x00log"
    """Key of the entry that tells which comms.consent was read."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._codec = SingleObjectCodec()

    def recall(self, home: int, recipient: str, message_id: str, app: str) -> Recalled:
        """What is remembered of a person, and whether the app took the message to them back, read at once."""
        number = recipient.encode()
        keys = [number + _PERSON, number + _PROFILE, _key_of_cancellation(recipient, message_id, app)]
        person, profile, cancelled = self._state.get_all(home, keys)
        ledger, last_inbound = _NOBODY if person is None else self._person(home, keys[0], person)
        return Recalled(
            ledger,
            last_inbound,
            None if profile is None else self._profile(home, keys[1], profile),
            cancelled is not None and self._counts(home, keys[2], cancelled),
        )

    def decision(self, home: int, recipient: str, message_id: str) -> PolicyDecision | None:
        """The last decision about a message.

        Raises:
            EntryUnreadable: there is one, and nobody can tell what it was.
        """
        key = recipient.encode() + _DECISION + message_id.encode()
        value = self._state.get(home, key)
        return None if value is None else self._decision(home, key, value)

    async def keep_decision(
        self, home: int, recipient: str, decision: PolicyDecision, *, opens: str | None = None
    ) -> None:
        """Remember a decision in place of the one before it, and, before it, that the sender `opens` writes to the
        person first by it: a crash between the two leaves one counted too many."""
        entries: dict[bytes, bytes | None] = {}
        if opens is not None:
            opening = PolicyOpening(at=decision.at)
            entries[_OPENED + opens.encode() + b"\x00" + recipient.encode()] = self._codec.encode(opening)
        entries[recipient.encode() + _DECISION + decision.message_id.encode()] = self._codec.encode(decision)
        await self._state.put(home, entries)

    def openings(self, home: int) -> Iterator[tuple[str, str, int]]:
        """Sender, person and moment of everybody who was written to first, of late."""
        for key, value in self._state.scan(home, _OPENED):
            try:
                opening = self._read(value, PolicyOpening)
                _, sender, recipient = key.decode().split("\x00")
            except (EntryUnreadable, ValueError) as error:
                self._tell(home, key, error)
                continue
            yield sender, recipient, opening.at

    def quotas(self, home: int) -> Iterator[tuple[Subject, int, int]]:
        """Whose quotas were used on which day, and how much of them in this partition."""
        for key, value in self._state.scan(home, _QUOTA):
            try:
                found = self._read(value, PolicyQuota)
                _, app, lane = key.decode().split("\x00")
            except (EntryUnreadable, ValueError) as error:
                self._tell(home, key, error)
                continue
            yield (app, lane) if lane else app, found.day, found.used

    async def keep_quotas(self, home: int, counts: Iterable[tuple[Subject, int, int]]) -> None:
        """Remember what `Quotas.changes` tells of a partition."""
        entries: dict[bytes, bytes | None] = {}
        for subject, day, used in counts:
            app, lane = (subject, "") if isinstance(subject, str) else subject
            key = _QUOTA + app.encode() + b"\x00" + lane.encode()
            entries[key] = self._codec.encode(PolicyQuota(day=day, used=used))
        await self._state.put(home, entries)

    def past(self, home: int, recipient: str, *, without: str) -> tuple[Past, ...]:
        """The decisions about a person, oldest first, but for the message `without`."""
        found = []
        for key, value in self._state.scan(home, recipient.encode() + _DECISION):
            try:
                decision = self._read(value, PolicyDecision)
            except EntryUnreadable as error:
                self._tell(home, key, error)
                continue
            if decision.message_id != without:
                found.append(_past(decision))
        return tuple(sorted(found, key=lambda past: past.at))

    def is_cancelled(self, home: int, recipient: str, message_id: str, app: str) -> bool:
        """Whether the app took the message back."""
        key = _key_of_cancellation(recipient, message_id, app)
        value = self._state.get(home, key)
        return value is not None and self._counts(home, key, value)

    async def keep_cancellation(self, home: int, cancellation: Cancellation) -> None:
        """Remember that an app took a message back. Both must be known by now. Whose the message is may not be known
        yet, so each app's word has a place of its own: another's does not take it."""
        assert cancellation.message_id is not None
        assert cancellation.app is not None
        key = _key_of_cancellation(cancellation.recipient, cancellation.message_id, cancellation.app)
        await self._put(home, key, cancellation)

    def person(self, home: int, recipient: str) -> tuple[Ledger, Mapping[str, int]]:
        """A person's consent, and when they last wrote to each of our addresses."""
        key = recipient.encode() + _PERSON
        value = self._state.get(home, key)
        return _NOBODY if value is None else self._person(home, key, value)

    async def keep_person(self, home: int, recipient: str, ledger: Ledger, last_inbound: Mapping[str, int]) -> None:
        """Remember a person."""
        person = PolicyPerson(ledger=ledger.to_bytes(), last_inbound=dict(last_inbound))
        await self._put(home, recipient.encode() + _PERSON, person)

    def profile(self, home: int, recipient: str) -> CustomerProfile | None:
        """The last record of comms.profiles about a person."""
        key = recipient.encode() + _PROFILE
        value = self._state.get(home, key)
        return None if value is None else self._profile(home, key, value)

    async def keep_profile(self, home: int, recipient: str, profile: CustomerProfile | None) -> None:
        """Remember it, or forget what was remembered."""
        key = recipient.encode() + _PROFILE
        if profile is not None:
            await self._put(home, key, profile)
        else:
            await self._state.put(home, {key: None})

    @staticmethod
    def person_of(key: bytes) -> str | None:
        """The number of the person whose consent lies under a key; None where something else does."""
        return key[: -len(_PERSON)].decode("ascii", "replace") if key.endswith(_PERSON) else None

    @staticmethod
    def is_opening(key: bytes) -> bool:
        """Whether a key is one of `openings`."""
        return key.startswith(_OPENED)

    def useless(self, key: bytes, value: bytes, now_ms: int) -> bool:
        """Whether nobody needs an entry any more. What is known of a person is kept for ever, and what cannot be read
        until somebody has seen to it."""
        try:
            return self._until(key, value) < now_ms
        except EntryUnreadable:
            return False

    # Inside

    def _until(self, key: bytes, value: bytes) -> float:
        """How long an entry is needed, epoch milliseconds UTC."""
        if key.startswith(_OPENED):
            return self._read(value, PolicyOpening).at + WINDOW_MS + CLOCKS_DIFFER_MS
        if key.startswith(_QUOTA):
            return (self._read(value, PolicyQuota).day + 1) * DAY_MS + CLOCKS_DIFFER_MS
        kind = key.partition(b"\x00")[2][:1]
        if kind == _DECISION[1:]:
            return self._read(value, PolicyDecision).forget_at
        if kind == _CANCELLATION[1:]:
            return self._read(value, Cancellation).requested_at + CANCELLATION_KEPT_MS
        return inf

    def _decision(self, home: int, key: bytes, value: bytes) -> PolicyDecision:
        try:
            return self._read(value, PolicyDecision)
        except EntryUnreadable as error:
            self._tell(home, key, error)
            raise

    def _person(self, home: int, key: bytes, value: bytes) -> tuple[Ledger, Mapping[str, int]]:
        try:
            found = self._read(value, PolicyPerson)
            return Ledger.from_bytes(found.ledger), found.last_inbound
        except (EntryUnreadable, ValueError) as error:
            self._tell(home, key, error)
            return Ledger().with_unreadable(0), {}

    def _profile(self, home: int, key: bytes, value: bytes) -> CustomerProfile | None:
        try:
            return self._read(value, CustomerProfile)
        except EntryUnreadable as error:
            self._tell(home, key, error)
            return None

    def _counts(self, home: int, key: bytes, value: bytes) -> bool:
        try:
            self._read(value, Cancellation)
        except EntryUnreadable as error:
            self._tell(home, key, error)
        return True

    def _read(self, value: bytes, kind: type[R]) -> R:
        try:
            record = self._codec.decode(value)
        except DecodeError as error:
            raise EntryUnreadable(str(error)) from error
        if not isinstance(record, kind):
            raise EntryUnreadable(f"a {record.AVRO_NAME} lies where a {kind.AVRO_NAME} should")
        return record

    def _tell(self, home: int, key: bytes, error: Exception) -> None:
        metrics.unreadable.inc()
        kind = "opened" if self.is_opening(key) else key.partition(b"\x00")[2][:1].decode("ascii", "replace")
        recipient = mask_number(recipient_of(key).decode("ascii", "replace"))
        log.error("what is remembered cannot be read", partition=home, recipient=recipient, kind=kind, why=str(error))

    async def _put(self, home: int, key: bytes, record: Record) -> None:
        await self._state.put(home, {key: self._codec.encode(record)})


def recipient_of(key: bytes) -> bytes:
    """The number whose entry a key names, as it is the key of their records."""
    return key.rpartition(b"\x00")[2] if key.startswith(_OPENED) else key.partition(b"\x00")[0]


def _key_of_cancellation(recipient: str, message_id: str, app: str) -> bytes:
    return b"".join((recipient.encode(), _CANCELLATION, message_id.encode(), b"\x00", app.encode()))


def _past(decision: PolicyDecision) -> Past:
    return Past(
        message_id=decision.message_id,
        round=decision.round,
        app=decision.app,
        category=decision.category,
        channel=decision.channel,
        sender=decision.sender,
        admitted=decision.admitted_at is not None,
        at=decision.at if decision.admitted_at is None else decision.admitted_at,
    )
