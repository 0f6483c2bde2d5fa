"""What one person agreed to: the fold of their records on comms.consent.

Order is the position in the log, for all of a person's changes are in one partition; a delivery that comes again lies
below `Ledger.position` and changes nothing. The precedence that follows is the table in docs/consent.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import orjson

from connectors.values import value
from schemas.records import Consent, ConsentChange, ConsentScope, ConsentSource

from .scopes import BY_SENDER, About, covers, plain_value, within

_VERSION = 1
_CHANGES = (ConsentChange.OPT_IN, ConsentChange.OPT_OUT, ConsentChange.SUPPRESS, ConsentChange.UNSUPPRESS)
_SCOPES = (
    ConsentScope.ALL,
    ConsentScope.BRAND,
    ConsentScope.CATEGORY,
    ConsentScope.CHANNEL,
    ConsentScope.MESSAGING_SERVICE,
    ConsentScope.SENDER,
)
"""Orders of the numbers that stand for them in bytes: new ones only at the end."""

_LIFTED_BY = {ConsentChange.OPT_OUT: ConsentChange.OPT_IN, ConsentChange.SUPPRESS: ConsentChange.UNSUPPRESS}
_AS_IT_HAPPENS = frozenset({ConsentSource.KEYWORD, ConsentSource.FREE_TEXT})
"""The person wrote it to us: it is written down when it happens. Anything else may have happened long before, such as
an opt-in of last year in an import of today."""

CLOCKS_APART_MS = 2_000
"""A START may carry a time so much before that of the STOP it answers: two bridges took them in, each by its clock.
One that is older still was held up on its way, and the person has changed their mind since."""


@value
class Entry:
    """The latest change of one kind in one scope.

    Attributes:
        change: what changed.
        scope, value: how far it reaches; see `scopes.covers`.
        position: its offset in the person's partition: there stand source, evidence and actor.
        at: when it happened, epoch milliseconds UTC.
        expires_at: when it ends, epoch milliseconds UTC; None for never.
        as_it_happened: the person's own words.
    """

    change: ConsentChange
    scope: ConsentScope
    value: str | None
    position: int
    at: int
    expires_at: int | None = None
    as_it_happened: bool = False

    @classmethod
    def of(cls, record: Consent, position: int, written_at: int | None = None) -> Entry:
        """The entry of a record at its offset.

        Args:
            written_at: when it was written to the log, epoch milliseconds UTC; None where that is not known. What
                claims to happen later happened then: a no from the future could not be lifted until it came.
        """
        return cls(
            change=record.change,
            scope=record.scope,
            value=plain_value(record.scope, record.scope_value),
            position=position,
            at=record.at if written_at is None else min(record.at, written_at),
            expires_at=record.expires_at,
            as_it_happened=record.source in _AS_IT_HAPPENS,
        )

    def covers(self, message: About) -> bool:
        """Whether it concerns the message."""
        return covers(self.scope, self.value, message)

    def holds(self, now_ms: int) -> bool:
        """Whether it has not ended."""
        return self.expires_at is None or now_ms < self.expires_at


@value
class Ledger:
    """One person's consent; empty for a stranger.

    Attributes:
        entries: the latest change of each kind in each scope, by position.
        position: offset up to which, and without which, the person's partition was folded; -1 for never. Entries of an
            earlier log have positions below 0.
        unreadable: offset of a record that could not be read and was not repaired since: it counts as opt-out from
            everything; None when there is none.
    """

    entries: tuple[Entry, ...] = ()
    position: int = -1
    unreadable: int | None = None

    def folded(self, record: Consent, position: int, written_at: int | None = None) -> Ledger:
        """With the record at this offset, written then (see `Entry.of`); the same when the offset was folded before. A
        record of an operator repairs what could not be read before it."""
        entry = Entry.of(record, position, written_at)
        return self.folded_entry(entry, repairs=record.source is ConsentSource.OPERATOR)

    def folded_entry(self, entry: Entry, *, repairs: bool) -> Ledger:
        """The same for who keeps entries instead of records; `repairs`: it is an operator's."""
        if entry.position < self.position:
            return self
        return Ledger(self._with(entry), entry.position + 1, None if repairs else self.unreadable)

    def with_unreadable(self, position: int) -> Ledger:
        """With a record at this offset that cannot be read: opt-out from everything, until an operator's record."""
        return self if position < self.position else replace(self, position=position + 1, unreadable=position)

    def before_another_log(self) -> Ledger:
        """The same consent as it was known when another log of the person's changes began: positions begin again there,
        and whatever stands in it comes later."""
        if self.position <= 0:
            return self
        entries = tuple(replace(entry, position=entry.position - self.position) for entry in self.entries)
        unreadable = None if self.unreadable is None else self.unreadable - self.position
        return Ledger(entries, -1, unreadable)

    @property
    def is_blank(self) -> bool:
        """Whether nothing is known that could stand against a message, or for it; so it is with most people."""
        return not self.entries and self.unreadable is None

    @property
    def holds_opt_outs(self) -> bool:
        """Whether the person ever opted out of anything: of most people nothing more need be asked."""
        return any(entry.change is ConsentChange.OPT_OUT for entry in self.entries)

    def suppressed(self, message: About, now_ms: int) -> Entry | None:
        """The suppression that stands against the message, the latest where there are several."""
        return self._standing(ConsentChange.SUPPRESS, message, now_ms)

    def opted_out(self, message: About, now_ms: int) -> Entry | None:
        """The opt-out that stands against the message, the latest where there are several."""
        if self.unreadable is not None:
            return Entry(ConsentChange.OPT_OUT, ConsentScope.ALL, None, self.unreadable, 0)
        return self._standing(ConsentChange.OPT_OUT, message, now_ms)

    def opted_out_of_a_sender(self, now_ms: int) -> Entry | None:
        """The latest opt-out from any sender, service or brand that was not lifted. Whether it concerns a message that
        leaves by another hangs on who else could carry that message: only policy knows."""
        standing = reversed(self.standing(now_ms))
        return next((e for e in standing if e.change is ConsentChange.OPT_OUT and e.scope in BY_SENDER), None)

    def opted_in(self, message: About, now_ms: int) -> Entry | None:
        """The opt-in that covers the message. Only for one that no opt-out stands against."""
        covering = (
            entry
            for entry in reversed(self.entries)
            if entry.change is ConsentChange.OPT_IN and entry.holds(now_ms) and entry.covers(message)
        )
        return next(covering, None)

    def standing(self, now_ms: int) -> tuple[Entry, ...]:
        """What still says something, by position, for a person to read: each no that was not lifted whole, and each yes
        that no later no overrode whole. Where scopes cross, `opted_out` and `suppressed` decide for a message."""
        return tuple(entry for entry in self.entries if entry.holds(now_ms) and not self._overridden(entry, now_ms))

    def ends_of_consent(self, now_ms: int) -> list[int]:
        """The moments to come at which a yes ends, in order, epoch milliseconds UTC: what is allowed now may not be
        from one of them on."""
        yes = _LIFTED_BY.values()
        return sorted(
            {e.expires_at for e in self.entries if e.change in yes and e.expires_at and e.expires_at > now_ms}
        )

    # Bytes ------------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """A compact form: some 40 bytes, and some 40 for each entry."""
        rows = [
            [
                _CHANGES.index(entry.change),
                _SCOPES.index(entry.scope),
                entry.value,
                entry.position,
                entry.at,
                entry.expires_at,
                int(entry.as_it_happened),
            ]
            for entry in self.entries
        ]
        return orjson.dumps([_VERSION, self.position, self.unreadable, rows])

    @classmethod
    def from_bytes(cls, data: bytes) -> Ledger:
        """What `to_bytes` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            version, position, unreadable, rows = orjson.loads(data)
            entries = tuple(
                Entry(_CHANGES[change], _SCOPES[scope], value, at_offset, at, expires_at, bool(as_it_happened))
                for change, scope, value, at_offset, at, expires_at, as_it_happened in rows
            )
        except (TypeError, IndexError) as error:
            raise ValueError("no ledger of consent") from error
        if version != _VERSION:
            raise ValueError(f"a ledger of consent in version {version}")
        return cls(entries, position, unreadable)

    # Inside -----------------------------------------------------------------------------------------------------------

    def _with(self, entry: Entry) -> tuple[Entry, ...]:
        same = next(self._same(entry), None)
        if same is not None and entry.change in _LIFTED_BY:
            # An older no that was written down again, or a shorter one, must not weaken the one that stands.
            lifted = self._lifted_in_scope(same)
            expires_at = entry.expires_at if lifted else _later(same.expires_at, entry.expires_at)
            entry = replace(entry, at=max(same.at, entry.at), expires_at=expires_at)
        if entry.change not in _LIFTED_BY and same is not None and not _newer(entry, same):
            return self.entries  # an old yes that was written down again must not take a newer one's place
        return (*(each for each in self.entries if each is not same), entry)

    def _same(self, entry: Entry) -> Iterator[Entry]:
        key = (entry.change, entry.scope, entry.value)
        return (each for each in self.entries if (each.change, each.scope, each.value) == key)

    def _lifted_in_scope(self, no: Entry) -> bool:
        yes = _LIFTED_BY[no.change]
        return any(
            each.change is yes and each.scope is no.scope and each.value == no.value and _undoes(each, no)
            for each in self.entries
        )

    def _overridden(self, entry: Entry, now_ms: int) -> bool:
        if entry.change is ConsentChange.UNSUPPRESS:
            return True  # it says nothing but that a suppression is over
        for other in self.entries:
            same = other.scope is entry.scope and other.value == entry.value
            if not other.holds(now_ms) or not (same or other.scope is ConsentScope.ALL):
                continue
            if entry.change in _LIFTED_BY:
                wide_enough = same or entry.change is ConsentChange.SUPPRESS
                if other.change is _LIFTED_BY[entry.change] and wide_enough and _undoes(other, entry):
                    return True
            elif other.change is ConsentChange.OPT_OUT and not _undoes(entry, other):
                return True
        return False

    def _standing(self, change: ConsentChange, message: About, now_ms: int) -> Entry | None:
        for no in reversed(self.entries):
            if (
                no.change is change
                and no.holds(now_ms)
                and no.covers(message)
                and not self._lifted(no, message, now_ms)
            ):
                return no
        return None

    def _lifted(self, no: Entry, message: About, now_ms: int) -> bool:
        yes = _LIFTED_BY[no.change]
        return any(
            each.change is yes
            and each.holds(now_ms)
            and each.covers(message)
            and _undoes(each, no)
            and _reaches(each, no)
            for each in self.entries
        )


def _undoes(yes: Entry, no: Entry) -> bool:
    """Whether a yes is newer than a no: later in the log, and not only written down later."""
    return yes.position > no.position and yes.at > no.at - _grace(yes)


def _reaches(yes: Entry, no: Entry) -> bool:
    """Whether a newer yes may lift the no for a message that both cover."""
    if yes.change is ConsentChange.UNSUPPRESS and within(no.scope, yes.scope):
        return True  # a suppression is ours, not the person's will: who lifts the wider lifts what lies in it
    return (yes.scope is no.scope and yes.value == no.value) or within(yes.scope, no.scope)


def _newer(yes: Entry, same: Entry) -> bool:
    return yes.at >= same.at - _grace(yes)


def _grace(yes: Entry) -> int:
    return CLOCKS_APART_MS if yes.as_it_happened else 0


def _later(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else max(first, second)
