"""A brand's days at carriers for the operator, and what opens one again."""

from __future__ import annotations

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from commlayer.lanes.days import Day, day, days, reopen
from commlayer.lanes.orders import Refused, Word
from commlayer.lanes.overview import Overview, overview
from commlayer.lanes.telling import as_data, details, notes
from commlayer.lanes.telling import day as told
from connectors.twilio.carriers import Carriers
from streams.control.day_caps import Capped, day_cap_reached, day_count, day_count_key, day_end_ms
from streams.control.days import Days
from streams.control.switches import Switches
from streams.control.trouble import trouble_key
from streams.dispatch.lanes import Budget, DayCap, Group, Lane, LaneTable

NOON = int(datetime(2026, 11, 29, 12, tzinfo=ZoneInfo("America/Los_Angeles")).timestamp() * 1000)
ACME, ATT = ("acme", "tmobile"), ("acme", "att")
BUDGETS = {"acme": Budget("acme", None, {"tmobile": DayCap(2000, 50)}), "other": Budget("other", 1.0)}
TABLE = LaneTable.of(
    [Lane("us", "main", "+14155550100", 10.0, "news"), Lane("de", "main", "+4915112345678", 2.0)],
    [Group("news", 0, budget="acme"), Group("de", 1)],
    BUDGETS.values(),
    partitions=2,
)
WORD = Word("ada", "raised", NOON + 1)


def said(*, used: int | None = None, ended: Capped | None = None) -> Days:
    found = Days()
    if used is not None:
        count = day_count(ACME, used=used, partition=0, position=3, until=day_end_ms(NOON), at=NOON)
        found.take(day_count_key(ACME), count)
    if ended is not None:
        record = day_cap_reached(ended, code=30023, why="Daily Message Cap Reached", fix="wait", at=NOON)
        found.take(trouble_key(record), record)
    return found


def one(found: Days, capped: Capped = ACME) -> Day:
    return day(BUDGETS, Carriers(), found, capped, NOON + 2)


def seen(found: Days) -> Overview:
    return overview(TABLE, Switches(), (), {}, NOON + 2, days(BUDGETS, found, NOON + 2))


def test_days_are_told_that_are_counted_or_that_somebody_speaks_of() -> None:
    assert [(each.budget, each.carrier) for each in days(BUDGETS, Days(), NOON)] == [ACME]
    spoken = said(ended=("gone", "att"))
    assert [(each.budget, each.carrier) for each in days(BUDGETS, spoken, NOON)] == [ACME, ("gone", "att")]
    assert told(one(Days())) == "0 of 2,000 segments used, 50 kept for critical"
    assert told(one(Days(), ATT)) == "not counted"


def test_a_day_that_is_over_is_told_with_why_and_until_when() -> None:
    full = one(said(used=1950))
    assert told(full) == (
        "1,950 of 2,000 segments used, 50 kept for critical; messages wait until 2026-11-30 08:00:00 UTC"
    )
    assert told(one(said(ended=ATT), ATT)) == (
        "not counted; Twilio says it is over (30023 Daily Message Cap Reached); fix: wait; "
        "messages wait until 2026-11-30 08:00:00 UTC"
    )


@pytest.mark.parametrize(("used", "left"), [(None, 0), (300, 300)])
def test_a_reopened_day_goes_on_from_what_the_operator_says(used: int | None, left: int) -> None:
    found = said(used=2000, ended=ACME)
    key, record = reopen(one(found), found, WORD, used)
    assert (record.by, record.reason, record.until) == ("ada", "raised", day_end_ms(NOON))
    found.take(key, record)
    assert told(one(found)) == (
        f"{left} of 2,000 segments used, 50 kept for critical; opened again at 2026-11-29 20:00:00 UTC by ada: raised"
    )


def test_an_open_day_is_opened_only_to_mend_its_count() -> None:
    found = said(used=7)
    with pytest.raises(Refused, match="the day of acme at tmobile is open") as refused:
        reopen(one(found), found, WORD, None)
    assert "--used N" in refused.value.fix
    found.take(*reopen(one(found), found, WORD, 1000))
    assert one(found).state.used == 1000


@pytest.mark.parametrize(
    ("capped", "what", "fix"),
    [
        (("acm", "tmobile"), "no budget is called `acm`", "did you mean `acme`?"),
        (("acme", "t-mobil"), "no carrier is called `t-mobil`", "did you mean `tmobile`?"),
    ],
)
def test_what_does_not_exist_has_no_days_but_what_is_spoken_of_may_be_opened(
    capped: Capped, what: str, fix: str
) -> None:
    with pytest.raises(Refused, match=what) as refused:
        one(Days(), capped)
    assert fix in refused.value.fix
    found = said(ended=capped)
    found.take(*reopen(one(found, capped), found, WORD, None))
    assert one(found, capped).state.waits_until is None


def test_a_lane_shows_the_days_of_its_budget_and_the_list_those_that_are_over_or_were_opened() -> None:
    view = seen(said(used=7))
    assert [[each.carrier for each in row.days] for row in view.lanes] == [["tmobile"], []]
    console = Console(width=200)
    with console.capture() as shown:
        console.print(details(view.lanes[0]))
    assert "7 of 2,000 segments used" in shown.get()
    assert not [line for line in notes(view) if "acme" in line]
    found = said(used=2000, ended=ACME)
    [line] = [line for line in notes(seen(found)) if "acme" in line]
    assert line.startswith("budget acme at tmobile: 2,000 of 2,000 segments used")
    assert "30023" in line
    found.take(*reopen(one(found), found, WORD, None))
    [line] = [line for line in notes(seen(found)) if "acme" in line]
    assert "opened again" in line
    data = json.loads(json.dumps(as_data(seen(found))))["days"]
    assert [(each["budget"], each["carrier"], each["used"], each["ended"]) for each in data] == [(*ACME, 0, None)]
    assert data[0]["reopened"]["by"] == "ada"


def test_what_twilio_said_of_a_day_is_told_as_a_day_and_not_as_a_switch() -> None:
    record = day_cap_reached(ACME, code=30023, why="reached", fix="wait", at=NOON)
    switches = Switches()
    switches.take(trouble_key(record), record)
    assert overview(TABLE, switches, (), {}, NOON).others == []
