"""A group that came from another owner does not start as if it had been quiet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors.kafka.log_reader import Stretch
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topic_partition import TP
from schemas.codec import SingleObjectCodec
from schemas.records import Control, ControlAction, ControlSubject
from streams.control.places import moved, places_of
from streams.control.switches import Aspect, Switches, control_key
from streams.dispatch.bucket import Bucket
from streams.dispatch.lanes import Budget, Group
from streams.dispatch.moving import Moving, PlacementChanged
from streams.dispatch.pace_log import LARGEST_MESSAGE, LOOK_BACK_MIN_S, Rates
from streams.dispatch.replay import Replay
from streams.dispatch.scheduler import Scheduler
from streams.dispatch.tenure import Tenure

from .simulation import lane, scheduler, table

OLD, NEW = 1, 4
NOW_MS, NOW_S = 1_000_000, 50.0
LASTS_S = LARGEST_MESSAGE / 2.0


@dataclass
class Owner:
    served: set[int] = field(default_factory=lambda: {NEW})
    scheduler: Scheduler = field(
        default_factory=lambda: scheduler(table([lane("a", 2.0, group="g"), lane("b", 2.0)], [Group("g", NEW, 4.0)]))
    )
    switches: Switches = field(default_factory=Switches)

    def __post_init__(self) -> None:
        self.moving = Moving(
            self.scheduler.table,
            self.switches,
            self.scheduler,
            Tenure(),
            give_back=lambda job: None,
            serves=lambda partition: partition in self.served,
            clock=lambda: NOW_S,
            now_ms=lambda: NOW_MS,
        )

    def fold(self, record: Control) -> None:
        self.switches.take(control_key(record.subject_kind, record.subject, Aspect.PLACE), record)

    def bucket(self, name: str = "a") -> Bucket:
        return self.scheduler.lanes[name].pace.bucket


def done(ago_s: float = 0.0, since: int | None = OLD) -> Control:
    return moved("g", NEW, by="dispatch", at=NOW_MS - int(ago_s * 1000), since=since)


def begun() -> Control:
    return Control(
        subject_kind=ControlSubject.GROUP,
        subject="g",
        action=ControlAction.MOVE_BEGIN,
        from_partition=OLD,
        to_partition=NEW,
        by="ada",
        at=NOW_MS,
    )


def test_a_move_that_ends_here_is_owed_a_message_though_nothing_waits_for_it() -> None:
    owner = Owner()
    owner.fold(done())
    owner.moving.take(done())
    assert owner.bucket().paid_at == pytest.approx(NOW_S + LASTS_S)
    assert owner.bucket().largest == LARGEST_MESSAGE
    assert owner.scheduler.groups["g"].pace.bucket.paid_at == pytest.approx(NOW_S + LARGEST_MESSAGE / 4.0)
    assert owner.bucket("b").paid_at < 0, "another group's"


@pytest.mark.parametrize(("ago_s", "left_s"), [(0.0, LASTS_S), (5.0, LASTS_S - 5.0), (-7.0, LASTS_S)])
def test_an_owner_that_starts_soon_after_a_move_owes_what_is_left_of_it(ago_s: float, left_s: float) -> None:
    owner = Owner()
    owner.fold(done(ago_s))
    owner.moving.owe()
    assert owner.bucket().paid_at == pytest.approx(NOW_S + left_s)


@pytest.mark.parametrize(
    ("record", "served"),
    [(done(LASTS_S + 1), {NEW}), (done(since=None), {NEW}), (done(), {OLD, NEW}), (done(), {OLD})],
    ids=["long ago", "never moved", "its own", "not served here"],
)
def test_nothing_is_owed_otherwise(record: Control, served: set[int]) -> None:
    owner = Owner(served)
    owner.fold(record)
    owner.moving.take(record)
    owner.moving.owe()
    assert owner.bucket().paid_at < 0


@pytest.mark.parametrize("moves", [True, False], ids=["while it moves", "afterwards"])
async def test_the_log_of_the_place_that_a_group_leaves_is_read_back_as_far_as_its_slowest_lane_needs(
    moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who serves both places owes what stands there, and nothing besides."""
    since_s: dict[int, float] = {}

    class Reader:
        def __init__(self, settings: KafkaSettings) -> None:
            self.stopped = threading.Event()

        def stop(self) -> None: ...

        def whole(self, partitions: Iterable[TP]) -> dict[TP, Stretch]:
            return {tp: Stretch(0, 0) for tp in partitions}

        def recent(self, partitions: Iterable[TP], since_ms: int, most: int) -> dict[TP, Stretch]:
            since_s.update({tp.partition: (NOW_MS - since_ms) / 1000 for tp in partitions})
            return self.whole(partitions)

        def read(self, stretches: Mapping[TP, Stretch], take: Callable[[Any], None]) -> int:
            return 0

    monkeypatch.setattr("streams.dispatch.replay.LogReader", Reader)
    lanes = table([lane("a", 0.1, group="g"), lane("b", 2.0)], [Group("g", NEW), Group("b", 0)])
    record = begun() if moves else done()
    replay = Replay(
        KafkaSettings(("127.0.0.1:1",)),
        SingleObjectCodec(),
        lanes,
        now_ms=lambda: NOW_MS,
        places=lambda group: places_of(record if group == "g" else None),
    )
    await replay.restore({OLD: 0, NEW: 0, 0: 0}, Rates.in_force(scheduler(lanes)))
    assert since_s == {OLD: 241.0, NEW: 241.0, 0: LOOK_BACK_MIN_S}


def with_budget(*groups: Group) -> Owner:
    lanes = [lane("a", 2.0, group="g"), lane("b", 2.0, group="h")]
    return Owner(scheduler=scheduler(table(lanes, groups, budgets=[Budget("acme", 1.0)])))


def test_the_budget_of_a_group_that_moved_is_owed_the_message_too() -> None:
    owner = with_budget(Group("g", NEW, budget="acme"), Group("h", NEW))
    owner.fold(done())
    owner.moving.take(done())
    assert owner.scheduler.budgets["acme"].pace.bucket.paid_at == pytest.approx(NOW_S + LARGEST_MESSAGE / 1.0)


def test_what_a_carrier_grants_a_group_that_moved_is_owed_the_message_too() -> None:
    granted = {"att": 1.0}
    lanes = table([lane("a", 2.0, group="g"), lane("b", 2.0)], [Group("g", NEW, carriers=granted), Group("b", 0)])
    owner = Owner(scheduler=scheduler(lanes))
    owner.fold(done())
    owner.moving.take(done())
    assert owner.scheduler.carriers["g", "att"].pace.bucket.paid_at == pytest.approx(NOW_S + LARGEST_MESSAGE / 1.0)


def test_who_would_share_a_budget_with_another_process_refuses_to_serve() -> None:
    move = begun()
    shared, alone = (
        with_budget(*[Group(name, NEW, budget="acme") for name in "gh"]),
        with_budget(Group("g", NEW, budget="acme"), Group("h", NEW)),
    )
    shared.moving.check()
    for owner in (shared, alone):
        owner.fold(move)
    with pytest.raises(PlacementChanged, match="budget acme: its group g moves"):
        with_moves_of(shared).check()
    with_moves_of(alone).check()


def with_moves_of(owner: Owner) -> Moving:
    owner.__post_init__()  # what is known of places is kept
    return owner.moving
