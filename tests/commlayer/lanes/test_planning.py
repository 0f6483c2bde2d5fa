"""Groups on partitions, and places for senders that have none."""

from __future__ import annotations

from typing import Any

from commlayer.config import Configuration
from commlayer.lanes.planning import Proposal, plan, window


def configured(data: dict[str, Any], senders: dict[str, dict[str, Any]], count: int = 4) -> Configuration:
    base = {"account": "main", "type": "long_code", "rate": 1}
    data["kafka"]["partitions"]["dispatch"] = count
    data["groups"] = {"pair": {"partition": 1, "rate": 3}}
    data["senders"] = {
        name: {**base, "address": f"+1415555{number:04d}", **changes}
        for number, (name, changes) in enumerate(senders.items())
    }
    return Configuration.model_validate(data)


def test_groups_lie_on_their_partitions_with_their_budget(data: dict[str, Any]) -> None:
    planned = plan(
        configured(
            data,
            {"us": {"partition": 0, "rate": 50}, "a": {"group": "pair", "rate": 2}, "b": {"group": "pair", "rate": 2}},
        )
    )
    [us], [pair] = planned.partitions[0], planned.partitions[1]
    assert (us.group, us.rate, window([us])) == ("us", 50, 250)
    assert (pair.senders, pair.rate, window([pair])) == (["a", "b"], 3, 20)
    assert planned.free == [2, 3]
    assert planned.proposals == []


def test_the_fastest_unplaced_senders_get_the_free_partitions(data: dict[str, Any]) -> None:
    planned = plan(configured(data, {"us": {"partition": 0}, "x": {"rate": 5}, "y": {"rate": 50}}))
    assert [(each.sender, each.partition, each.shared) for each in planned.proposals] == [
        ("y", 2, False),
        ("x", 3, False),
    ]


def test_when_none_is_free_the_least_loaded_shared_partitions_are_proposed_evenly(data: dict[str, Any]) -> None:
    shared = {"shared": True}
    planned = plan(
        configured(
            data,
            {
                "a": {"partition": 0, "rate": 4, **shared},
                "b": {"partition": 2, "rate": 2, **shared},
                "x": {"rate": 3},
                "y": {},
            },
            3,
        )
    )
    assert [(each.sender, each.partition, each.shared) for each in planned.proposals] == [
        ("x", 2, True),
        ("y", 0, True),
    ]


def test_when_there_is_no_place_at_all_more_partitions_are_asked_for(data: dict[str, Any]) -> None:
    planned = plan(configured(data, {"a": {"partition": 0}, "x": {}}, 2))
    assert planned.proposals == [Proposal("x", None, False, "no partition is free: raise kafka.partitions.dispatch")]
