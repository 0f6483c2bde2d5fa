from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from connectors.health import Health
from connectors.twilio.account import Account
from connectors.webhooks.bridge import NO_REPLY
from connectors.webhooks.settings import BridgeSettings
from schemas.errors import NotPrepared
from schemas.records import Callback, Consent, ConsentScope, Inbound, KeywordIntent, Record
from schemas.topics import CONSENT, LIFECYCLE
from schemas.topics import INBOUND as INBOUND_TOPIC
from tests.connectors.webhooks.calls import (
    ACCOUNT_SID,
    ACCOUNTS,
    CODEC,
    INBOUND,
    OTHER_SID,
    PUBLIC_URL,
    SERVICE_SID,
    SID,
    STATUS,
    TOKEN,
    HeldPublisher,
    bridge,
    inbound_form,
    status_form,
)
from tests.support.waiting import until

VECTORS = json.loads(
    (Path(__file__).parents[1] / "twilio" / "data" / "signature-vectors.json").read_text(encoding="utf-8")
)


@pytest.fixture(autouse=True)
def _plain_logs() -> Any:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


async def test_a_status_callback_is_a_record_under_its_message_id_before_the_answer() -> None:
    async with bridge() as it:
        headers = {"I-Twilio-Idempotency-Token": "7d6f"}
        status = await it.call(STATUS, status_form(ErrorMessage="x", FromCity=""), headers=headers)

        assert status == 204
        [(topic, callback, key)] = it.publisher.published
        assert (topic, key) == (LIFECYCLE, "3f0c7b1e-1111-5222-8333-444455556666")
        assert isinstance(callback, Callback)
        assert (callback.status, callback.round, callback.attempt) == ("delivered", 2, 3)
        assert callback.idempotency_token == "7d6f"
        assert callback.params["FromCity"] == ""


async def test_an_inbound_message_is_a_record_under_the_person_and_answered_with_nothing_to_say() -> None:
    async with bridge() as it:
        status, headers, body = await it.answer(INBOUND, inbound_form())

        assert (status, body) == (200, NO_REPLY)
        assert headers["Content-Type"].startswith("text/xml")
        [(topic, message, key)] = it.publisher.published
        assert (topic, key) == (INBOUND_TOPIC, "+14155550123")
        assert isinstance(message, Inbound)
        assert (message.account, message.body) == ("main", "Thanks, see you")


async def test_a_stop_is_acknowledged_in_the_consent_topic_before_message_and_answer() -> None:
    publisher = HeldPublisher(hold=True)
    async with bridge(publisher, answer_within_s=60.0) as it:
        call = asyncio.create_task(it.call(INBOUND, inbound_form(Body="Stop")))
        await until(lambda: publisher.events)
        assert publisher.events == [f"published {CONSENT}"]

        publisher.acknowledge()
        await until(lambda: len(publisher.events) == 3)
        assert publisher.events[1:] == [f"acknowledged {CONSENT}", f"published {INBOUND_TOPIC}"]
        assert not call.done()

        publisher.acknowledge()
        assert await call == 200
        [consent], [message] = publisher.records(CONSENT), publisher.records(INBOUND_TOPIC)
        assert isinstance(consent, Consent)
        assert isinstance(message, Inbound)
        assert (consent.recipient, consent.evidence) == ("+14155550123", SID)
        assert message.keyword_intent is KeywordIntent.STOP


async def test_a_stop_by_a_messaging_service_is_acknowledged_for_service_and_number_before_the_answer() -> None:
    publisher = HeldPublisher(hold=True)
    async with bridge(publisher, answer_within_s=60.0) as it:
        form = inbound_form(Body="Stop", MessagingServiceSid=SERVICE_SID)
        call = asyncio.create_task(it.call(INBOUND, form))
        await until(lambda: len(publisher.events) == 1)
        publisher.acknowledge()
        await until(lambda: len(publisher.events) == 3)
        publisher.acknowledge()
        await until(lambda: len(publisher.events) == 5)
        assert publisher.events[:4] == [f"published {CONSENT}", f"acknowledged {CONSENT}"] * 2
        assert not call.done()

        publisher.acknowledge()
        assert await call == 200
        consents = publisher.published[:2]
        assert {key for _, _, key in consents} == {"+14155550123"}
        assert [each.scope for _, each, _ in consents if isinstance(each, Consent)] == [
            ConsentScope.MESSAGING_SERVICE,
            ConsentScope.SENDER,
        ]


async def test_nothing_is_answered_before_kafka_acknowledges() -> None:
    publisher = HeldPublisher(hold=True)
    async with bridge(publisher, answer_within_s=60.0) as it:
        call = asyncio.create_task(it.call(STATUS, status_form()))
        await until(lambda: publisher.waiting)
        assert not call.done()

        publisher.acknowledge()
        assert await call == 204


@pytest.mark.parametrize(
    ("target", "form", "topics"),
    [(STATUS, status_form(), [LIFECYCLE]), (INBOUND, inbound_form(Body="STOP"), [CONSENT])],
    ids=["status", "a STOP"],
)
async def test_without_an_acknowledgement_in_time_the_answer_is_503_with_retry_after(
    target: str, form: list[tuple[str, str]], topics: list[str]
) -> None:
    publisher = HeldPublisher(hold=True)
    async with bridge(publisher, answer_within_s=0.2, retry_after_s=7) as it:
        status, headers, _ = await it.answer(target, form)

        assert (status, headers["Retry-After"]) == (503, "7")
        assert [topic for topic, _, _ in publisher.published] == topics


async def test_a_record_that_kafka_refuses_is_503() -> None:
    publisher = HeldPublisher()
    publisher.refuse = True
    async with bridge(publisher) as it:
        assert await it.call(STATUS, status_form()) == 503


async def test_a_codec_that_is_not_ready_is_503() -> None:
    class Unprepared:
        def encode(self, record: Record) -> bytes:
            raise NotPrepared("call prepare() first")

        def decode(self, data: bytes) -> Record:
            return CODEC.decode(data)

    async with bridge(codec=Unprepared()) as it:
        assert await it.call(STATUS, status_form()) == 503
        assert it.publisher.published == []


async def test_more_than_the_bound_is_refused_until_kafka_acknowledges_also_what_was_answered_already() -> None:
    publisher = HeldPublisher(hold=True)
    async with bridge(publisher, max_in_flight=3, answer_within_s=0.1) as it:
        assert [await it.call(STATUS, status_form()) for _ in range(3)] == [503] * 3
        assert len(publisher.published) == 3

        status, headers, _ = await it.answer(STATUS, status_form())
        assert (status, headers["Retry-After"]) == (503, "1")
        assert len(publisher.published) == 3, "an outage must not fill the memory"
        assert not it.board.ready()[0]

        publisher.hold = False
        publisher.acknowledge()
        assert await it.call(STATUS, status_form()) == 204
        assert it.board.ready()[0]


async def test_requests_at_the_same_time_are_bounded() -> None:
    publisher = HeldPublisher(hold=True)
    async with bridge(publisher, max_in_flight=5, answer_within_s=60.0) as it:
        calls = [asyncio.create_task(it.call(STATUS, status_form())) for _ in range(8)]
        await until(lambda: sum(call.done() for call in calls) == 3)
        publisher.acknowledge()

        assert sorted(await asyncio.gather(*calls)) == [204] * 5 + [503] * 3


async def test_health_tells_when_kafka_is_away_and_metrics_are_served() -> None:
    publisher = HeldPublisher()
    async with bridge(publisher) as it:
        await it.call(STATUS, status_form())
        async with it.client.get("/health/ready") as ready:
            assert ready.status == 200
        publisher.away = Health(False, "Kafka away since 12:00:00Z")
        async with it.client.get("/health/ready") as ready:
            assert ready.status == 503
            assert "Kafka away" in await ready.text()
        async with it.client.get("/health/live") as live:
            assert live.status == 200
        async with it.client.get("/metrics") as metrics:
            assert 'commlayer_bridge_webhooks_total{outcome="stored",webhook="status"}' in await metrics.text()


@pytest.mark.parametrize("token", [TOKEN, "secondary token"])
async def test_either_token_of_a_rotation_signs(token: str) -> None:
    async with bridge() as it:
        assert await it.call(STATUS, status_form(), token=token) == 204


async def test_each_account_signs_with_its_own_token_only() -> None:
    async with bridge() as it:
        assert await it.call(STATUS, status_form(AccountSid=OTHER_SID), token="token of sub") == 204
        assert await it.call(STATUS, status_form(AccountSid=OTHER_SID), token=TOKEN) == 403
        assert await it.call(STATUS, status_form(AccountSid="AC" + "5" * 32)) == 403
        assert await it.call(STATUS, status_form(AccountSid=None)) == 403


async def test_two_accounts_in_one_request_are_none_whoever_signed_it() -> None:
    both = [*status_form(), ("AccountSid", OTHER_SID)]
    async with bridge() as it:
        assert await it.call(STATUS, both, token=TOKEN) == 403
        assert await it.call(STATUS, both, token="token of sub") == 403


async def test_a_wrong_or_missing_signature_or_another_url_is_refused_and_nothing_is_stored() -> None:
    async with bridge() as it:
        assert await it.call(STATUS, status_form(), token="guess") == 403
        assert await it.call(STATUS, status_form(), signature="") == 403
        assert await it.call(STATUS, status_form(), signature="¡hola!") == 403
        form = status_form()
        async with it.client.post(STATUS, data=dict(form)) as unsigned:
            assert unsigned.status == 403
        assert it.publisher.published == []


async def test_the_host_that_the_request_names_does_not_matter() -> None:
    async with bridge() as it:
        headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}

        assert await it.call(STATUS, status_form(), headers=headers) == 204


@pytest.mark.parametrize(
    "vector", [vector for vector in VECTORS if "bridge.example.com" in vector["url"]], ids=lambda vector: vector["name"]
)
async def test_the_published_vectors_of_our_url_are_believed(vector: dict[str, Any]) -> None:
    form = [(name, value) for name, value in vector["params"]]
    account_sid = dict(form).get("AccountSid", ACCOUNT_SID)
    account = Account("main", account_sid, account_sid, "x", signing_tokens=(vector["token"],))
    async with bridge(accounts=(account,)) as it:
        target = vector["url"].removeprefix(PUBLIC_URL)
        status = await it.call(target, form, signature=vector["signature"])

        # One without AccountSid is refused: nobody knows whose token to use.
        assert status == (403 if "AccountSid" not in dict(form) else 204)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded; charset=utf-7"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 204),
        ({"Content-Type": "Application/X-WWW-Form-Urlencoded; Charset=UTF-8"}, 204),
    ],
)
async def test_only_a_plain_utf_8_form_is_read(headers: dict[str, str], status: int) -> None:
    async with bridge() as it:
        assert await it.call(STATUS, status_form(), headers=headers) == status


async def test_a_body_above_the_limit_is_refused_with_and_without_its_length_told() -> None:
    async def chunks() -> Any:
        for _ in range(70):
            yield b"a=" + b"x" * 1022 + b"&"

    async with bridge() as it:
        assert await it.call(STATUS, status_form(Body="x" * 65_536)) == 413
        form_type = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": "x"}
        async with it.client.post(STATUS, data=chunks(), headers=form_type) as chunked:
            assert chunked.status == 413


async def test_a_body_up_to_the_limit_is_taken() -> None:
    async with bridge() as it:
        form = status_form()
        room = 65_536 - sum(len(name) + len(value) + 2 for name, value in form) - 40

        assert await it.call(STATUS, status_form(Long="x" * room)) == 204


@pytest.mark.parametrize(
    ("target", "form"),
    [
        (STATUS, status_form(MessageSid="SM1", SmsSid=None)),
        (STATUS, status_form(MessageStatus=None, SmsStatus=None)),
        (INBOUND, inbound_form(From="")),
        (INBOUND, status_form(To=None)),
    ],
)
async def test_a_signed_webhook_that_is_none_is_400(target: str, form: list[tuple[str, str]]) -> None:
    async with bridge() as it:
        assert await it.call(target, form) == 400
        assert it.publisher.published == []


async def test_other_methods_and_paths_are_refused() -> None:
    async with bridge() as it:
        for method, path, status in (
            ("GET", STATUS, 405),
            ("PUT", INBOUND, 405),
            ("POST", "/", 404),
            ("POST", "/twilio/status/", 404),
        ):
            async with it.client.request(method, path) as response:
                assert response.status == status


async def test_a_repeat_is_stored_again_with_the_same_token() -> None:
    """Twilio repeats when our answer was lost; whoever folds the records recognises it."""
    async with bridge() as it:
        headers = {"I-Twilio-Idempotency-Token": "same"}
        assert [await it.call(STATUS, status_form(), headers=headers) for _ in range(2)] == [204, 204]
        tokens = [
            record.idempotency_token for record in it.publisher.records(LIFECYCLE) if isinstance(record, Callback)
        ]
        assert tokens == ["same", "same"]


@pytest.mark.parametrize("token", ["", "two words", "x" * 101, "\udcff", "é"])
async def test_an_idempotency_token_that_is_none_is_left_out(token: str) -> None:
    """The signature does not cover it: whoever sits between Twilio and us could have changed it."""
    async with bridge() as it:
        assert await it.call(STATUS, status_form(), headers={"I-Twilio-Idempotency-Token": token}) == 204
        [callback] = it.publisher.records(LIFECYCLE)
        assert isinstance(callback, Callback)
        assert callback.idempotency_token is None


async def test_refusals_are_logged_once_when_they_begin_and_once_when_they_end_without_what_was_sent() -> None:
    with capture_logs() as lines:
        async with bridge() as it:
            for _ in range(5):
                assert await it.call(STATUS, status_form(ErrorMessage="secret text"), token="guess") == 403

    refusals = [line for line in lines if "refused" in line["event"]]
    assert [line["event"] for line in refusals] == ["webhooks refused", "webhooks refused: over"]
    assert refusals[1]["count"] == 5
    assert not any(word in str(lines) for word in ("secret text", "4155550123", "guess"))


async def test_bodies_numbers_and_error_texts_are_never_logged() -> None:
    publisher = HeldPublisher(hold=True)
    with capture_logs() as lines:
        async with bridge(publisher, answer_within_s=0.05) as it:
            await it.call(INBOUND, inbound_form(Body="my private words"))
            await it.call(STATUS, status_form(ErrorMessage="about +14155550123"))
            await it.call(INBOUND, inbound_form(From="", Body="my private words"))

    assert lines
    assert not any(word in str(lines) for word in ("private", "4155550123", "about"))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"public_url": "bridge.example.com"}, "public_url"),
        ({"public_url": "https://bridge.example.com/?x=1"}, "public_url"),
        ({"accounts": ()}, "at least one account"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], why: str) -> None:
    settings: dict[str, Any] = {"public_url": PUBLIC_URL, "accounts": ACCOUNTS}

    with pytest.raises(ValueError, match=why):
        BridgeSettings(**(settings | changes))


async def test_an_account_without_signing_token_stops_the_start() -> None:
    with pytest.raises(ValueError, match="signing token"):
        async with bridge(accounts=(Account("main", ACCOUNT_SID, "SK1", "secret"),)):
            pass


def test_a_path_prefix_belongs_to_the_signed_url() -> None:
    settings = BridgeSettings(public_url="https://corp.example/comm/", accounts=ACCOUNTS)

    assert settings.signed_url("/twilio/status?m=1") == "https://corp.example/comm/twilio/status?m=1"
