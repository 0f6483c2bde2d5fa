"""One view of configuration, switches, processes and what waits."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

from commlayer.lanes.overview import Overview, overview
from commlayer.lanes.running import Answer
from commlayer.lanes.telling import as_data, details, eta, notes, reasons, state, table
from commlayer.lanes.waiting import Waiting
from schemas.records import Control, ControlAction, ControlSubject, MessageClass
from streams.control.health import failing, health_key
from streams.control.switches import Aspect, Switches, control_key
from streams.dispatch.lanes import Budget, Group, Lane, LaneTable

LANE, GROUP, ACCOUNT, APP, _ = ControlSubject
TABLE = LaneTable.of(
    [
        Lane("us", "main", "+14155550100", 10.0),
        Lane("de", "main", "+4915112345678", 2.0, "europe"),
        Lane("fr", "other", "+33612345678", 2.0, "europe"),
    ],
    [Group("us", 0), Group("europe", 1, 3.0, "acme", {"three": 0.5})],
    [Budget("acme", 2.5)],
    partitions=2,
)
DOWN = Answer("127.0.0.1:8082", why="no answer: refused")


def running(**lanes: dict[str, Any]) -> Answer:
    told = [
        {
            "lane": name,
            "served_here": True,
            "rate": 10.0,
            "sending": 5.0,
            "utilisation": 0.5,
            "queued": {"bulk": 20},
            "queued_segments": 60,
            "eta_s": 6.0,
            "in_flight": 1,
            "held": None,
            **changes,
        }
        for name, changes in lanes.items()
    ]
    return Answer("127.0.0.1:8082", {"lanes": told, "accounts": [{"account": "main", "held": None}]})


def switched(*written: tuple[Aspect, Control]) -> Switches:
    switches = Switches()
    for aspect, record in written:
        switches.take(control_key(record.subject_kind, record.subject, aspect), record)
    return switches


def control(kind: ControlSubject, subject: str, action: ControlAction = ControlAction.PAUSE, **more: Any) -> Control:
    return Control(subject_kind=kind, subject=subject, action=action, by="ada", at=1, **more)


def seen(
    switches: Switches | None = None,
    *,
    answers: tuple[Answer, ...] = (DOWN,),
    waits: Waiting | str = "",
    now_ms: int = 1_000,
) -> Overview:
    return overview(TABLE, switches or Switches(), answers, waits or {}, now_ms)


def test_without_dispatch_the_switches_and_what_waits_in_kafka_are_still_told() -> None:
    paused = switched((Aspect.PAUSE, control(LANE, "us", reason="carrier asks", until=86_400_000)))
    view = seen(paused, waits={(0, MessageClass.BULK): 70})
    us = view.lanes[0]
    assert state(us) == "paused (lane us) by ada: carrier asks, until 1970-01-02 00:00:00 UTC"
    assert (us.backlog(MessageClass.BULK), us.backlog(MessageClass.HIGH), eta(us)) == (70, 0, "never")
    told = list(notes(view))
    assert told[0] == "dispatch at 127.0.0.1:8082: no answer: refused"
    assert "no dispatch process answers" in told[1]


def test_the_table_has_one_word_for_a_state_and_the_lines_below_it_tell_why_and_of_which_lanes() -> None:
    view = seen(
        switched(
            (Aspect.PAUSE, control(LANE, "us", reason="carrier asks for a quiet hour", until=86_400_000)),
            (Aspect.PAUSE, control(GROUP, "europe")),
        )
    )
    console = Console(width=100)
    with console.capture() as shown:
        console.print(table(view))
    assert max(map(len, shown.get().splitlines())) <= 100
    assert len(shown.get().splitlines()) == 4 + len(view.lanes), "one line for each lane"
    assert list(reasons(view)) == [
        "us: paused (lane us) by ada: carrier asks for a quiet hour, until 1970-01-02 00:00:00 UTC",
        "de, fr: paused (group europe) by ada",
    ]
    assert list(reasons(seen())) == []


def test_a_pause_of_the_account_or_group_is_told_of_each_lane_with_its_subject() -> None:
    view = seen(switched((Aspect.PAUSE, control(ACCOUNT, "main")), (Aspect.PAUSE, control(GROUP, "europe"))))
    assert [row.pause and (row.pause.subject_kind, row.pause.subject) for row in view.lanes] == [
        (ACCOUNT, "main"),
        (GROUP, "europe"),
        (GROUP, "europe"),
    ]


def test_a_lane_whose_messages_fail_is_told_with_what_was_counted_and_until_when_it_is_avoided() -> None:
    switches = Switches()
    word = failing("us", code=30007, why="24% of 50 messages failed", fix="look at the template", at=1, until=60_000)
    switches.take(health_key("us"), word)
    view = seen(switches)
    us = view.lanes[0]
    assert us.state == "failing"
    assert state(us) == (
        "failing: 24% of 50 messages failed; avoided until 1970-01-01 00:01:00 UTC; fix: look at the template"
    )
    assert as_data(view)["lanes"][0]["failing"]["error_code"] == 30007
    assert (us.pause, us.troubles, view.others) == (None, [], [])


def test_a_trouble_is_told_with_code_meaning_and_fix() -> None:
    record = control(LANE, "us", error_code=21606, reason="refused twice", fix="buy the number")
    [found] = seen(switched((Aspect.TROUBLE, record))).lanes[0].troubles
    assert (found.code, found.fix, found.why) == (21606, "buy the number", "refused twice")
    assert found.meaning
    bare = control(LANE, "us", error_code=21606)
    [known] = seen(switched((Aspect.TROUBLE, bare))).lanes[0].troubles
    assert known.fix, "the table of errors knows one"


def test_a_country_for_which_a_lane_is_refused_is_told_with_the_lane_until_it_is_tried_again() -> None:
    record = control(
        LANE, "us@DE", error_code=21606, reason="not for this destination", fix="leave DE out", until=60_000
    )
    switches = switched((Aspect.TROUBLE, record))
    view = seen(switches, now_ms=59_999)
    assert state(view.lanes[0]).startswith("lane us@DE: 21606 ")
    assert state(view.lanes[0]).endswith("fix: leave DE out")
    assert not any(row.troubles for row in view.lanes[1:])
    assert view.others == []
    assert seen(switches, now_ms=60_000).lanes[0].troubles == []


def test_a_trouble_that_only_the_process_knows_is_told_too_and_a_known_one_not_twice() -> None:
    held = {"why": "21606 not SMS-capable", "fix": "buy it"}
    alone = seen(answers=(running(us={"held": held}),)).lanes[0]
    assert [(each.why, each.fix) for each in alone.troubles] == [("21606 not SMS-capable", "buy it")]
    both = seen(
        switched((Aspect.TROUBLE, control(LANE, "us", error_code=21606))), answers=(running(us={"held": held}),)
    )
    assert len(both.lanes[0].troubles) == 1


def test_what_waits_behind_the_delivery_window_counts_for_the_eta_of_a_lane_alone_on_its_partition() -> None:
    view = seen(answers=(running(us={}),), waits={(0, MessageClass.BULK): 120, (0, MessageClass.NORMAL): 0})
    # 120 messages of 3 segments each, as the held ones have, at 10/s.
    assert view.lanes[0].eta_s == 36.0
    assert view.lanes[0].backlog(MessageClass.BULK) == 120


def test_on_a_shared_partition_each_lane_shows_what_is_held_of_it_and_a_least_eta() -> None:
    view = seen(
        answers=(running(de={}, fr={"queued": {"bulk": 0}, "eta_s": 0.0}),), waits={(1, MessageClass.BULK): 900}
    )
    de, fr = view.lanes[1], view.lanes[2]
    assert (de.backlog(MessageClass.BULK), fr.backlog(MessageClass.BULK)) == (20, 0)
    assert eta(de) == ">6 s"


def test_a_changed_rate_is_in_force_with_and_without_dispatch() -> None:
    changed = switched((Aspect.RATE, control(LANE, "us", ControlAction.RATE, rate=4.0)))
    row = seen(changed).lanes[0]
    assert (row.rate, row.configured_rate) == (4.0, 10.0)
    assert row.changed is not None


SHARED = {"group europe": 1.5, "group europe at three": 0.5, "budget acme": 2.5}


def test_what_a_lane_shares_with_others_is_told_at_the_rates_in_force() -> None:
    changed = switched((Aspect.RATE, control(GROUP, "europe", ControlAction.RATE, rate=1.5)))
    rows = {row.name: row for row in seen(changed).lanes}
    assert rows["us"].budgets == {}
    assert rows["de"].budgets == rows["fr"].budgets == SHARED
    console = Console(width=200)
    with console.capture() as shown:
        console.print(details(rows["de"]))
    assert "1.5 segments/s of group europe" in shown.get()
    assert "0.5 segments/s of group europe at three" in shown.get()
    assert "2.5 segments/s of budget acme" in shown.get()
    assert as_data(seen(changed))["lanes"][1]["budgets"] == SHARED


def test_a_budget_without_a_rate_is_nothing_that_a_lane_is_paced_by() -> None:
    days_only = LaneTable.of(TABLE.lanes.values(), TABLE.groups.values(), [Budget("acme")], partitions=2)
    rows = {row.name: row for row in overview(days_only, Switches(), (DOWN,), {}, 1_000).lanes}
    assert rows["de"].budgets == {"group europe": 3.0, "group europe at three": 0.5}


def test_a_lane_that_the_asked_process_does_not_serve_has_no_numbers_of_it() -> None:
    row = seen(answers=(running(us={"served_here": False}),)).lanes[0]
    assert (row.served_by, row.sending, row.held) == (None, None, None)


def test_paused_apps_and_switches_of_what_is_gone_are_told_apart() -> None:
    view = seen(switched((Aspect.PAUSE, control(APP, "shop")), (Aspect.PAUSE, control(LANE, "gone"))))
    assert [(each.subject_kind, each.subject) for each in view.others] == [(APP, "shop"), (LANE, "gone")]
    assert "app shop: paused by ada" in list(notes(view))


def test_everything_goes_into_json() -> None:
    view = seen(
        switched((Aspect.PAUSE, control(LANE, "us")), (Aspect.TROUBLE, control(LANE, "de", error_code=21606))),
        answers=(running(us={}), DOWN),
        waits="no right to see the group",
    )
    data = json.loads(json.dumps(as_data(view)))
    assert data["lanes"][0]["paused"]["by"] == "ada"
    assert data["lanes"][1]["troubles"][0]["code"] == 21606
    assert [each["answers"] for each in data["dispatch"]] == [True, False]


def test_a_pause_until_a_time_that_is_no_date_is_shown_all_the_same() -> None:
    switches = switched((Aspect.PAUSE, control(LANE, "us", until=99_999_999_999_999_999)))
    row = next(row for row in overview(TABLE, switches, [DOWN], {}, 1_000).lanes if row.name == "us")
    assert "until 99999999999999999 ms" in state(row)
