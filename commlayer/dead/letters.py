"""The fold of `comms.dead`: which records could not be used, and which of them somebody has seen to. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from schemas.records import DeadLetter, HandledLetter, Record

MAX_KEY_BYTES = 4096
"""A stage keeps so much of a key (connectors/kafka/intake.py): one as long may have lost its end."""


class Place(NamedTuple):
    """Where a letter lies on comms.dead."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Letter:
    """One record that could not be used.

    Attributes:
        record: the newest letter about it, without its value: those of a whole topic would not fit into memory.
        place: where that letter lies.
        kept: bytes of the value that it holds.
        stages: who wrote letters about it, in order of the log.
        times: how many letters there are; a crash, or two stages that read one topic, make several.
        handled: what an operator did last; None while it is open.
    """

    record: DeadLetter
    place: Place
    kept: int
    stages: tuple[str, ...]
    times: int
    handled: HandledLetter | None = None

    @property
    def name(self) -> str:
        """Its id: where the record lies that could not be used."""
        return name_of(self.record)

    @property
    def cut(self) -> bool:
        """Whether the letter holds less than the whole record."""
        return self.kept < self.record.value_size or len(self.record.key or b"") >= MAX_KEY_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which letters are meant; None leaves one open. `since_ms` is epoch milliseconds UTC."""

    stage: str | None = None
    reason: str | None = None
    app: str | None = None
    topic: str | None = None
    since_ms: int | None = None
    handled: bool = False
    """Handled ones as well."""

    def takes(self, letter: Letter) -> bool:
        """Whether the letter is one of them."""
        record = letter.record
        return (
            (self.stage is None or self.stage in letter.stages)
            and (self.reason is None or self.reason == record.reason)
            and (self.app is None or self.app == record.app)
            and (self.topic is None or self.topic == record.source_topic)
            and (self.since_ms is None or record.at >= self.since_ms)
            and (self.handled or letter.handled is None)
        )


@dataclass(slots=True)
class Letters:
    """All that was read so far."""

    _letters: dict[str, Letter] = field(default_factory=dict)
    _handled: dict[str, HandledLetter] = field(default_factory=dict)

    def add(self, record: Record, place: Place) -> None:
        """A record of comms.dead. Of one partition they come in order; partitions may mix."""
        if isinstance(record, HandledLetter):
            name = name_of(record)
            before = self._handled.get(name)
            if before is None or before.at <= record.at:
                self._handled[name] = record
        elif isinstance(record, DeadLetter):
            self._add_letter(record, place)

    def __iter__(self) -> Iterator[Letter]:
        """Every letter, oldest first."""
        for name, letter in sorted(self._letters.items(), key=lambda each: (each[1].record.at, each[0])):
            yield replace(letter, handled=self._handled.get(name))

    def find(self, name: str) -> Letter | None:
        """The letter of this id."""
        letter = self._letters.get(name)
        return None if letter is None else replace(letter, handled=self._handled.get(name))

    def _add_letter(self, record: DeadLetter, place: Place) -> None:
        name, before = name_of(record), self._letters.get(name_of(record))
        stages = before.stages if before is not None else ()
        if record.stage.value not in stages:
            stages = (*stages, record.stage.value)
        times = 1 if before is None else before.times + 1
        self._letters[name] = Letter(replace(record, value=None), place, len(record.value or b""), stages, times)


def name_of(record: DeadLetter | HandledLetter) -> str:
    """Id of a letter: topic, partition and offset of the record that could not be used."""
    return f"{record.source_topic}:{record.source_partition}:{record.source_offset}"
