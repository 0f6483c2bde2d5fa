"""When a share does not fit, and how often another one is asked for."""

from types import SimpleNamespace
from typing import Any

import pytest

from connectors.kafka.sharing_out import LONGEST_PAUSE_S, Misfit, Patience, SharingOut, misfit

COUNTS = {"shop": 4, "swiss": 4}
MAX_AGE_S = 60.0


@pytest.mark.parametrize(
    ("name", "made_for", "found"),
    [
        ("made for what is read", {"shop": 4, "swiss": 4}, Misfit()),
        ("made when a topic was not read yet", {"shop": 4}, Misfit({"swiss": 4})),
        (
            "made for a topic that is not read any more",
            {"shop": 4, "swiss": 4, "old": 4},
            Misfit({}, frozenset({"old"})),
        ),
        ("made before partitions were added", {"shop": 3, "swiss": 4}, Misfit({"shop": 1})),
        ("made by one who knew more", {"shop": 9, "swiss": 4}, Misfit()),
        ("made without a note", None, Misfit()),
    ],
)
def test_a_share(name: str, made_for: dict[str, int] | None, found: Misfit) -> None:
    assert misfit(made_for, COUNTS, lambda topic: COUNTS[topic]) == found, name


def test_a_topic_that_nobody_knows_is_asked_for_until_it_was_looked_for() -> None:
    assert misfit({"shop": 4}, ["shop", "new"], lambda topic: COUNTS.get(topic, 0)) == Misfit({"new": 0})
    assert not misfit({"shop": 4, "new": 0}, ["shop", "new"], lambda topic: COUNTS.get(topic, 0))


def test_a_misfit_is_told_in_words() -> None:
    both = Misfit({"shop": 4, "swiss": 1}, frozenset({"old"}))
    assert str(both) == "in nobody's hands: shop (4), swiss (1); not read any more: old"
    assert str(Misfit({}, frozenset({"old"}))) == "not read any more: old"
    assert str(Misfit()) == ""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def patience(clock: Clock) -> Patience:
    return Patience(MAX_AGE_S, clock=clock, spread=lambda least, most: least)


def asks(patience: Patience, clock: Clock, seconds: int, *, joining: bool = False) -> list[int]:
    """Ask whenever it is due, for so long; when it was, in whole seconds."""
    began, times = clock.now, []
    while clock.now - began < seconds:
        if patience.due(joining=joining):
            patience.asked()
            times.append(int(clock.now - began))
        clock.now += 0.5
    return times


def test_who_joins_asks_at_once_and_then_ever_more_seldom() -> None:
    assert asks(patience(clock := Clock()), clock, 3000, joining=True) == [0, 63, 189, 441, 945, 1575, 2205, 2835]


def test_who_did_not_join_leaves_it_to_one_who_leads_until_all_must_know() -> None:
    assert asks(patience(clock := Clock()), clock, 200) == [63, 126]


def test_what_was_asked_lately_still_counts_when_it_fits_for_a_while() -> None:
    each = patience(clock := Clock())
    assert asks(each, clock, 10, joining=True) == [0]
    each.fits()
    assert asks(each, clock, 100, joining=True) == [63]
    clock.now += LONGEST_PAUSE_S
    each.fits()
    assert asks(each, clock, 10, joining=True) == [0]


class Member:
    """A member of a group with one share after the other."""

    def __init__(self, clock: Clock) -> None:
        self.made_for: dict[str, int] | None = None
        self.between = False
        self.asked = 0
        self.rejoins = 0
        self.subscription = SimpleNamespace(topics=frozenset(COUNTS), reassignment_in_progress=False)
        coordinator = SimpleNamespace(
            _rejoin_needed_fut=SimpleNamespace(done=lambda: self.between), request_rejoin=self.rejoin
        )
        cluster = SimpleNamespace(partitions_for_topic=lambda topic: set(range(COUNTS[topic])))
        client = SimpleNamespace(cluster=cluster)
        consumer: Any = SimpleNamespace(_client=client, _coordinator=coordinator, _subscription=self.subscription)
        self.sharing_out = SharingOut(self, consumer, patience(clock))  # type: ignore[arg-type]  # a stand-in

    def rejoin(self) -> None:
        self.rejoins += 1

    def ask_anew(self) -> None:
        self.asked += 1


def test_a_member_joins_again_when_it_is_time_and_not_before() -> None:
    member = Member(clock := Clock())
    member.made_for = {"shop": 4, "swiss": 3}
    member.sharing_out.look()
    assert (member.asked, member.rejoins) == (0, 0)
    assert member.sharing_out.health().detail == "in nobody's hands: swiss (1)"
    assert not member.sharing_out.health().ok
    clock.now += 64
    member.sharing_out.look()
    assert (member.asked, member.rejoins) == (1, 1)
    member.made_for = COUNTS
    member.sharing_out.look()
    assert member.sharing_out.health().ok
    clock.now += 10_000
    member.sharing_out.look()
    assert (member.asked, member.rejoins) == (1, 1)


@pytest.mark.parametrize("how", ["between", "reassigned"])
def test_nothing_is_asked_for_while_the_group_shares_out_anyway(how: str) -> None:
    member = Member(clock := Clock())
    member.made_for = {"shop": 4}
    member.sharing_out.look()
    clock.now += 10_000
    member.between = how == "between"
    member.subscription.reassignment_in_progress = how == "reassigned"
    member.sharing_out.look()
    assert member.rejoins == 0
    member.between = member.subscription.reassignment_in_progress = False
    member.sharing_out.look()
    assert member.rejoins == 1


async def test_no_share_at_all_is_not_refused() -> None:
    assert not await Member(Clock()).sharing_out.refuses(b"")
