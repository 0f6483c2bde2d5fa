"""What an operator may order of whom."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from commlayer.config import Configuration, loads
from commlayer.lanes import orders
from commlayer.lanes.orders import Refused, Subject, Word
from schemas.records import Control, ControlAction, ControlSubject
from streams.control.places import moved
from streams.control.switches import Switches
from streams.control.trouble import trouble_key

LANE, GROUP, ACCOUNT, APP, _ = ControlSubject
WORD = Word("ada", "carrier asks", 1_000, 61_000)


@pytest.fixture
def config(data: dict[str, Any]) -> Configuration:
    us = data["senders"]["us"]
    data["groups"] = {"pair": {"partition": 1, "rate": 3}, "loose": {"partition": 2}}
    data["senders"] |= {
        "de": {**us, "address": "+4915112345678", "group": "pair", "partition": None},
        "fr": {**us, "address": "+33612345678", "group": "loose", "partition": None},
    }
    data["kafka"]["partitions"]["dispatch"] = 4
    return loads(yaml.safe_dump(data), "test").config


def taken(*written: tuple[bytes, Control]) -> Switches:
    switches = Switches()
    for key, record in written:
        switches.take(key, record)
    return switches


@pytest.mark.parametrize(
    "subject",
    [Subject(LANE, "us"), Subject(GROUP, "pair"), Subject(GROUP, "us"), Subject(ACCOUNT, "main"), Subject(APP, "shop")],
)
def test_everything_can_be_paused_and_resumed(config: Configuration, subject: Subject) -> None:
    paused = orders.pause(config, subject, WORD)
    found = taken(paused).paused(subject.kind, subject.name, 60_999)
    assert found is not None
    assert (found.by, found.reason, found.until) == ("ada", "carrier asks", 61_000)
    resumed = orders.resume(config, subject, WORD, taken(paused))
    assert taken(paused, resumed).paused(subject.kind, subject.name, 2_000) is None


@pytest.mark.parametrize("subject", [Subject(LANE, "us"), Subject(GROUP, "pair")])
def test_a_rate_holds_beside_a_pause_until_the_configured_one_is_asked_for(
    config: Configuration, subject: Subject
) -> None:
    paused, changed = orders.pause(config, subject, WORD), orders.rate(config, subject, 0.5, WORD)
    switches = taken(paused, changed)
    assert switches.rate(subject.kind, subject.name, 2_000) == 0.5
    assert switches.paused(subject.kind, subject.name, 2_000) is not None
    back = taken(paused, changed, orders.rate(config, subject, None, WORD))
    assert back.rate(subject.kind, subject.name, 2_000) is None


@pytest.mark.parametrize(
    ("subject", "segments", "what", "fix"),
    [
        (Subject(ACCOUNT, "main"), 5.0, "an account has no rate", "its lanes: de, fr, us"),
        (Subject(APP, "shop"), 5.0, "an app has no rate", "pause --app shop"),
        (Subject(GROUP, "loose"), 5.0, "no rate of its own", "its lanes (fr), or configure groups.loose.rate"),
        (Subject(GROUP, "us"), 5.0, "no rate of its own", "its lanes (us)"),
        (Subject(LANE, "us"), 0.0, "no rate", "pause it"),
        (Subject(LANE, "us"), float("nan"), "no rate", "pause it"),
        (Subject(LANE, "us"), float("inf"), "no rate", "pause it"),
        (Subject(LANE, "us"), 0.0005, "no rate", "the lowest rate is 0.001"),
        (Subject(LANE, "uss"), 5.0, "no lane is called `uss`", "did you mean `us`?"),
    ],
)
def test_what_dispatch_would_ignore_is_refused_with_the_fix(
    config: Configuration, subject: Subject, segments: float, what: str, fix: str
) -> None:
    with pytest.raises(Refused, match=what.replace("(", r"\(")) as refused:
        orders.rate(config, subject, segments, WORD)
    assert fix in refused.value.fix


def test_a_country_for_which_a_lane_is_refused_is_tried_again_and_no_other(config: Configuration) -> None:
    switches = Switches()
    for subject in ("us@FR", "us@DE", "de@ES", "gone@DE"):
        record = Control(subject_kind=LANE, subject=subject, action=ControlAction.PAUSE, by="dispatch", at=1, until=9)
        switches.take(trouble_key(record), record)
    key, again = orders.retry(config, "us", "DE", WORD, switches)
    assert (key, again.by, again.reason) == (b"lane:us@DE:trouble", "ada", "carrier asks")
    switches.take(key, again)
    switches.take(*orders.retry(config, "gone", "DE", WORD, switches))
    assert [each[:2] for each in switches.refused_countries()] == [("us", "FR"), ("de", "ES")]
    for lane, country, fix in (("us", "DE", "it is for FR."), ("fr", "DE", "nothing is to do."), ("uss", "DE", "us")):
        with pytest.raises(Refused) as refused:
            orders.retry(config, lane, country, WORD, switches)
        assert fix in refused.value.fix


def test_resuming_a_lane_whose_account_is_paused_names_the_account(config: Configuration) -> None:
    switches = taken(orders.pause(config, Subject(ACCOUNT, "main"), WORD))
    with pytest.raises(Refused) as refused:
        orders.resume(config, Subject(LANE, "us"), WORD, switches)
    assert "lanes resume --account main" in refused.value.fix


def test_a_pause_of_what_is_not_configured_any_more_can_be_ended(config: Configuration) -> None:
    record = Control(subject_kind=LANE, subject="gone", action=ControlAction.PAUSE, by="ada", at=1)
    with pytest.raises(Refused):
        orders.pause(config, Subject(LANE, "gone"), WORD)
    key, resumed = orders.resume(config, Subject(LANE, "gone"), WORD, taken((b"lane:gone", record)))
    assert (key, resumed.action) == (b"lane:gone", ControlAction.RESUME)


def test_a_move_is_begun_from_where_the_group_was_last_known_to_lie(config: Configuration) -> None:
    key, record = orders.move(config, "pair", 3, WORD, Switches())
    assert (key, record.action) == (b"group:pair:place", ControlAction.MOVE_BEGIN)
    assert (record.from_partition, record.to_partition) == (1, 3)
    known = (key, moved("pair", 3, by="dispatch", at=1))
    assert orders.move(config, "pair", 1, WORD, taken(known))[1].from_partition == 3


@pytest.mark.parametrize(
    ("group", "to", "what"),
    [
        ("pair", 1, "lies on partition 1 already"),
        ("pair", 4, "partition 4 does not exist"),
        ("pair", 0, "partition 0 is that of us"),
        ("nobody", 3, "no group is called `nobody`"),
        ("fr", 3, "fr is one sender of group loose"),
    ],
)
def test_a_move_that_cannot_be_meant_is_refused(config: Configuration, group: str, to: int, what: str) -> None:
    with pytest.raises(Refused, match=what):
        orders.move(config, group, to, WORD, Switches())


def test_a_group_on_its_way_is_not_moved_again(config: Configuration) -> None:
    switches = taken(orders.move(config, "pair", 3, WORD, Switches()))
    with pytest.raises(Refused, match="moves from partition 1 to 3 already"):
        orders.move(config, "pair", 2, WORD, switches)


def test_one_of_several_groups_of_a_budget_is_not_moved_away(data: dict[str, Any], config: Configuration) -> None:
    data["budgets"] = {"acme": {"rate": 5}}
    data["groups"] = {
        "pair": {"partition": 1, "rate": 3, "shared": True, "budget": "acme"},
        "loose": {"partition": 1, "shared": True, "budget": "acme"},
    }
    budgeted = loads(yaml.safe_dump(data), "test").config
    with pytest.raises(Refused, match="group pair shares budget acme with loose") as refused:
        orders.move(budgeted, "pair", 3, WORD, Switches())
    assert "divide budgets.acme.rate" in refused.value.fix
    del data["budgets"]["acme"]["rate"]
    with pytest.raises(Refused, match="group pair shares budget acme with loose") as refused:
        orders.move(loads(yaml.safe_dump(data), "test").config, "pair", 3, WORD, Switches())
    assert refused.value.fix.startswith("take `budget` away")
    data["budgets"]["acme"]["rate"] = 5
    data["groups"]["loose"] |= {"partition": 2, "budget": None}
    alone = loads(yaml.safe_dump(data), "test").config
    assert orders.move(alone, "pair", 3, WORD, Switches())[1].to_partition == 3
