from __future__ import annotations

from typing import Any

import pytest

from tests.twin.rig import LONG, OTHER, PERSON, SECOND, START, Caller, Hook, settings
from twin.server import Twin


async def _get(caller: Caller, path: str) -> Any:
    return (await caller.request("GET", "/__twin__" + path, auth=False)).json


async def _put(caller: Caller, path: str, value: object) -> int:
    return (await caller.request("PUT", "/__twin__" + path, auth=False, json=value)).status


async def test_books_are_asked_over_http(caller: Caller, hook: Hook) -> None:
    await caller.create(StatusCallback=hook.url("/cb?m=1"))
    await caller.create(StatusCallback=hook.url("/cb?m=2"), To="+15558675311")
    await caller.create(To="123")
    clock = (await caller.request("POST", "/__twin__/clock", json={"advance": 5})).json
    assert clock == {"now": START + 5, "virtual": True}
    assert [row["to"] for row in await _get(caller, "/messages?m=2")] == ["+15558675311"]
    assert [row["status"] for row in await _get(caller, "/callbacks?m=1")] == ["sent", "delivered"]
    assert [row["code"] for row in await _get(caller, "/refusals")] == [21211]
    assert len(await _get(caller, "/messages?limit=1&offset=1")) == 1
    assert await _get(caller, "/duplicates") == []
    assert [row["lane"] for row in await _get(caller, "/pacing?tolerance_s=1")] == [LONG]
    for root in ("", "/"):
        assert (await _get(caller, root))["by_status"] == {"delivered": 2}
    assert await _get(caller, "/alerts") == []


async def test_a_person_writes_over_http(caller: Caller, hook: Hook) -> None:
    answer = await caller.request("POST", "/__twin__/inbound", json={"from": PERSON, "to": LONG, "body": "STOP"})
    assert (answer.json["intent"], answer.json["called"]) == ("STOP", [hook.url("/twilio/inbound")])
    assert {row["scope"] for row in await _get(caller, "/optouts")} >= {LONG}
    missing = await caller.request("POST", "/__twin__/inbound", json={"from": PERSON, "to": "+15550001111"})
    assert missing.status == 404


async def test_configuration_changes_over_http(caller: Caller) -> None:
    rule = {"to_suffix": "5310", "status": "failed", "error_code": 30007}
    assert await _put(caller, "/outcomes", {"rules": [rule]}) == 200
    assert await _put(caller, "/outcomes", {"rules": [{"status": "failed"}]}) == 422
    assert await _put(caller, "/faults", {"requests": [{"kind": "throttle", "first": 1}]}) == 200
    assert await _put(caller, "/senders", {"address": "+15557122680", "rate": 5}) == 200
    assert await _put(caller, "/services", {"sid": "MG" + "8" * 32, "senders": ["+15557122680"]}) == 200
    assert await _put(caller, "/services", {"sid": "MG" + "8" * 32, "senders": ["+15550001111"]}) == 404
    assert await _put(caller, "/accounts", {"sid": OTHER, "auth_token": "new"}) == 200
    assert (await caller.create(From="+15557122680")).status == 429
    assert (await caller.create(From="+15557122680")).status == 201
    await caller.request("POST", "/__twin__/clock", json={"advance": 5})
    assert [row["error_code"] for row in await _get(caller, "/messages")] == [30007]
    assert {row["address"]: row["rate"] for row in await _get(caller, "/senders")}["+15557122680"] == 5


async def test_a_changed_token_holds_at_once(twin: Twin, caller: Caller) -> None:
    other = Caller(twin, OTHER, "other-token")
    assert (await other.get("/Messages.json", account=OTHER)).status == 200
    await _put(caller, "/accounts", {"sid": OTHER, "auth_token": "new"})
    assert (await other.get("/Messages.json", account=OTHER)).status == 401


async def test_a_reset_forgets_all_but_the_configuration(twin: Twin, caller: Caller, hook: Hook) -> None:
    for _ in range(5):
        await caller.create(From=SECOND, ValidityPeriod="2", StatusCallback=hook.url())
    await caller.create(To="123")
    await twin.inbound(PERSON, LONG, "STOP")
    await caller.request("POST", "/__twin__/reset")
    await twin.settled()
    hook.calls.clear()
    summary = await _get(caller, "")
    assert (summary["accepted"], summary["refused_by_code"], summary["underway"]) == (0, {}, 0)
    assert await _get(caller, "/optouts") == []
    await twin.advance(60)
    assert hook.calls == []
    await caller.create(From=SECOND)
    await twin.advance(0)
    assert [row["status"] for row in await _get(caller, "/messages")] == ["delivered"]
    assert twin.exchange.directory.senders[SECOND].queued == 0


async def test_a_real_clock_cannot_be_moved_and_settles_by_itself(hook: Hook) -> None:
    async with Twin(settings(clock="real", start=None)) as twin:
        caller = Caller(twin)
        moved = await caller.request("POST", "/__twin__/clock", json={"advance": 5})
        assert moved.status == 409
        await caller.create(StatusCallback=hook.url())
        settled = (await caller.request("POST", "/__twin__/settle")).json
        assert (settled["final"], settled["webhooks_pending"]) == (1, 0)
        assert hook.statuses() == ["sent", "delivered"]


async def test_a_twin_that_hung_up_comes_back_with_its_books(twin: Twin, caller: Caller, hook: Hook) -> None:
    await caller.create(StatusCallback=hook.url())
    url = twin.url
    await twin.hang_up()
    await twin.advance(1)
    assert hook.statuses() == ["sent", "delivered"]  # the network goes on
    await twin.listen()
    assert twin.url == url
    assert len((await caller.get("/Messages.json")).json["messages"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/messages?limit=many", None),
        ("GET", "/messages?offset=-1", None),
        ("GET", "/pacing?tolerance_s=nan", None),
        ("GET", "/pacing?tolerance_s=x", None),
        ("POST", "/clock", b"{"),
        ("POST", "/clock", b"[]"),
        ("POST", "/clock", b"{}"),
        ("POST", "/clock", b'{"advance": "5"}'),
        ("POST", "/clock", b'{"advance": -5}'),
        ("POST", "/inbound", b""),
        ("POST", "/inbound", b"[1]"),
        ("POST", "/inbound", b'{"from": 5, "to": "x"}'),
        ("POST", "/inbound", b'{"from": "+15558675310", "to": "+15557122661", "media": "x"}'),
        ("PUT", "/outcomes", b"\xff"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_breaks_nothing(
    caller: Caller, method: str, path: str, body: bytes | None
) -> None:
    answer = await caller.request(method, "/__twin__" + path, auth=False, data=body)
    assert answer.status in (400, 422)
    assert answer.json["error"]
    assert (await caller.request("GET", "/__twin__", auth=False)).status == 200


async def test_it_tells_health_and_metrics_like_every_process(caller: Caller) -> None:
    await caller.create()
    for kind in ("live", "ready"):
        answer = await caller.request("GET", f"/health/{kind}", auth=False)
        assert (answer.status, answer.json["ok"]) == (200, True)
    lines = (await caller.request("GET", "/metrics", auth=False)).body.decode().splitlines()
    assert "twin_accepted 1" in lines
    assert any(line.startswith(f'twin_queued{{sender="{LONG}"}} ') for line in lines)
    for line in lines:
        name, _, value = line.rpartition(" ")
        assert name
        float(value)
