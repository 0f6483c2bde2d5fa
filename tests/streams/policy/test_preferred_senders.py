from __future__ import annotations

from dataclasses import replace
from typing import Any

from schemas.reasons import Reason
from schemas.records import MessageClass
from streams.control.backlogs import Backlog
from streams.policy.case import Case
from streams.policy.config import GeoMatch, PolicyConfig, Sender
from streams.policy.decide import decide
from streams.policy.facts import Facts
from streams.policy.senders import choose
from streams.policy.verdict import Admitted, Deny

from .installation import AMERICAN, HOUR, MOBILE, NOW, config, entry, request, sender

NAMES = ("us-415", "us-212", "ch")
SENDERS = {
    "us-415": sender("us-415", 1, address="+14155550199"),
    "us-212": sender("us-212", 2, address="+12125550199"),
    "ch": sender("ch", 3, address="+41791234560", rate=500.0),
}


def installed(geo: GeoMatch = GeoMatch.NONE) -> PolicyConfig:
    base = config()
    return replace(
        base,
        senders={**base.senders, **SENDERS},
        pools={**base.pools, "codes": NAMES},
        apps={"login": replace(base.apps["login"], geo_match=geo)},
    )


def chosen(facts: Facts | None = None, *, geo: GeoMatch = GeoMatch.NONE, **changes: Any) -> str | Deny:
    choice = choose(Case(request(**changes), entry(), installed(geo), NOW, facts or Facts()))
    return choice.name if isinstance(choice, Sender) else choice


def behind(*, until: int = NOW + 180_000, **seconds: int) -> Backlog:
    """A lane whose classes wait so long."""
    return Backlog({MessageClass(name): NOW + each * 1000 for name, each in seconds.items()}, until)


def test_a_number_of_the_area_code_or_else_of_the_country_is_preferred_where_configured() -> None:
    assert chosen(recipient=AMERICAN) == "ch"
    assert chosen(recipient=AMERICAN, geo=GeoMatch.AREA_CODE) == "us-415"
    assert chosen(recipient="+12125550123", geo=GeoMatch.AREA_CODE) == "us-212"
    assert chosen(recipient="+13055550123", geo=GeoMatch.AREA_CODE) in {"us-415", "us-212"}
    assert chosen(recipient=MOBILE, geo=GeoMatch.COUNTRY) == "ch"


def test_what_is_kept_of_senders_that_fit_does_not_grow_with_the_names_that_apps_write() -> None:
    installation = installed()
    for number in range(50):
        for changes in ({"sender": f"s-{number}"}, {"pool": f"p-{number}"}, {"pool": "codes"}, {}):
            choose(Case(request(**changes), entry(), installation, NOW))
    assert len(installation.worked_out) == 2


def test_an_answer_comes_from_the_number_that_the_person_wrote_to_last() -> None:
    facts = Facts(last_inbound={"+14155550199": NOW - 2, "+12125550199": NOW - 1, "+15005550001": NOW})
    assert chosen(facts, in_reply_to="SM" + "1" * 32) == "us-212"
    assert chosen(facts) == "ch"


def test_an_unhealthy_lane_is_left_while_another_one_fits() -> None:
    assert chosen(Facts(unhealthy=frozenset({"ch"})), recipient=MOBILE) in {"us-415", "us-212"}
    assert chosen(Facts(unhealthy=frozenset(NAMES)), recipient=MOBILE) == "ch"
    assert chosen(Facts(unhealthy=frozenset({"ch"})), sender="ch") == "ch"


def test_a_lane_that_is_refused_for_the_persons_country_is_left_while_another_one_fits() -> None:
    refused = frozenset({("ch", "CH"), ("us-415", "US"), ("us-212", "US")})
    assert chosen(Facts(), recipient=MOBILE) == "ch"
    assert chosen(Facts(refused=refused), recipient=MOBILE) in {"us-415", "us-212"}
    assert chosen(Facts(refused=refused), recipient=AMERICAN) == "ch"
    assert chosen(Facts(refused=frozenset({("ch", "US")})), recipient=MOBILE) == "ch"
    everywhere = frozenset((name, "CH") for name in NAMES)
    assert chosen(Facts(refused=everywhere), recipient=MOBILE) == "ch", "nobody is denied for it"


WHY = "24% of 50 messages failed in 300 s, mostly 30007 Message filtered"


def failing(*lanes: str) -> dict[str, str]:
    return dict.fromkeys(lanes, WHY)


def test_a_lane_whose_messages_fail_too_often_is_left_while_another_one_fits() -> None:
    assert chosen(Facts(), recipient=MOBILE) == "ch"
    assert chosen(Facts(failing=failing("ch")), recipient=MOBILE) in {"us-415", "us-212"}
    assert chosen(Facts(failing=failing("ch", "us-415")), recipient=MOBILE, geo=GeoMatch.COUNTRY) == "us-212"


def test_nobody_is_denied_because_messages_fail() -> None:
    assert chosen(Facts(failing=failing(*NAMES)), recipient=MOBILE) == "ch"
    assert chosen(Facts(failing=failing("ch")), sender="ch") == "ch"
    assert chosen(Facts(failing=failing("us-212"), unhealthy=frozenset({"ch", "us-415"}))) == "us-212"


def test_a_conversation_keeps_its_sender_though_its_messages_fail() -> None:
    facts = Facts(failing=failing("us-212"), last_inbound={"+12125550199": NOW - 1})
    assert chosen(facts, in_reply_to="SM" + "1" * 32) == "us-212"
    assert chosen(facts) == "ch"
    held = replace(facts, unhealthy=frozenset({"us-212"}))
    assert chosen(held, in_reply_to="SM" + "1" * 32) == "ch", "a held one would let it wait"


def test_the_story_tells_whom_the_choice_passed_over_and_why() -> None:
    case = Case(request(recipient=MOBILE), entry(), installed(), NOW, Facts(failing=failing("ch")))
    choose(case)
    assert case.avoided == (f"ch: {WHY}",)
    admitted = decide(request(recipient=MOBILE), entry(), installed(), NOW, Facts(failing=failing("ch")))
    assert isinstance(admitted, Admitted)
    assert admitted.facts["avoided"] == f"ch: {WHY}"
    untouched = decide(request(recipient=MOBILE), entry(), installed(), NOW)
    assert isinstance(untouched, Admitted)
    assert "avoided" not in untouched.facts


def test_a_lane_that_would_send_after_the_deadline_is_left_and_without_another_the_message_is_denied() -> None:
    late = dict.fromkeys(NAMES, behind(critical=600))
    denied = chosen(Facts(backlogs=late))
    assert isinstance(denied, Deny)
    assert denied.reason is Reason.BACKLOG
    assert "in 600 s" in denied.detail
    assert chosen(Facts(backlogs={**late, "us-212": behind(critical=500)})) == "us-212"


def test_a_code_does_not_wait_for_the_campaign_on_its_lane() -> None:
    assert chosen(Facts(backlogs=dict.fromkeys(NAMES, behind(bulk=86_400)))) in NAMES


def test_a_backlog_of_which_nothing_was_heard_for_long_denies_nothing() -> None:
    assert chosen(Facts(backlogs=dict.fromkeys(NAMES, behind(critical=600, until=NOW)))) in NAMES


def test_the_backlog_of_today_says_nothing_of_a_message_for_tomorrow() -> None:
    scheduled: dict[str, Any] = {"not_before": NOW + HOUR, "deadline": NOW + HOUR + 1}
    assert chosen(Facts(backlogs=dict.fromkeys(NAMES, behind(critical=86_400))), **scheduled) in NAMES


def test_a_sender_for_other_categories_does_not_fit() -> None:
    base = config()
    only = replace(base.senders["long"], categories=frozenset({"marketing"}))
    configured = replace(base, senders={**base.senders, "long": only})
    choice = choose(Case(request(), entry(), configured, NOW))
    assert isinstance(choice, Deny)
    assert choice.reason is Reason.NO_SENDER
