from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.twin.rig import (
    ACCOUNT,
    ALPHA,
    CONTENT,
    EMPTY_SERVICE,
    FOREIGN,
    LONG,
    NO_MMS,
    OTHER_SERVICE,
    PERSON,
    SERVICE,
    SHORT,
    START,
    WHATSAPP,
    Caller,
    settings,
)
from twin.server import Twin
from twin.settings import AccountSettings, TwinSettings

ACCEPTED = {
    "a plain text": {},
    "a number with punctuation": {"To": "(555) 867-5310"},
    "an unknown parameter is ignored": {"Colour": "green"},
    "1600 characters": {"Body": "a" * 1600},
    "800 emoji": {"Body": "👍" * 800},
    "media without a body": {"Body": "-", "MediaUrl": "https://a.example/cat.jpg"},
    "ten media": {"MediaUrl": ["https://a.example/cat.jpg"] * 10},
    "a callback with fragment and port": {"StatusCallback": "https://a.example:8443/cb?m=1#rc=5&rp=all"},
    "the longest validity": {"ValidityPeriod": "36000"},
    "a template": {"Body": "-", "ContentSid": CONTENT, "ContentVariables": '{"1":"Ann","2":"123"}'},
    "a short code at home": {"From": SHORT},
    "an alphanumeric id to Germany": {"From": ALPHA, "To": "+4915112345678"},
    "whatsapp": {"From": WHATSAPP, "To": "whatsapp:" + PERSON},
    "a service": {"MessagingServiceSid": SERVICE},
    "a service with one of its senders": {"MessagingServiceSid": SERVICE, "From": LONG},
    "SendAt without ScheduleType": {"SendAt": "2000-01-01T00:00:00Z"},
}

REFUSED: dict[str, tuple[dict[str, str | list[str]], int]] = {
    "no To": ({"To": "-"}, 21604),
    "an empty To": ({"To": ""}, 21604),
    "To is no number": ({"To": "123"}, 21211),
    "To is a name": ({"To": "ACME"}, 21211),
    "To is a short code": ({"To": "55103"}, 21265),
    "To and From are bad: it is about To": ({"To": "123", "From": "!"}, 21211),
    "neither From nor service": ({"From": "-"}, 21603),
    "From is nothing we know": ({"From": "!"}, 21212),
    "From is nobody's number": ({"From": "+15550001111"}, 21659),
    "From is nobody's name": ({"From": "Nobody"}, 21606),
    "From is another account's": ({"From": FOREIGN}, 21660),
    "From equals To": ({"To": LONG}, 21266),
    "From is WhatsApp, To is not": ({"From": WHATSAPP}, 21910),
    "To is WhatsApp, From is not": ({"To": "whatsapp:" + PERSON}, 21910),
    "an unknown WhatsApp sender": ({"From": "whatsapp:+15550001111", "To": "whatsapp:" + PERSON}, 63007),
    "an alphanumeric id to the US": ({"From": ALPHA}, 21612),
    "a short code abroad": ({"From": SHORT, "To": "+4915112345678"}, 21659),
    "a service sid that is none": ({"MessagingServiceSid": "MGnone"}, 21705),
    "an unknown service": ({"MessagingServiceSid": "MG" + "9" * 32}, 21701),
    "another account's service": ({"MessagingServiceSid": OTHER_SERVICE}, 21701),
    "a service without senders": ({"MessagingServiceSid": EMPTY_SERVICE}, 21704),
    "no content": ({"Body": "-"}, 21619),
    "an empty body": ({"Body": ""}, 21602),
    "1601 characters": ({"Body": "a" * 1601}, 21617),
    "801 emoji": ({"Body": "👍" * 801}, 21617),
    "media that is no URL": ({"MediaUrl": "cat.jpg"}, 21620),
    "eleven media": ({"MediaUrl": ["https://a.example/cat.jpg"] * 11}, 21623),
    "media from a sender without MMS": ({"From": NO_MMS, "MediaUrl": "https://a.example/cat.jpg"}, 21621),
    "variables without a template": ({"Body": "-", "ContentVariables": "{}"}, 21654),
    "variables with a body": ({"ContentSid": CONTENT, "ContentVariables": "{}"}, 35127),
    "an unknown template": ({"Body": "-", "ContentSid": "HX" + "9" * 32}, 21655),
    "a template sid that is none": ({"Body": "-", "ContentSid": "HX1"}, 21655),
    "variables that are no JSON": ({"Body": "-", "ContentSid": CONTENT, "ContentVariables": "{"}, 21656),
    "variables that are no object": ({"Body": "-", "ContentSid": CONTENT, "ContentVariables": "[1]"}, 21656),
    "a callback host with an underscore": ({"StatusCallback": "https://my_bridge.example/cb"}, 21609),
    "a callback that is no URL": ({"StatusCallback": "bridge.example/cb"}, 21609),
    "a callback with a port that is none": ({"StatusCallback": "http://a.example:x/cb"}, 21609),
    "a callback of 4001 characters": ({"StatusCallback": "https://a.example/".ljust(4001, "x")}, 21609),
    "an unknown application": ({"ApplicationSid": "AP" + "1" * 32}, 21420),
    "no validity": ({"ValidityPeriod": "0"}, 21624),
    "too long a validity": ({"ValidityPeriod": "36001"}, 21624),
    "a validity in words": ({"ValidityPeriod": "long"}, 21624),
    "an unknown content retention": ({"ContentRetention": "burn"}, 30029),
    "an unknown address retention": ({"AddressRetention": "burn"}, 30030),
    "a price that is no number": ({"MaxPrice": "cheap"}, 21627),
    "short links without a service": ({"ShortenUrls": "true"}, 30124),
    "a schedule without a service": ({"ScheduleType": "fixed", "SendAt": "2026-11-23T13:00:00Z"}, 35118),
    "a schedule without a time": ({"MessagingServiceSid": SERVICE, "ScheduleType": "fixed"}, 35111),
    "another kind of schedule": ({"MessagingServiceSid": SERVICE, "ScheduleType": "optimized"}, 35126),
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_accepts(name: str, caller: Caller) -> None:
    answer = await caller.create(**ACCEPTED[name])  # type: ignore[arg-type]  # a table of differing rows
    assert (answer.status, answer.json.get("code")) == (201, None)


@pytest.mark.parametrize("name", REFUSED)
async def test_refuses(name: str, caller: Caller, twin: Twin) -> None:
    fields, code = REFUSED[name]
    answer = await caller.create(**fields)  # type: ignore[arg-type]  # a table of differing rows
    assert (answer.status, answer.json["code"]) == (400, code)
    assert "{" not in answer.json["message"]
    assert not twin.books.messages


@pytest.mark.parametrize(
    ("ahead", "code"),
    [
        (timedelta(seconds=899), 35115),
        (timedelta(seconds=900), None),
        (timedelta(days=35), None),
        (timedelta(days=35, seconds=1), 35117),
    ],
)
async def test_a_schedule_lies_between_15_minutes_and_35_days_ahead(
    ahead: timedelta, code: int | None, caller: Caller
) -> None:
    at = (datetime.fromtimestamp(START, UTC) + ahead).isoformat().replace("+00:00", "Z")
    answer = await caller.create(MessagingServiceSid=SERVICE, ScheduleType="fixed", SendAt=at)
    assert answer.json.get("code") == code


async def test_an_account_holds_only_so_many_scheduled_messages() -> None:
    accounts = [account.model_copy(update={"scheduled_limit": 1}) for account in settings().accounts]
    async with Twin(settings(accounts=tuple(accounts))) as twin:
        when = {"MessagingServiceSid": SERVICE, "ScheduleType": "fixed", "SendAt": "2026-11-24T12:00:00Z"}
        caller = Caller(twin)
        answers = [await caller.create(**when), await caller.create(**when)]
    assert [answer.json.get("code") for answer in answers] == [None, 35125]


async def test_a_json_body_is_not_read(caller: Caller) -> None:
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    answer = await caller.request("POST", path, json={"To": PERSON, "From": LONG, "Body": "Hi"})
    assert (answer.status, answer.json["code"]) == (400, 21604)


def _with_account(**changes: object) -> TwinSettings:
    first, *rest = settings().accounts
    changed = AccountSettings.model_validate(first.model_dump() | changes)
    return settings(accounts=(changed, *rest))


async def test_geo_permissions_refuse_with_a_masked_number() -> None:
    async with Twin(_with_account(allowed_prefixes=("+1",))) as twin:
        answer = await Caller(twin).create(To="+4915112345678")
    assert answer.json["code"] == 21408
    assert answer.json["message"].endswith("'To' number: +491511234XXXX")


async def test_a_trial_account_reaches_verified_numbers_only_and_says_so_in_the_body() -> None:
    async with Twin(_with_account(trial=True, verified=(PERSON,))) as twin:
        refused = await Caller(twin).create(To="+15558675311")
        taken = await Caller(twin).create()
    assert refused.json["code"] == 21608
    assert refused.json["message"].startswith("The number +1555867XXXX is unverified.")
    assert taken.json["body"] == "Sent from your Twilio trial account - Hi"


async def test_a_template_is_filled_in(caller: Caller) -> None:
    answer = await caller.create(Body="-", ContentSid=CONTENT, ContentVariables='{"1":"Ann","2":"42"}')
    assert answer.json["body"] == "Hi Ann, your code is 42."


async def test_smart_encoding_changes_the_body_that_is_kept(caller: Caller) -> None:
    plain = await caller.create(Body="a" * 159 + "’")
    smart = await caller.create(Body="a" * 159 + "’", SmartEncoded="true")
    assert (plain.json["num_segments"], smart.json["num_segments"]) == ("3", "1")
    assert smart.json["body"].endswith("a'")
