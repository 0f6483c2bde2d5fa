"""Lanes: checks, partitions and delivery windows."""

from __future__ import annotations

import pytest

from streams.dispatch.lanes import Budget, Group, Lane, LaneTable, LaneTableError


def test_a_lane_that_names_no_group_is_alone_in_one_of_its_own_name() -> None:
    table = LaneTable.of([Lane("us", "main", "+1500", 1.0)], [Group("us", 3)], partitions=4)
    assert table.partition_of("us") == 3
    assert [lane.name for lane in table.lanes_of(3)] == ["us"]
    assert table.lanes_of(0) == []


def test_every_contradiction_is_told_at_once_with_its_fix() -> None:
    with pytest.raises(LaneTableError) as caught:
        LaneTable.of(
            [
                Lane("one", "main", "+1500", 1.0),
                Lane("two", "main", "+1500", 0.0, group="one"),
                Lane("three", "main", "+1501", 1.0),
            ],
            [
                Group("one", 4, rate=-1.0),
                Group("six", 1, budget="acme"),
                Group("seven", 2, budget="acme"),
                Group("eight", 2, budget="gone"),
            ],
            [Budget("acme", 0.0)],
            partitions=4,
        )
    problems = "\n".join(caught.value.problems)
    assert "lane two: rate 0.0 is not more than 0" in problems
    assert "lane two: sender +1500 is in lane one" in problems
    assert "lane three: group three is not defined" in problems
    assert "group one: partition 4 is outside 0..3" in problems
    assert "group one: rate -1.0 is not more than 0" in problems
    assert "group eight: budget gone is not defined" in problems
    assert "budget acme: rate 0.0 is not more than 0" in problems
    assert "budget acme: its groups lie on partitions 1, 2; put them on one" in problems
    assert len(caught.value.problems) == 8


def test_the_same_number_in_two_accounts_is_two_senders() -> None:
    LaneTable.of(
        [Lane("one", "main", "+1500", 1.0), Lane("two", "other", "+1500", 1.0)],
        [Group("one", 0), Group("two", 1)],
        partitions=2,
    )


def test_a_name_defined_twice_is_refused() -> None:
    with pytest.raises(LaneTableError, match="lane us: defined twice"):
        LaneTable.of(
            [Lane("us", "main", "+1500", 1.0), Lane("us", "main", "+1501", 1.0)], [Group("us", 0)], partitions=1
        )


@pytest.mark.parametrize(
    ("name", "rates", "group_rate", "window"),
    [
        ("a slow sender still gets twenty", [0.1], None, 20),
        ("five seconds of the rate", [100.0], None, 500),
        ("a fast sender gets no more than a thousand", [400.0], None, 1000),
        ("lanes of one group together", [10.0, 10.0], None, 100),
        ("a group's own budget bounds its lanes", [75.0, 75.0], 10.0, 50),
    ],
)
def test_a_partitions_window_is_five_seconds_of_its_rate(
    name: str, rates: list[float], group_rate: float | None, window: int
) -> None:
    lanes = [Lane(f"l{i}", "main", f"+1{i}", rate, group="g") for i, rate in enumerate(rates)]
    assert LaneTable.of(lanes, [Group("g", 0, group_rate)], partitions=1).window(0) == window


def test_a_groups_window_is_no_more_than_five_seconds_of_the_budget_it_shares() -> None:
    lanes = [Lane("a", "main", "+1", 75.0, group="g"), Lane("b", "main", "+2", 4.0, group="h")]
    groups = [Group("g", 0, budget="acme"), Group("h", 0, budget="acme")]
    assert LaneTable.of(lanes, groups, [Budget("acme", 10.0)], partitions=1).window(0) == 50 + 20
    assert LaneTable.of(lanes, groups, [Budget("acme")], partitions=1).window(0) == 375 + 20, "it has no rate"


def test_a_shared_partition_adds_its_groups_windows_up_to_five_thousand() -> None:
    def window(groups: int) -> int:
        lanes = [Lane(f"l{i}", "main", f"+1{i}", 300.0) for i in range(groups)]
        return LaneTable.of(lanes, [Group(f"l{i}", 0) for i in range(groups)], partitions=2).window(0)

    assert window(1) == 1000
    assert window(3) == 3000
    assert window(8) == 5000


def test_a_partition_without_lanes_is_drained_at_full_width() -> None:
    table = LaneTable.of([Lane("us", "main", "+1500", 1.0)], [Group("us", 0)], partitions=4)
    assert table.window(3) == 1000
