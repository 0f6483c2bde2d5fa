from __future__ import annotations

import threading

from schemas.codec import SingleObjectCodec
from schemas.errors import RegistryUnavailable, SchemaNotLoaded
from schemas.records import Record
from streams.feedback.facts import fact_of
from streams.feedback.reading import FactReader
from tests.streams.feedback.facts import admitted
from tests.streams.feedback.test_inbound import wrote

PLAIN = SingleObjectCodec()


class Forgetful:
    """A codec whose schemas come from a registry that does not answer at first."""

    def __init__(self, refusals: int) -> None:
        self.known = False
        self.refusals = refusals
        self.asked = 0

    def encode(self, record: Record) -> bytes:
        return PLAIN.encode(record)

    def decode(self, data: bytes) -> Record:
        if not self.known:
            raise SchemaNotLoaded(7)
        return PLAIN.decode(data)

    def load(self, schema_id: int) -> None:
        assert schema_id == 7
        self.asked += 1
        if self.asked <= self.refusals:
            raise RegistryUnavailable("no answer")
        self.known = True


def test_what_states_no_fact_is_passed_over() -> None:
    reader = FactReader(PLAIN, lambda schema_id: None)
    assert reader.read(b"rubbish") is None
    assert reader.read(PLAIN.encode(wrote("hi"))) is None
    assert reader.read(PLAIN.encode(admitted())) == fact_of(admitted())


def test_the_registry_is_waited_for_and_asked_once_per_schema() -> None:
    codec = Forgetful(refusals=1)
    reader = FactReader(codec, codec.load)
    value = codec.encode(admitted())
    for _ in range(3):
        reader.prepare(value, threading.Event())
    assert codec.asked == 2
    assert reader.read(value) == fact_of(admitted())


def test_who_is_told_to_stop_waits_no_longer() -> None:
    codec = Forgetful(refusals=10**9)
    stop = threading.Event()
    stop.set()
    FactReader(codec, codec.load).prepare(codec.encode(admitted()), stop)
    assert codec.asked == 0
