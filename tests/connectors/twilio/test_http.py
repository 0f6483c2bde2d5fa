from __future__ import annotations

import pytest

from connectors.twilio.http import AnswerLost, HttpSettings, TwilioSession, router
from tests.connectors.twilio.orders import ACCOUNT_SID, account
from tests.connectors.twilio.raw_server import RawServer, answering, hang, response

MESSAGES = "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json"
SERVICES = "https://messaging.twilio.com/v1/Services?PageSize=5&Name=%C3%A4%2B"


@pytest.mark.parametrize(
    ("base_url", "asked", "sent"),
    [
        ("https://api.twilio.com", MESSAGES, MESSAGES),
        ("https://api.twilio.com", SERVICES, SERVICES),
        ("https://api.twilio.com", MESSAGES.replace("api.", "api.sydney.au1."), MESSAGES),
        ("https://api.dublin.ie1.twilio.com", MESSAGES, MESSAGES.replace("api.", "api.dublin.ie1.")),
        ("https://api.dublin.ie1.twilio.com/", SERVICES, SERVICES.replace("messaging.", "messaging.dublin.ie1.")),
        ("http://127.0.0.1:9100", MESSAGES, "http://127.0.0.1:9100/2010-04-01/Accounts/AC1/Messages.json"),
        ("http://twin:9100/", SERVICES, "http://twin:9100/v1/Services?PageSize=5&Name=%C3%A4%2B"),
        ("https://proxy.corp/twilio", MESSAGES, "https://proxy.corp/twilio/2010-04-01/Accounts/AC1/Messages.json"),
    ],
)
def test_every_request_goes_to_the_accounts_place(base_url: str, asked: str, sent: str) -> None:
    assert str(router(base_url)(asked)) == sent


async def test_the_sdks_own_resources_work_over_it() -> None:
    body = b'{"sid": "SM1", "status": "queued", "date_created": "Mon, 23 Nov 2026 12:00:00 +0000"}'
    async with TwilioSession() as session, RawServer(answering(response(201, body))) as server:
        client = session.client(account(server.url))
        message = await client.messages.create_async(to="+14155550123", from_="+14155550100", body="hi")

        assert message.sid == "SM1"
        assert server.requests[0].target == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"


async def test_a_timeout_of_its_own_holds_for_one_request() -> None:
    async with TwilioSession() as session, RawServer(hang) as server:
        client = session.client(account(server.url))

        with pytest.raises(AnswerLost, match="Timeout"):
            await client.request_async("POST", MESSAGES, data={"To": "+1"}, timeout=0.2)


async def test_two_accounts_share_the_session_but_not_their_credentials() -> None:
    async with TwilioSession() as session, RawServer(answering(response(200, b"{}"))) as server:
        one = account(server.url)
        other = type(one)("other", "AC" + "9" * 32, "AC" + "9" * 32, "token", server.url, ("t",))
        await session.client(one).request_async("GET", MESSAGES)
        await session.client(other).request_async("GET", MESSAGES)

        assert server.connections == 1
        assert len({seen.headers["authorization"] for seen in server.requests}) == 2


def test_connecting_must_take_less_than_the_whole() -> None:
    """Otherwise a connection that never came would be told as a lost answer."""
    with pytest.raises(ValueError, match="shorter"):
        HttpSettings(total_timeout_s=4.0, connect_timeout_s=4.0)
