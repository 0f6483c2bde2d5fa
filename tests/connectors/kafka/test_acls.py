from __future__ import annotations

from connectors.kafka.acls import Acl, AppAccess, ConsumerAccess, Operation, Resource, desired_acls
from connectors.kafka.settings import READER_GROUP
from schemas.topics import FEEDBACK_INBOUND, FEEDBACK_STATUS, catalogue

READ, WRITE, DESCRIBE = Operation.READ, Operation.WRITE, Operation.DESCRIBE


def granted(principal: str) -> set[tuple[str, str, Operation]]:
    acls = desired_acls(
        catalogue(["shop", "login", "kiosk"]),
        [AppAccess("shop", "User:shop"), AppAccess("login", "User:login"), AppAccess("kiosk", None)],
        [ConsumerAccess("cdp", "User:cdp", (FEEDBACK_STATUS, FEEDBACK_INBOUND))],
        {
            "policy": "User:policy",
            "dispatch": "User:dispatch",
            "feedback": "User:feedback",
            "bridge": "User:bridge",
            "operator": "User:operator",
        },
    )
    return {
        (acl.resource.value, acl.name + ("*" if acl.prefixed else ""), acl.operation)
        for acl in acls
        if acl.principal == principal
    }


def test_an_app_may_write_its_own_request_topics_and_nothing_else() -> None:
    assert granted("User:shop") == {
        ("topic", "comms.requests.shop", WRITE),
        ("topic", "comms.requests.shop", DESCRIBE),
        ("topic", "comms.requests.shop.urgent", WRITE),
        ("topic", "comms.requests.shop.urgent", DESCRIBE),
    }


def test_a_consumer_may_read_its_topics_with_its_own_groups() -> None:
    assert granted("User:cdp") == {
        ("topic", "comms.feedback.status", READ),
        ("topic", "comms.feedback.status", DESCRIBE),
        ("topic", "comms.feedback.inbound", READ),
        ("topic", "comms.feedback.inbound", DESCRIBE),
        ("group", "cdp", READ),
        ("group", "cdp.*", READ),
    }


def test_a_stage_may_do_what_the_catalogue_says() -> None:
    bridge = granted("User:bridge")
    assert {(name, operation) for kind, name, operation in bridge if kind == "topic" and operation is not DESCRIBE} == {
        ("comms.consent", WRITE),
        ("comms.inbound", WRITE),
        ("comms.lifecycle", WRITE),
        ("comms.feedback.engagement", WRITE),
        ("comms.dead", WRITE),
    }
    dispatch = granted("User:dispatch")
    assert ("topic", "comms.dispatch.critical", READ) in dispatch
    assert ("topic", "comms.dispatch.critical", WRITE) not in dispatch
    assert ("topic", "comms.attempts", READ) in dispatch
    assert ("topic", "comms.attempts", WRITE) in dispatch
    assert ("topic", "comms.lifecycle", READ) in dispatch  # callbacks, before a message is sent again
    assert ("group", "commlayer.dispatch", READ) in dispatch
    assert not any("requests" in name for _, name, _ in dispatch)


def test_policy_may_read_the_requests_of_every_app_and_write_them_again() -> None:
    for app in ("shop", "login", "kiosk"):
        for topic in (f"comms.requests.{app}", f"comms.requests.{app}.urgent"):
            assert {("topic", topic, READ), ("topic", topic, WRITE)} <= granted("User:policy")


def test_policy_may_write_again_whatever_lies_in_the_wrong_partition() -> None:
    for topic in ("comms.profiles", "comms.inbound", "comms.consent", "comms.deferred.1s"):
        assert {("topic", topic, READ), ("topic", topic, WRITE)} <= granted("User:policy")


def test_who_reads_partitions_by_hand_may_only_ask_for_the_group_that_nobody_joins() -> None:
    for user in ("policy", "dispatch", "feedback", "operator"):
        assert {grant for grant in granted(f"User:{user}") if grant[1] == READER_GROUP} == {
            ("group", READER_GROUP, DESCRIBE)
        }
    assert not any(name == READER_GROUP for _, name, _ in granted("User:bridge") | granted("User:cdp"))


def test_an_operator_sees_how_much_waits_in_dispatch_and_not_what() -> None:
    operator = granted("User:operator")
    assert {grant for grant in operator if "comms.dispatch.bulk" in grant} == {
        ("topic", "comms.dispatch.bulk", DESCRIBE)
    }
    assert ("group", "commlayer.dispatch", DESCRIBE) in operator
    assert ("group", "commlayer.dispatch", READ) not in operator


def test_an_operator_changes_consent_and_no_requests() -> None:
    operator = granted("User:operator")
    assert ("topic", "comms.consent", WRITE) in operator
    assert not any("requests" in name for _, name, _ in operator)


def test_parties_without_a_principal_get_nothing() -> None:
    acls = desired_acls(catalogue(["kiosk"]), [AppAccess("kiosk", None)], [], {"crm": "User:crm"})
    assert {acl.principal for acl in acls} == {"User:crm"}
    assert {acl.name for acl in acls if acl.operation is WRITE} == {"comms.consent"}


def test_grants_read_as_sentences() -> None:
    assert str(Acl("User:a", Resource.TOPIC, "t", WRITE)) == "User:a may write topic t"
    assert str(Acl("User:a", Resource.GROUP, "g.", READ, prefixed=True)) == (
        "User:a may read group g. (and longer names)"
    )
