"""What Twilio's errors say of people and senders, on a real broker: Twilio's own opt-outs reach our ledger, and a
refused sender stands on comms.control until it works."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.reasons import Reason
from schemas.records import (
    Consent,
    ConsentChange,
    ConsentScope,
    Control,
    ControlAction,
    Deferral,
    MessageStatus,
)
from schemas.topics import CONSENT, CONTROL, deferral_topic
from streams.dispatch.concurrency import DEFAULT_LIMIT
from streams.dispatch.lanes import Group, Lane, LaneTable
from tests.streams.cluster import COUNTS, own_cluster, records
from tests.support.kafka import Kafka, Outgoing
from tests.support.waiting import until
from twin.server import Twin
from twin.settings import SenderSettings

from .cluster import ADDRESSES, RATES, dispatch, fresh_group, lanes, outgoing, twin_settings, until_ended, wall_ms
from .simulation import order
from .test_stage import ids_of, to_send
from .test_stops import text


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


async def test_a_stop_that_only_twilio_knows_is_in_the_ledger_and_stops_the_next_message(
    cluster: Kafka, tmp_path: Path
) -> None:
    group, person = fresh_group(cluster), "+14155540001"
    first, second = text(person, "fast"), text(person, "fast")
    async with Twin(twin_settings()) as twin:
        await twin.inbound(person, ADDRESSES["fast"], "STOP")
        async with dispatch(cluster, tmp_path, group=group, twin_url=twin.url) as stage:
            await asyncio.to_thread(cluster.produce, [outgoing(first, lanes().partition_of("fast"))])
            told = await until_ended(cluster, [first.message_id])
            await until(lambda: stage.changes.held)
            await asyncio.to_thread(cluster.produce, [outgoing(second, lanes().partition_of("fast"))])
            told |= await until_ended(cluster, [second.message_id])
        refused = [refusal for refusal in twin.books.refusal_rows({}) if refusal["code"] == 21610]
    assert len(refused) == 1, "the second was not even asked"
    assert told[first.message_id][0].error_code == 21610
    assert (told[second.message_id][0].status, told[second.message_id][0].reason) == (
        MessageStatus.DENIED,
        Reason.OPTED_OUT,
    )
    [consent] = [each for each in records(cluster, CONSENT) if isinstance(each, Consent) and each.recipient == person]
    assert (consent.change, consent.scope) == (ConsentChange.OPT_OUT, ConsentScope.SENDER)
    assert (consent.scope_value, consent.error_code) == (ADDRESSES["fast"], 21610)
    assert (consent.evidence or "").startswith("RQ")


async def test_a_refused_sender_is_held_by_every_process_until_a_probe_succeeds(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    missing = twin_settings()
    without = missing.model_copy(update={"senders": tuple(each for each in missing.senders if each.rate != 2000.0)})

    def troubles() -> list[Control]:
        switches = (ControlAction.PAUSE, ControlAction.CLEAR)  # where groups are placed stands there, too
        found = (each for each in records(cluster, CONTROL) if isinstance(each, Control))
        return [each for each in found if each.action in switches]

    async with Twin(without) as twin:
        met = to_send(1, lane="fast", start=100)
        async with dispatch(cluster, tmp_path / "a", group=group, twin_url=twin.url) as stage:
            await asyncio.to_thread(cluster.produce, met)
            told = await until_ended(cluster, ids_of(met))
            [event] = told[ids_of(met)[0]]
            assert (event.status, event.reason) == (MessageStatus.DEFERRED, Reason.SENDER_REFUSED)
            assert stage.view.show()["lanes"][0]["held"]["code"] == 21659
        [begun] = troubles()
        assert (begun.subject, begun.action, begun.error_code) == ("fast", ControlAction.PAUSE, 21659)
        assert begun.fix
        [wheel] = [
            each
            for each in records(cluster, deferral_topic("1s"))
            if isinstance(each, Deferral) and each.message_id == ids_of(met)[0]
        ]
        assert (wheel.round, wheel.request is not None) == (1, True)
        twin.exchange.directory.put_sender(SenderSettings(address=ADDRESSES["fast"], rate=RATES["fast"]))
        async with dispatch(cluster, tmp_path / "b", group=group, twin_url=twin.url) as stage:
            await until(lambda: stage._served)
            held = stage.view.show()["lanes"][0]["held"]
            assert (held["code"], held["fix"]) == (21659, begun.fix)
            assert not stage.scheduler.lanes["fast"].breaker.closed
            later = to_send(20, lane="fast", start=200)
            await asyncio.to_thread(cluster.produce, later)
            ends = await until_ended(cluster, ids_of(later))
            assert {event.status for told in ends.values() for event in told} == {MessageStatus.ACCEPTED}
            await until(lambda: troubles()[-1].action is ControlAction.CLEAR)
            assert stage.view.show()["lanes"][0]["held"] is None
            first = min(message.accepted for message in twin.books.outbound()) * 1000
    assert begun.until is not None
    assert first >= begun.until, "nothing was sent before the probe was due"


async def test_a_short_code_that_writes_abroad_is_held_for_that_country_alone(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    code = "55103"
    table = LaneTable.of([Lane("code", "main", code, 500.0)], [Group("code", 3)], partitions=COUNTS.dispatch)
    settings = twin_settings().model_copy(update={"senders": (SenderSettings(address=code, country="US", rate=500.0),)})

    def to(recipient: str) -> Outgoing:
        made = order(lane="code", recipient=recipient, deadline=wall_ms() + 600_000)
        made.sender = code
        return outgoing(made, 3)

    first, at_home = to("+14155560000"), [to(f"+1415556{number:04d}") for number in range(1, 200)]
    abroad = [to(f"+49151123{number:05d}") for number in range(300)]
    mixed = [each for pair in zip(abroad, at_home, strict=False) for each in pair] + abroad[len(at_home) :]
    async with (
        Twin(settings) as twin,
        dispatch(cluster, tmp_path, group=group, twin_url=twin.url, table=table) as stage,
    ):
        await asyncio.to_thread(cluster.produce, [first])
        await until_ended(cluster, ids_of([first]))
        await asyncio.to_thread(cluster.produce, mixed)
        told = await until_ended(cluster, ids_of(mixed))
        assert stage.scheduler.lanes["code"].breaker.closed
        assert set(stage.view.show()["lanes"][0]["refused_countries"]) == {"DE"}
        refused = [refusal for refusal in twin.books.refusal_rows({}) if refusal["code"] == 21659]
        accepted = list(twin.books.outbound())
    assert {told[each][0].status for each in ids_of(at_home)} == {MessageStatus.ACCEPTED}
    assert {(told[each][0].status, told[each][0].reason) for each in ids_of(abroad)} == {
        (MessageStatus.DEFERRED, Reason.SENDER_REFUSED)
    }
    assert 1 <= len(refused) <= DEFAULT_LIMIT < len(abroad), "the others were not even asked"
    assert len(accepted) == 1 + len(at_home)
    found = [each for each in records(cluster, CONTROL) if isinstance(each, Control) and each.error_code == 21659]
    assert {each.subject for each in found if each.subject.startswith("code")} == {"code@DE"}
