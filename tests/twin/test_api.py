from __future__ import annotations

import re

import pytest

from tests.twin.rig import (
    ACCOUNT,
    CHILD,
    CHILD_TOKEN,
    KEY,
    LONG,
    OTHER,
    PERSON,
    SECRET,
    SERVICE,
    TOKEN,
    Caller,
    settings,
)
from twin.server import Twin

SID = re.compile(r"SM[0-9a-f]{32}")


async def test_a_created_message_has_every_field_in_twilios_order(caller: Caller) -> None:
    answer = await caller.create(Body="Zürich, 1 €")
    sid = answer.json["sid"]
    assert SID.fullmatch(sid)
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}"
    assert answer.status == 201
    assert answer.body.decode() == (
        '{"body": "Z\\u00fcrich, 1 \\u20ac", "num_segments": "1", "direction": "outbound-api", '
        '"from": "+15557122661", "date_updated": "Mon, 23 Nov 2026 12:00:00 +0000", "price": null, '
        f'"error_message": null, "uri": "{path}.json", "account_sid": "{ACCOUNT}", "num_media": "0", '
        '"to": "+15558675310", "date_created": "Mon, 23 Nov 2026 12:00:00 +0000", "status": "queued", '
        f'"sid": "{sid}", "date_sent": null, "messaging_service_sid": null, "error_code": null, '
        '"price_unit": "USD", "api_version": "2010-04-01", '
        f'"subresource_uris": {{"media": "{path}/Media.json"}}}}'
    )


async def test_a_service_hides_sender_and_segments_until_it_has_chosen(twin: Twin, caller: Caller) -> None:
    created = (await caller.create(MessagingServiceSid=SERVICE, ProvideFeedback="true")).json
    assert (created["status"], created["from"], created["num_segments"]) == ("accepted", None, "0")
    assert created["messaging_service_sid"] == SERVICE
    assert created["subresource_uris"]["feedback"].endswith("/Feedback.json")
    await twin.advance(1)
    fetched = (await caller.get(f"/Messages/{created['sid']}.json")).json
    assert (fetched["from"], fetched["num_segments"]) == (LONG, "1")


async def test_media_make_an_mms(caller: Caller) -> None:
    created = (await caller.create(MediaUrl=["https://a.example/1.jpg", "https://a.example/2.png"])).json
    assert created["sid"].startswith("MM")
    assert (created["num_media"], created["num_segments"]) == ("2", "1")
    listed = (await caller.get(f"/Messages/{created['sid']}/Media.json")).json
    assert [media["content_type"] for media in listed["media_list"]] == ["image/jpeg", "image/png"]
    one = f"/Messages/{created['sid']}/Media/{listed['media_list'][0]['sid']}"
    assert (await caller.get(one + ".json")).json["parent_sid"] == created["sid"]
    redirect = await caller.request("GET", f"/2010-04-01/Accounts/{ACCOUNT}{one}", allow_redirects=False)
    assert (redirect.status, redirect.headers["Location"]) == (307, "https://a.example/1.jpg")
    assert (await caller.request("DELETE", f"/2010-04-01/Accounts/{ACCOUNT}{one}.json")).status == 204
    assert len((await caller.get(f"/Messages/{created['sid']}/Media.json")).json["media_list"]) == 1


async def test_headers_are_twilios(caller: Caller) -> None:
    for answer in (await caller.create(), await caller.create(To="123")):
        headers = answer.headers
        assert re.fullmatch(r"RQ[0-9a-f]{32}", headers["Twilio-Request-Id"])
        assert headers["Twilio-Concurrent-Requests"] == "1"
        assert re.fullmatch(r"\d+\.\d{3}", headers["Twilio-Request-Duration"])
        assert headers["X-Home-Region"] == "us1"
        assert headers["X-Api-Domain"] == "api.twilio.com"
        assert headers["X-Powered-By"] == "AT-5000"
        assert headers["X-Shenanigans"] == "none"
        assert headers["Strict-Transport-Security"] == "max-age=31536000"
        assert "Idempotency-Key" in headers["Access-Control-Allow-Headers"]
        assert headers["Access-Control-Expose-Headers"] == "ETag"
        assert headers["Date"] == "Mon, 23 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("user", "password", "account", "status"),
    [
        (ACCOUNT, TOKEN, ACCOUNT, 201),
        (ACCOUNT, "secondary", ACCOUNT, 201),
        (KEY, SECRET, ACCOUNT, 201),
        (KEY, "wrong", ACCOUNT, 401),
        (ACCOUNT, "", ACCOUNT, 401),
        (ACCOUNT, TOKEN, OTHER, 401),
        (CHILD, CHILD_TOKEN, ACCOUNT, 401),
        (ACCOUNT, TOKEN, "AC" + "9" * 32, 401),
    ],
)
async def test_who_may_send_for_whom(user: str, password: str, account: str, status: int, twin: Twin) -> None:
    assert (await Caller(twin, user, password).create(account=account)).status == status


async def test_a_parent_may_act_for_its_subaccount(twin: Twin) -> None:
    by_parent = await Caller(twin).get("/Messages.json", account=CHILD)
    by_child = await Caller(twin, CHILD, CHILD_TOKEN).get("/Messages.json", account=CHILD)
    assert (by_parent.status, by_child.status) == (200, 200)


async def test_a_request_without_credentials_is_refused(caller: Caller) -> None:
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert (await caller.request("GET", path, auth=False)).status == 401
    assert (await caller.request("GET", path, auth=False, headers={"Authorization": "Basic ///"})).status == 401


async def test_a_message_is_fetched_by_its_own_account_only(twin: Twin, caller: Caller) -> None:
    sid = (await caller.create()).json["sid"]
    assert (await caller.get(f"/Messages/{sid}.json")).json["sid"] == sid
    foreign = await Caller(twin, OTHER, "other-token").get(f"/Messages/{sid}.json", account=OTHER)
    assert (foreign.status, foreign.json["code"]) == (404, 20404)


async def test_the_body_can_be_redacted_and_the_books_keep_it(twin: Twin, caller: Caller) -> None:
    sid = (await caller.create(Body="secret")).json["sid"]
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json"
    answer = await caller.request("POST", path, data={"Body": ""})
    assert (answer.status, answer.json["body"]) == (200, "")
    (row,) = twin.books.message_rows({"sid": sid})
    assert (row["body"], row["submitted_body"]) == ("", "secret")


@pytest.mark.parametrize("form", [{"Body": "new"}, {"Body": "", "Status": "canceled"}, {"Status": "sent"}, {}])
async def test_any_other_update_is_refused(form: dict[str, str], caller: Caller) -> None:
    sid = (await caller.create()).json["sid"]
    answer = await caller.request("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json", data=form)
    assert (answer.status, answer.json["code"]) == (400, 30400)


async def test_a_message_can_be_deleted_once_it_is_final(twin: Twin, caller: Caller) -> None:
    sid = (await caller.create()).json["sid"]
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json"
    early = await caller.request("DELETE", path)
    assert (early.status, early.json["code"]) == (409, 20009)
    await twin.advance(1)
    late = await caller.request("DELETE", path)
    assert (late.status, late.body) == (204, b"")
    assert (await caller.request("GET", path)).status == 404
    assert (await caller.get("/Messages.json")).json["messages"] == []
    assert [row["deleted"] for row in twin.books.message_rows({"sid": sid})] == [True]


async def test_feedback_is_noted(twin: Twin, caller: Caller) -> None:
    sid = (await caller.create(ProvideFeedback="true")).json["sid"]
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}/Feedback.json"
    answer = await caller.request("POST", path, data={"Outcome": "confirmed"})
    assert (answer.status, answer.json["outcome"], answer.json["message_sid"]) == (200, "confirmed", sid)
    assert [row["feedback_outcome"] for row in twin.books.message_rows({})] == ["confirmed"]


async def test_the_price_is_known_later(twin: Twin, caller: Caller) -> None:
    sid = (await caller.create(Body="a" * 161)).json["sid"]
    await twin.advance(0)
    before = (await caller.get(f"/Messages/{sid}.json")).json
    await twin.advance(1)
    after = (await caller.get(f"/Messages/{sid}.json")).json
    assert (before["status"], before["price"]) == ("delivered", None)
    assert (after["price"], after["price_unit"]) == ("-0.01580", "USD")


async def test_requests_beyond_the_accounts_concurrency_get_20429() -> None:
    first, *rest = settings().accounts
    accounts = (first.model_copy(update={"concurrency": 0}), *rest)
    async with Twin(settings(accounts=accounts)) as twin:
        answer = await Caller(twin).create()
    assert answer.status == 429
    assert answer.body == (
        b'{"code": 20429, "message": "Too Many Requests", "more_info": "https://www.twilio.com/docs/errors/20429", '
        b'"status": 429}'
    )


async def test_the_account_itself_can_be_fetched(caller: Caller) -> None:
    answer = await caller.request("GET", f"/2010-04-01/Accounts/{ACCOUNT}.json")
    assert (answer.json["sid"], answer.json["status"]) == (ACCOUNT, "active")


async def test_to_is_given_back_normalised(caller: Caller) -> None:
    assert (await caller.create(To="555 867 5310")).json["to"] == PERSON
