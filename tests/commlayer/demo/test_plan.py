"""The demo's traffic: repeatable, and every recipient's fate known beforehand."""

from __future__ import annotations

import phonenumbers

from commlayer.demo.plan import LOGIN, REPLIES, SHOP, Fate, plan


def test_the_same_seed_gives_the_same_traffic_and_another_seed_another() -> None:
    assert plan(10, seed=7) == plan(10, seed=7)
    assert plan(10, seed=7) != plan(10, seed=8)


def test_every_recipient_gets_one_message_and_is_a_valid_number() -> None:
    numbers = [message.to for message in plan(30).messages]
    assert len(set(numbers)) == len(numbers)
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(number)) for number in numbers)


def test_every_fate_is_met_by_somebody() -> None:
    traffic = plan(30)
    assert all(traffic.recipients(fate) for fate in Fate)


def test_both_apps_send_and_one_time_passwords_come_all_along() -> None:
    traffic = plan(20)
    codes = [message for message in traffic.messages if message.app == LOGIN]
    assert {message.app for message in traffic.messages} == {LOGIN, SHOP}
    assert codes[0].at_s == 0
    assert codes[-1].at_s > 19


def test_those_who_answer_got_a_text_and_one_of_them_says_stop() -> None:
    traffic = plan(20)
    delivered = {m.to for m in traffic.messages if m.app == SHOP and m.fate is Fate.DELIVERED}
    assert {reply.person for reply in traffic.replies} <= delivered
    assert [reply.text for reply in traffic.replies].count("STOP") == 1
    assert len(traffic.replies) == len(REPLIES)
    assert all(reply.at_s < 20 for reply in traffic.replies)
