from __future__ import annotations

import pytest

from tests.twin.rig import LONG, TEST, TEST_TOKEN, Caller, Hook
from twin.server import Twin

OK = "+15005550006"


@pytest.fixture
def caller(twin: Twin) -> Caller:
    return Caller(twin, TEST, TEST_TOKEN)


@pytest.mark.parametrize(
    ("sender", "to", "status", "code"),
    [
        ("+15005550001", "+15558675310", 400, 21212),
        ("+15005550007", "+15558675310", 400, 21606),
        ("+15005550008", "+15558675310", 429, 21611),
        ("+15005550000", "+15558675310", 400, 21606),
        ("+123", "+15558675310", 400, 21606),
        (LONG, "+15558675310", 400, 21606),
        (OK, "+15558675310", 201, None),
        (OK, "+15005550001", 400, 21211),
        (OK, "+15005550002", 400, 21612),
        (OK, "+15005550003", 400, 21408),
        (OK, "+15005550004", 400, 21610),
        (OK, "+15005550009", 400, 21614),
        (OK, "123", 400, 21211),
        ("+15005550001", "+15005550001", 400, 21211),
    ],
)
async def test_magic_numbers(sender: str, to: str, status: int, code: int | None, caller: Caller) -> None:
    answer = await caller.create(account=TEST, From=sender, To=to)
    assert (answer.status, answer.json.get("code")) == (status, code)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"From": "+15005550008"}, "SMS queue is full."),
        (
            {"From": "+15005550001"},
            "The 'From' number +15005550001 is not a valid phone number, shortcode, or alphanumeric sender ID.",
        ),
        (
            {"From": "+15005550007"},
            (
                "The From phone number +15005550007 is not a valid, SMS-capable inbound phone number or short code for "
                "your account."
            ),
        ),
        (
            {"To": "+15005550002"},
            (
                "The 'To' phone number: +15005550002, is not currently reachable using the 'From' phone number: "
                "+15005550006 via MMS."
            ),
        ),
        ({"To": "+15005550009"}, "To number: +15005550009, is not a mobile number"),
        ({"Body": ""}, "Message body is required."),
    ],
)
async def test_magic_texts(fields: dict[str, str], message: str, caller: Caller) -> None:
    answer = await caller.create(account=TEST, **({"From": OK} | fields))
    assert answer.json["message"] == message


async def test_test_credentials_keep_nothing_and_call_nobody(twin: Twin, caller: Caller, hook: Hook) -> None:
    answer = await caller.create(account=TEST, From=OK, StatusCallback=hook.url())
    assert (answer.status, answer.json["status"]) == (201, "queued")
    await twin.advance(60)
    assert (twin.books.messages, hook.calls) == ([], [])
    fetched = await caller.get(f"/Messages/{answer.json['sid']}.json", account=TEST)
    assert (fetched.status, fetched.json["code"]) == (403, 20008)
