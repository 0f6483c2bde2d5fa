"""Who says that a moving group has left its old place, and what holds from that moment on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from connectors.kafka.topic_partition import TP
from schemas.records import Control, ControlAction, ControlSubject
from streams.control.places import Place, moved
from streams.control.switches import Aspect, Switches, control_key
from streams.dispatch.lanes import Group
from streams.dispatch.move_reports import MoveReports
from streams.dispatch.moving import Moving
from streams.dispatch.tenure import Tenure

from .simulation import lane, scheduler, table

OLD, NEW = 1, 4
TOPICS = ("comms.dispatch.normal", "comms.dispatch.bulk")
KEY = control_key(ControlSubject.GROUP, "g", Aspect.PLACE)


@dataclass
class Consumer:
    """How far the logs go, and how far they are finished."""

    logs: dict[TP, int]
    done: dict[TP, int]

    async def ends(self, partitions: Collection[TP]) -> dict[TP, int]:
        return {tp: self.logs[tp] for tp in partitions}

    async def finished_to(self, tp: TP, end: int) -> bool:
        return self.done[tp] >= end


@dataclass
class OldOwner:
    """Serves the old place of a group, and is configured with the new one."""

    ends: dict[TP, int] = field(default_factory=lambda: {TP(topic, OLD): 10 for topic in TOPICS})
    done: dict[TP, int] = field(default_factory=lambda: {TP(topic, OLD): 10 for topic in TOPICS})
    may_act: bool = True
    told: list[tuple[str, Place]] = field(default_factory=list)
    written: list[Control] = field(default_factory=list)

    def __post_init__(self) -> None:
        plan = scheduler(table([lane("a", 2.0, group="g")], [Group("g", NEW)]))
        self.switches, tenure = Switches(), Tenure()
        self.moving = Moving(
            plan.table,
            self.switches,
            plan,
            tenure,
            give_back=lambda job: None,
            serves=lambda partition: partition == OLD,
            clock=lambda: 0.0,
            now_ms=lambda: 0,
        )
        self.reports = MoveReports(
            plan.table,
            self.moving,
            tenure,
            topics=TOPICS,
            consumer=lambda: Consumer(self.ends, self.done),
            may_act=lambda: self.may_act,
            apply=self.apply,
            write=self.write,
            broken=self.broken,
            now_ms=lambda: 7,
        )
        begin = moved("g", NEW, by="ada", at=1, since=OLD)
        begin.action = ControlAction.MOVE_BEGIN
        self.apply(KEY, begin)

    def apply(self, key: bytes, record: Control) -> None:
        self.switches.take(key, record)
        self.moving.take(record)

    async def write(self, key: bytes, record: Control) -> None:
        assert key == KEY
        self.told.append(("written", self.moving.place("g")))
        self.written.append(record)

    async def broken(self, error: Exception) -> None:
        raise error


async def test_who_says_that_a_group_is_gone_paces_it_no_more_before_anybody_can_read_it() -> None:
    owner = OldOwner()
    assert owner.moving.place("g") == Place(OLD, NEW)
    await owner.reports.look()
    assert owner.told == [("written", Place(NEW))], "what comes for the old place from now on goes back to policy"
    [record] = owner.written
    assert (record.action, record.from_partition, record.to_partition) == (ControlAction.MOVE_DONE, OLD, NEW)


async def test_nothing_is_said_while_one_class_is_not_finished_or_the_lease_is_away() -> None:
    owner = OldOwner()
    owner.done[TP(TOPICS[1], OLD)] = 9
    await owner.reports.look()
    owner.done[TP(TOPICS[1], OLD)] = 10
    owner.may_act = False
    await owner.reports.look()
    assert owner.written == []
    assert owner.moving.place("g") == Place(OLD, NEW)
    owner.may_act = True
    await owner.reports.look()
    assert len(owner.written) == 1
