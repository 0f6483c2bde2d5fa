"""The demo's traffic: repeatable, and every recipient's fate known beforehand."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import phonenumbers

from commlayer.demo.plan import APPS, LOGIN, MARKETING_A_DAY, REPLIES, SHOP, Cue, Fate, Plan, PlannedMessage
from commlayer.demo.plan import plan as plan_at

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def plan(seconds: float, *, seed: int = 1) -> Plan:
    return plan_at(seconds, NOW, seed=seed)


def only(traffic: Plan, reason: str) -> PlannedMessage:
    (message,) = (message for message in traffic.messages if message.reason == reason)
    return message


def test_the_same_seed_gives_the_same_traffic_and_another_seed_another() -> None:
    assert plan(10, seed=7) == plan(10, seed=7)
    assert plan(10, seed=7) != plan(10, seed=8)


def test_everybody_has_a_valid_number_and_one_message_but_who_said_stop_and_who_meets_the_cap() -> None:
    traffic = plan(30)
    messages = Counter(message.to for message in traffic.messages)
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(number)) for number in messages)
    assert {number: count for number, count in messages.items() if count > 1} == {
        only(traffic, "opted_out").to: 2,
        only(traffic, "frequency_cap").to: MARKETING_A_DAY + 1,
    }


def test_keys_name_one_message_each() -> None:
    keys = [message.key for message in plan(30).messages]
    assert len(set(keys)) == len(keys)


def test_whatever_is_not_delivered_says_why() -> None:
    reasons = Counter((message.fate, message.reason) for message in plan(30).messages)
    assert set(reasons) == {
        (Fate.DELIVERED, ""),
        (Fate.UNDELIVERED, "30003"),
        (Fate.REFUSED, "21614"),
        *((Fate.DENIED, reason) for reason in ("country_not_allowed", "opted_out", "frequency_cap")),
        *((Fate.DENIED, reason) for reason in ("quiet_hours", "app_disabled")),
    }


def test_after_a_stop_the_shop_asks_again_once_the_opt_out_is_known() -> None:
    traffic = plan(20)
    again = only(traffic, "opted_out")
    (stop,) = (reply for reply in traffic.replies if reply.text == "STOP")
    assert again.to == stop.person
    assert again.at_s >= stop.at_s
    assert not traffic.cued(again, {message.key for message in traffic.messages}, {"+12065550000"})
    assert traffic.cued(again, set(), {stop.person})


def test_the_message_over_the_cap_waits_until_those_within_it_have_ended() -> None:
    traffic = plan(20)
    last = only(traffic, "frequency_cap")
    within = [m for m in traffic.messages if m.to == last.to and m is not last]
    assert [message.fate for message in within] == [Fate.DELIVERED] * MARKETING_A_DAY
    keys = {message.key for message in within}
    assert not traffic.cued(last, keys - {within[-1].key}, {last.to})
    assert traffic.cued(last, keys, set())


def test_what_has_no_cue_waits_for_nothing() -> None:
    traffic = plan(20)
    assert {message.cue for message in traffic.messages} == {None, *Cue}
    assert all(traffic.cued(message, set(), set()) for message in traffic.messages if message.cue is None)


def test_every_fate_is_met_by_somebody() -> None:
    traffic = plan(30)
    assert all(traffic.recipients(fate) for fate in Fate)


def test_every_app_sends_and_one_time_passwords_come_all_along() -> None:
    traffic = plan(20)
    codes = [message for message in traffic.messages if message.app == LOGIN]
    assert {message.app for message in traffic.messages} == set(APPS)
    assert codes[0].at_s == 0
    assert codes[-1].at_s > 19


def test_those_who_answer_got_a_text_and_one_of_them_says_stop() -> None:
    traffic = plan(20)
    delivered = {m.to for m in traffic.messages if m.app == SHOP and m.fate is Fate.DELIVERED}
    assert {reply.person for reply in traffic.replies} <= delivered
    assert [reply.text for reply in traffic.replies].count("STOP") == 1
    assert len(traffic.replies) == len(REPLIES)
    assert all(reply.at_s < 20 for reply in traffic.replies)
