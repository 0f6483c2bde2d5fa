from __future__ import annotations

import pytest

from tests.twin.rig import ACCOUNT, TOKEN, Caller
from twin.server import Twin

# Bytes of answers of the real API, as captured.
BODIES = {
    21211: (
        {"To": "123"},
        (
            b'{"code": 21211, "message": "The \'To\' number 123 is not a valid phone number.", '
            b'"more_info": "https://www.twilio.com/docs/errors/21211", "status": 400}'
        ),
    ),
    21602: (
        {"Body": ""},
        (
            b'{"code": 21602, "message": "Message body is required.", '
            b'"more_info": "https://www.twilio.com/docs/errors/21602", "status": 400}'
        ),
    ),
    21603: (
        {"From": "-"},
        (
            b'{"code": 21603, "message": "A \'From\' phone number is required.", '
            b'"more_info": "https://www.twilio.com/docs/errors/21603", "status": 400}'
        ),
    ),
    21604: (
        {"To": "-"},
        (
            b'{"code": 21604, "message": "A \'To\' phone number is required.", '
            b'"more_info": "https://www.twilio.com/docs/errors/21604", "status": 400}'
        ),
    ),
    21619: (
        {"Body": "-"},
        (
            b'{"code": 21619, "message": "A text message body or media urls must be specified.", '
            b'"more_info": "https://www.twilio.com/docs/errors/21619", "status": 400}'
        ),
    ),
}


@pytest.mark.parametrize("code", BODIES)
async def test_a_refusal_is_byte_for_byte_twilios(code: int, caller: Caller) -> None:
    fields, body = BODIES[code]
    answer = await caller.create(**fields)
    assert (answer.status, answer.body) == (400, body)
    assert answer.headers["Content-Type"] == "application/json"


async def test_wrong_credentials_get_401_with_a_detail(twin: Twin) -> None:
    answer = await Caller(twin, ACCOUNT, "wrong").create()
    assert answer.status == 401
    assert answer.body == (
        b'{"code": 20003, "detail": "Your AccountSid or AuthToken was incorrect.", "message": "Authenticate", '
        b'"more_info": "https://www.twilio.com/docs/errors/20003", "status": 401}'
    )
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Twilio API"'


async def test_a_path_without_an_account_sid_is_404_not_401(twin: Twin) -> None:
    answer = await Caller(twin, "invalid_sid", TOKEN).create(account="invalid_sid")
    assert answer.status == 404
    assert answer.body == (
        b'{"code": 20404, "message": "The requested resource /2010-04-01/Accounts/invalid_sid/Messages.json was not '
        b'found", "more_info": "https://www.twilio.com/docs/errors/20404", "status": 404}'
    )


async def test_a_method_that_is_not_there_is_405(caller: Caller) -> None:
    answer = await caller.request("PUT", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    assert (answer.status, answer.json["code"]) == (405, 20004)


async def test_a_path_that_is_not_there_is_404(caller: Caller) -> None:
    answer = await caller.get("/Nonsense.json")
    assert (answer.status, answer.json["code"]) == (404, 20404)


async def test_refusals_are_in_the_books_with_their_form(twin: Twin, caller: Caller) -> None:
    await caller.create(To="123", StatusCallback="https://a.example/cb?m=abc#rc=1")
    (row,) = twin.books.refusal_rows({"code": "21211", "m": "abc"})
    assert (row["status"], row["form"]) == (
        400,
        {"To": "123", "Body": "Hi", "From": "+15557122661", "StatusCallback": "https://a.example/cb?m=abc#rc=1"},
    )
