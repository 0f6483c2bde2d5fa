"""Our client and our bridge against the twin, which was written apart from them: two readings of Twilio must agree."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import pytest

from connectors.health import HealthBoard
from connectors.twilio.account import Account
from connectors.twilio.answers import Accepted, Listing, Missing, Rejected, SentMessage
from connectors.twilio.errors import Scope
from connectors.twilio.http import TwilioSession
from connectors.twilio.messages import Messages
from connectors.twilio.segments import count
from connectors.webhooks.bridge import INBOUND_PATH, create_bridge
from connectors.webhooks.server import BridgeServer
from connectors.webhooks.settings import BridgeSettings
from schemas.records import Callback, Channel, Consent, ConsentScope, Inbound, KeywordIntent
from schemas.topics import CONSENT, INBOUND, LIFECYCLE
from tests.connectors.twilio.orders import order
from tests.connectors.webhooks.calls import CODEC, NOW_MS, HeldPublisher
from tests.support.waiting import until
from twin.server import Twin
from twin.settings import AccountSettings, SenderSettings, ServiceSettings, TwinSettings

ACCOUNT_SID, TOKEN = "AC" + "3" * 32, "token of the twin"
TEST_SID, TEST_TOKEN = "AC" + "4" * 32, "token of the test account"
SERVICE_SID = "MG" + "3" * 32
LONG_CODE, TOLL_FREE, WHATSAPP = "+15005551001", "+18005551002", "whatsapp:+15005551004"


class World(NamedTuple):
    twin: Twin
    messages: Messages
    account: Account
    publisher: HeldPublisher
    bridge_url: str

    def status_callback(self) -> str:
        return f"{self.bridge_url}/twilio/status?m=message-1&r=1&a=2#rc=5&rp=all"

    async def person_writes(self, body: str, to: str, sender: str = "+15558675310") -> None:
        order = {"from": sender, "to": to, "body": body}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.twin.url}/__twin__/inbound", json=order) as answer,
        ):
            assert answer.status == 200, await answer.text()


@asynccontextmanager
async def world(account_sid: str = ACCOUNT_SID, token: str = TOKEN) -> AsyncIterator[World]:
    publisher, board = HeldPublisher(), HealthBoard()
    account = Account("main", account_sid, account_sid, token, "http://127.0.0.1:1", (token,))
    # The public URL holds the port, so it must be known before the bridge listens: keep one for it meanwhile.
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    port = kept.getsockname()[1]
    settings = BridgeSettings(public_url=f"http://127.0.0.1:{port}", accounts=(account,), port=port)
    server = BridgeServer(create_bridge(settings, publisher, CODEC, board, lambda: NOW_MS), settings, board)
    await server.start()
    inbound_url = f"{settings.public_url}{INBOUND_PATH}"
    twin_settings = TwinSettings(
        accounts=(
            AccountSettings(sid=ACCOUNT_SID, auth_token=TOKEN),
            AccountSettings(sid=TEST_SID, auth_token=TEST_TOKEN, test=True),
        ),
        senders=(
            SenderSettings(address=LONG_CODE, type="long_code", inbound_url=inbound_url),
            SenderSettings(address=TOLL_FREE, type="toll_free"),
            SenderSettings(address=WHATSAPP, type="whatsapp", inbound_url=inbound_url),
        ),
        services=(
            ServiceSettings(
                sid=SERVICE_SID, senders=(TOLL_FREE,), inbound_url=inbound_url, use_inbound_webhook_on_number=False
            ),
        ),
    )
    try:
        async with Twin(twin_settings) as twin, TwilioSession() as session:
            reachable = Account("main", account_sid, account_sid, token, twin.url, (token,))
            messages = Messages(session, now_ms=lambda: NOW_MS)
            yield World(twin, messages, reachable, publisher, settings.public_url)
    finally:
        await server.stop()
        kept.close()


def callbacks(publisher: HeldPublisher) -> list[Callback]:
    return [record for record in publisher.records(LIFECYCLE) if isinstance(record, Callback)]


async def test_a_message_is_accepted_called_back_fetched_and_listed() -> None:
    body = "Grüße aus Zürich – 👍"
    async with world() as it:
        sent = order(sender=LONG_CODE, body=body, tags={"campaign": "spring"})
        answer = await it.messages.create(it.account, sent, status_callback=it.status_callback())
        assert isinstance(answer, Accepted), answer
        assert answer.num_segments == count(body).segments
        await until(lambda: any(callback.status == "delivered" for callback in callbacks(it.publisher)))

        told = {(each.message_id, each.round, each.attempt, each.sid) for each in callbacks(it.publisher)}
        assert told == {("message-1", 1, 2, answer.sid)}

        found = await it.messages.fetch(it.account, answer.sid)
        assert isinstance(found, SentMessage)
        assert (found.status, found.body, found.sender) == ("delivered", body, LONG_CODE)
        assert isinstance(await it.messages.fetch(it.account, "SM" + "0" * 32), Missing)

        assert answer.date_ms is not None
        listing = await it.messages.list_to(it.account, "+14155550123", answer.date_ms - 60_000)
        assert isinstance(listing, Listing)
        assert [message.sid for message in listing.messages] == [answer.sid]
        later = await it.messages.list_to(it.account, "+14155550123", answer.date_ms + 60_000)
        assert isinstance(later, Listing)
        assert later.messages == ()


async def test_a_stop_of_a_person_reaches_the_consent_topic_by_sender_and_by_service() -> None:
    async with world() as it:
        await it.person_writes("Stop", LONG_CODE)
        await it.person_writes("STOP", TOLL_FREE)
        await it.person_writes("Thanks!", LONG_CODE, sender="+15558675311")
        await until(lambda: len(it.publisher.records(INBOUND)) == 3)

        consents = [record for record in it.publisher.records(CONSENT) if isinstance(record, Consent)]
        assert {(each.recipient, each.scope, each.scope_value) for each in consents} == {
            ("+15558675310", ConsentScope.SENDER, LONG_CODE),
            ("+15558675310", ConsentScope.MESSAGING_SERVICE, SERVICE_SID),
            ("+15558675310", ConsentScope.SENDER, TOLL_FREE),
        }
        messages = [record for record in it.publisher.records(INBOUND) if isinstance(record, Inbound)]
        assert [each.keyword_intent for each in messages].count(KeywordIntent.STOP) == 2

        refused = await it.messages.create(
            it.account, order(recipient="+15558675310", sender=LONG_CODE), status_callback=None
        )
        assert isinstance(refused, Rejected)
        assert (refused.error.code, refused.error.error_class.opt_out) == (21610, True)


async def test_a_whatsapp_message_of_a_person_keeps_its_channel() -> None:
    async with world() as it:
        await it.person_writes("hello", WHATSAPP, sender="whatsapp:+15558675310")
        await until(lambda: it.publisher.records(INBOUND))

        [message] = it.publisher.records(INBOUND)
        assert isinstance(message, Inbound)
        assert (message.channel, message.recipient, message.sender) == (Channel.WHATSAPP, "+15558675310", WHATSAPP[9:])


@pytest.mark.parametrize(
    ("changes", "code", "scope"),
    [
        ({"sender": "+15005550001"}, 21212, Scope.SENDER),
        ({"sender": "+15005550007"}, 21606, Scope.SENDER),
        ({"sender": "+15005550008"}, 21611, Scope.THROTTLED),
        ({"recipient": "+15005550001"}, 21211, Scope.RECIPIENT),
        ({"recipient": "+15005550002"}, 21612, Scope.MESSAGE),
        ({"recipient": "+15005550003"}, 21408, Scope.MESSAGE),
        ({"recipient": "+15005550004"}, 21610, Scope.RECIPIENT),
        ({"recipient": "+15005550009"}, 21614, Scope.RECIPIENT),
    ],
)
async def test_twilios_magic_numbers_are_refused_with_their_codes(
    changes: dict[str, Any], code: int, scope: Scope
) -> None:
    async with world(TEST_SID, TEST_TOKEN) as it:
        magic = {"sender": "+15005550006"} | changes
        answer = await it.messages.create(it.account, order(**magic), status_callback=None)

        assert isinstance(answer, Rejected), answer
        assert (answer.error.code, answer.error.error_class.scope) == (code, scope)
        assert answer.request_id


async def test_wrong_credentials_concern_the_account() -> None:
    async with world(token="wrong") as it:
        answer = await it.messages.create(it.account, order(sender=LONG_CODE), status_callback=None)

        assert isinstance(answer, Rejected)
        assert (answer.error.code, answer.error.error_class.scope) == (20003, Scope.ACCOUNT)
