"""What dispatch tells policy of its lanes: seldom, and only what it has seen for itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.kafka.topic_partition import TP
from schemas.records import Control, ControlAction, MessageClass
from schemas.topics import dispatch_topic
from streams.control.backlogs import KEPT_MS
from streams.dispatch.backlog_watch import BacklogWatch
from streams.dispatch.scheduler import Scheduler

from .simulation import lane, scheduler, table

BULK = TP(dispatch_topic(MessageClass.BULK), 0)
START_MS = 1_800_000_000_000


@dataclass
class Log:
    """The consumer's side: how far each partition was taken, and where it ends."""

    generation: int = 1
    places: dict[TP, tuple[int, int]] = field(default_factory=dict)
    full: bool = True
    asked: list[list[TP]] = field(default_factory=list)

    @property
    def partitions(self) -> frozenset[TP]:
        return frozenset(self.places)

    def outstanding(self, tp: TP) -> int:
        return 50 if self.full else 1

    async def unread(self, partitions: list[TP]) -> dict[TP, tuple[int, int]]:
        self.asked.append(sorted(partitions))
        return {tp: self.places[tp] for tp in partitions}


@dataclass
class World:
    """A lane of 10 segments a second, and a clock that the test moves."""

    log: Log = field(default_factory=Log)
    now: float = 1000.0
    mine: bool = True
    owned: bool = True
    written: list[Control] = field(default_factory=list)
    scheduler: Scheduler = field(default_factory=lambda: scheduler(table([lane("a", 10.0)])))

    def __post_init__(self) -> None:
        self.watch = BacklogWatch(
            self.scheduler,
            consumer=lambda: self.log,
            owns=lambda lane: self.owned,
            may_act=lambda: self.mine,
            write=self.write,
            broken=self.broken,
            clock=lambda: self.now,
            now_ms=lambda: START_MS + int(self.now * 1000),
        )

    async def write(self, key: bytes, record: Control) -> None:
        self.written.append(record)
        assert self.watch.take(key, record)

    async def broken(self, error: Exception) -> None:
        raise error

    async def look(self, position: int, end: int, *, after_s: float = 5.0) -> list[Control]:
        """What is written when the bulk partition is found so."""
        self.now += after_s
        self.log.places = {BULK: (position, end)}
        self.written.clear()
        await self.watch.look()
        return list(self.written)


async def test_a_backlog_is_told_once_it_is_known_how_fast_it_is_read() -> None:
    world = World()
    assert await world.look(0, 1000) == []
    [told] = await world.look(50, 1000)
    assert (told.subject, told.action, told.eta_s) == ("a", ControlAction.BACKLOG, {"bulk": 95.0})
    assert told.until == told.at + KEPT_MS


async def test_what_lies_unread_is_shown_while_the_partitions_are_served_here() -> None:
    world = World()
    await world.look(0, 1000)
    assert dict(world.watch.seen) == {}
    await world.look(50, 1000)
    assert {place: each.records for place, each in world.watch.seen.items()} == {(0, 3): 950}
    world.mine = False
    await world.look(100, 1000)
    assert dict(world.watch.seen) == {}


async def test_what_expired_while_nobody_served_is_not_taken_for_a_backlog() -> None:
    world = World()
    await world.look(0, 100_000)
    assert await world.look(60_000, 100_000) == [], "read at 12,000/s: it is gone in 4 s"


async def test_a_backlog_that_shrinks_as_believed_is_not_told_again() -> None:
    world = World()
    await world.look(0, 1000)
    await world.look(50, 1000)
    assert [await world.look(50 + 50 * step, 1000) for step in range(1, 10)] == [[]] * 9


async def test_one_that_grows_is_told_again() -> None:
    world = World()
    await world.look(0, 1000)
    await world.look(50, 1000)
    [told] = await world.look(100, 3000)
    assert told.eta_s == {"bulk": 290.0}


async def test_one_that_is_gone_is_taken_back() -> None:
    world = World()
    await world.look(0, 1000)
    await world.look(50, 1000)
    [told] = await world.look(1000, 1000)
    assert told.action is ControlAction.CLEAR
    assert await world.look(1000, 1000) == []


async def test_a_new_owner_corrects_what_the_old_one_told() -> None:
    old, new = World(), World()
    await old.look(0, 10_000)
    [told] = await old.look(50, 10_000)
    new.watch.take(b"lane:a:backlog", told)
    new.now = old.now
    [corrected] = await new.look(10_000, 10_000)
    assert corrected.action is ControlAction.CLEAR


async def test_after_a_rebalance_the_speed_is_seen_anew() -> None:
    world = World()
    await world.look(0, 100_000)
    world.log.generation = 2
    assert await world.look(10, 100_000) == [], "positions of two assignments say nothing of speed"
    assert len(await world.look(60, 100_000)) == 1


async def test_only_the_owner_of_a_lane_tells_of_it() -> None:
    world = World()
    await world.look(0, 1000)
    world.owned = False
    assert await world.look(50, 1000) == []
    world.owned, world.mine = True, False
    assert await world.look(100, 1000) == []
    world.mine = True
    assert len(await world.look(150, 1000)) == 1


async def test_kafka_is_asked_only_about_partitions_that_fill_their_window() -> None:
    world = World()
    world.log.full = False
    await world.look(0, 1000)
    assert world.log.asked == [[]]


async def test_other_records_of_the_control_topic_are_left_to_others() -> None:
    assert not World().watch.take(b"lane:a", None)
