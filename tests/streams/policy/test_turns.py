from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from streams.policy.turns import Turns


def test_one_recipient_is_served_one_at_a_time_and_in_order() -> None:
    turns: Turns[int] = Turns(limit=10)
    turns.add("ann", 1)
    turns.add("ann", 2)
    assert turns.start() == ("ann", 1)
    assert turns.start() is None
    turns.done("ann")
    assert turns.start() == ("ann", 2)


def test_other_recipients_do_not_wait_for_one_who_takes_long() -> None:
    turns: Turns[int] = Turns(limit=10)
    turns.add("slow", 1)
    turns.add("slow", 2)
    turns.add("quick", 3)
    assert [turns.start(), turns.start(), turns.start()] == [("slow", 1), ("quick", 3), None]


def test_no_more_than_the_limit_are_under_way() -> None:
    turns: Turns[int] = Turns(limit=2)
    for number in range(5):
        turns.add(number, number)
    assert turns.start()
    assert turns.start()
    assert turns.start() is None
    turns.done(0)
    assert turns.start() == (2, 2)
    assert (turns.under_way, turns.waiting) == (2, 2)


def test_urgent_items_overtake_other_recipients_but_not_their_own() -> None:
    turns: Turns[str] = Turns(limit=1)
    turns.add("ann", "campaign")
    turns.add("bob", "campaign")
    turns.add("ann", "code", urgent=True)
    turns.add("eve", "code", urgent=True)
    served = []
    while (started := turns.start()) is not None:
        served.append(started)
        turns.done(started[0])
    assert served == [("eve", "code"), ("ann", "campaign"), ("ann", "code"), ("bob", "campaign")]


def test_an_app_that_asks_for_much_delays_itself_alone() -> None:
    turns: Turns[str] = Turns(limit=1)
    for number in range(1000):
        turns.add(f"customer {number}", "campaign", app="shop")
    turns.add("ann", "appointment", app="clinic")
    turns.add("bob", "parcel", app="post")
    turns.add("eve", "parcel", app="post")
    served = []
    for _ in range(6):
        started = turns.start()
        assert started is not None
        served.append(started[0])
        turns.done(started[0])
    assert served == ["customer 0", "ann", "bob", "customer 1", "eve", "customer 2"]


def test_apps_take_turns_among_urgent_items_too_and_a_line_of_one_recipient_stays_in_order() -> None:
    turns: Turns[str] = Turns(limit=1)
    for number in range(3):
        turns.add("ann", f"code {number}", urgent=True, app="login")
    turns.add("ann", "offer", app="shop")
    turns.add("bob", "offer", app="shop")
    served = []
    while (started := turns.start()) is not None:
        served.append(started[1])
        turns.done(started[0])
    assert served == ["code 0", "code 1", "code 2", "offer", "offer"]


def test_what_went_to_another_worker_is_forgotten_and_the_rest_is_still_served_once() -> None:
    turns: Turns[int] = Turns(limit=10)
    for number in (1, 2, 3):
        turns.add("ann", number)
    turns.drop(lambda number: number != 9)
    turns.add("ann", 4)
    turns.add("ann", 5)
    assert turns.start() == ("ann", 4)
    assert turns.start() is None, "ann is being served"
    turns.done("ann")
    assert turns.start() == ("ann", 5)
    assert turns.waiting == 0


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40),
    st.integers(1, 4),
    st.lists(st.booleans(), max_size=200),
)
def test_everything_is_served_once_in_the_order_of_its_recipient(
    items: list[tuple[str, bool]], limit: int, coin: list[bool]
) -> None:
    turns: Turns[int] = Turns(limit)
    for number, (key, urgent) in enumerate(items):
        turns.add(key, number, urgent=urgent)
    served: dict[object, list[int]] = defaultdict(list)
    under_way: list[object] = []
    flips = iter(coin)
    while turns.waiting or under_way:
        started = turns.start()
        if started is not None:
            assert started[0] not in under_way
            under_way.append(started[0])
            served[started[0]].append(started[1])
            assert len(under_way) <= limit
        if under_way and (started is None or next(flips, True)):
            turns.done(under_way.pop(0))
    expected: dict[object, list[int]] = defaultdict(list)
    for number, (key, _) in enumerate(items):
        expected[key].append(number)
    assert served == expected
