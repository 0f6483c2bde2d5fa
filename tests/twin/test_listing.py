from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.twin.rig import ACCOUNT, LONG, PERSON, SECOND, Caller
from twin.server import Twin
from twin.settings import FaultSettings

BASE = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"


async def test_an_empty_list_has_the_envelope_in_twilios_order(caller: Caller) -> None:
    answer = await caller.get("/Messages.json?To=%2B15558675310&DateSent%3E=2008-01-02&PageSize=25")
    query = "To=%2B15558675310&DateSent%3E=2008-01-02&PageSize=25&Page=0"
    assert answer.body.decode() == (
        f'{{"first_page_uri": "{BASE}?{query}", "end": 0, "previous_page_uri": null, "messages": [], '
        f'"uri": "{BASE}?{query}", "page_size": 25, "start": 0, "next_page_uri": null, "page": 0}}'
    )


async def test_pages_are_followed_both_ways_while_messages_arrive(caller: Caller) -> None:
    for number in range(7):
        await caller.create(Body=str(number))
    page = (await caller.get("/Messages.json?PageSize=3")).json
    assert [message["body"] for message in page["messages"]] == ["6", "5", "4"]
    assert (page["page"], page["start"], page["end"], page["page_size"]) == (0, 0, 2, 3)
    assert page["next_page_uri"].endswith("PageSize=3&Page=1&PageToken=PA" + page["messages"][-1]["sid"])
    await caller.create(Body="new")
    page = (await caller.request("GET", page["next_page_uri"])).json
    assert [message["body"] for message in page["messages"]] == ["3", "2", "1"]
    assert (page["page"], page["start"], page["end"]) == (1, 3, 5)
    last = (await caller.request("GET", page["next_page_uri"])).json
    assert [message["body"] for message in last["messages"]] == ["0"]
    assert last["next_page_uri"] is None
    back = (await caller.request("GET", last["previous_page_uri"])).json
    assert [message["body"] for message in back["messages"]] == ["3", "2", "1"]
    assert dict(parse_qsl(urlsplit(back["uri"]).query))["Page"] == "1"


async def test_lists_filter_by_recipient_and_sender(caller: Caller) -> None:
    await caller.create(Body="a")
    await caller.create(Body="b", To="+15558675311")
    await caller.create(Body="c", From=SECOND)
    queries = {"To=%2B15558675310": ["c", "a"], "From=%2B15557122661": ["b", "a"], "To=5558675311": ["b"]}
    for query, bodies in queries.items():
        listed = (await caller.get(f"/Messages.json?{query}")).json["messages"]
        assert [message["body"] for message in listed] == bodies
    both = (await caller.get(f"/Messages.json?To=%2B{PERSON[1:]}&From=%2B{LONG[1:]}")).json["messages"]
    assert [message["body"] for message in both] == ["a"]


@pytest.mark.parametrize(
    ("query", "bodies"),
    [
        ("DateSent=2026-11-23", ["noon"]),
        ("DateSent%3C=2026-11-23", ["noon"]),
        ("DateSent%3C=2026-11-23T11:59:59Z", []),
        ("DateSent%3C=2026-11-23T12:00:00Z", ["noon"]),
        ("DateSent%3E=2026-11-24", ["next noon"]),
        ("DateSent%3E=2026-11-23T14:00:00%2B02:00", ["next noon", "noon"]),
        ("DateSent%3E=2026-11-23+12:00:01.000", ["next noon"]),
        ("DateSent%3E=Mon%2C+23+Nov+2026+12%3A00%3A01+-0000", ["next noon"]),
        ("DateSent%3E=2026-11-23&DateSent%3C=2026-11-24", ["next noon", "noon"]),
    ],
)
async def test_lists_filter_by_the_date_sent(query: str, bodies: list[str], twin: Twin, caller: Caller) -> None:
    await caller.create(Body="noon")
    await twin.advance(24 * 3600)
    await caller.create(Body="next noon")
    await twin.advance(1)
    listed = (await caller.get(f"/Messages.json?{query}")).json["messages"]
    assert [message["body"] for message in listed] == bodies


async def test_what_is_not_sent_yet_is_in_no_dated_list(caller: Caller) -> None:
    await caller.create()
    assert (await caller.get("/Messages.json?DateSent=2026-11-23")).json["messages"] == []
    assert len((await caller.get("/Messages.json")).json["messages"]) == 1


async def test_a_page_holds_at_most_1000(caller: Caller) -> None:
    answer = await caller.get("/Messages.json?PageSize=1001")
    assert (answer.status, answer.json["code"]) == (400, 20007)
    assert (await caller.get("/Messages.json?PageSize=1000")).json["page_size"] == 1000
    assert (await caller.get("/Messages.json")).json["page_size"] == 50


async def test_lists_may_lag_behind(twin: Twin, caller: Caller) -> None:
    twin.plan_faults(FaultSettings(listing_lag_s=20))  # type: ignore[arg-type]  # one number stands for a span
    sid = (await caller.create()).json["sid"]
    assert (await caller.get("/Messages.json")).json["messages"] == []
    assert (await caller.get(f"/Messages/{sid}.json")).status == 200
    await twin.advance(20)
    assert len((await caller.get("/Messages.json")).json["messages"]) == 1
