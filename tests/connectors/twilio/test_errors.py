from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.twilio.errors import ErrorOverride, ErrorPolicy, Retry, Scope, Subject, Suppress, classify

ROWS: list[dict[str, Any]] = json.loads(
    files("connectors.twilio").joinpath("data/error_classes.json").read_text(encoding="utf-8")
)
BY_CODE = {row["code"]: row for row in ROWS}

# Scopes that a class of the fact sheet may have; a row outside them is a slip of the editor.
ALLOWED = {
    "account": {"account", "message", "sender"},  # trial and sandbox limits concern one message or sender
    "auth": {"account"},
    "client-bug": {"message", "account"},  # account where every message would fail the same way
    "compliance": {"message", "recipient"},
    "config": {"message", "sender", "account"},
    "content": {"message"},
    "expired": {"message"},
    "fraud": {"recipient"},
    "info": {"message"},
    "optout": {"recipient"},
    "recipient": {"recipient"},
    "sender": {"sender", "message"},
    "state": {"transient", "message"},
    "throttle": {"throttled"},
    "transient": {"transient"},
    "uncertain": {"in_doubt"},
    "webhook": {"message"},
    "window": {"message"},
}


def test_the_table_holds_every_code_once_with_a_title_and_an_action() -> None:
    assert len(ROWS) == len(BY_CODE) == 288
    assert [row["code"] for row in ROWS] == sorted(BY_CODE)
    assert all(10_000 <= row["code"] <= 99_999 and row["title"] and row["action"] for row in ROWS)
    assert ErrorPolicy().codes() == set(BY_CODE)


@pytest.mark.parametrize("code", BY_CODE)
def test_every_code_is_classified_as_its_row_says(code: int) -> None:
    row, found = BY_CODE[code], classify(code)

    assert (found.scope, found.retry, found.subject) == (row["scope"], row["retry"], row["subject"])
    assert (found.title, found.action, found.known) == (row["title"], row["action"], True)


def test_codes_about_the_sender_and_refusals_of_carriers_blame_the_sender() -> None:
    blaming = {code for code in BY_CODE if classify(code).blames_sender}
    about_it = {row["code"] for row in ROWS if row["subject"] == "sender"}
    assert blaming - about_it == {30007, 30008, 30018, 30040, 30041}
    assert about_it <= blaming
    assert not blaming & {21610, 30003, 30005, 30006, 63032}


def test_codes_that_name_the_destination_or_the_rules_of_one_country_may_be_about_the_country() -> None:
    found = {code for code in BY_CODE if classify(code).may_be_country}
    assert found == {21606, 21659, 30032, 30033, 30034, 30035}
    assert {classify(code).scope for code in found} == {Scope.SENDER}


@pytest.mark.parametrize(
    ("code", "override", "may_be"),
    [
        (21606, ErrorOverride(), True),
        (21606, ErrorOverride(may_be_country=False), False),
        (21606, ErrorOverride(scope=Scope.MESSAGE), False),
        (21661, ErrorOverride(may_be_country=True), True),
        (21612, ErrorOverride(may_be_country=True), False),
        (21612, ErrorOverride(scope=Scope.SENDER, may_be_country=True), True),
    ],
)
def test_an_operator_says_which_errors_of_the_sender_may_be_about_the_country(
    code: int, override: ErrorOverride, may_be: bool
) -> None:
    assert ErrorPolicy({code: override}).classify(code).may_be_country is may_be


def test_a_rule_that_says_who_it_is_about_says_whom_it_blames() -> None:
    as_account = ErrorPolicy({30034: ErrorOverride(scope=Scope.ACCOUNT)})
    assert not as_account.classify(30034).blames_sender
    said = ErrorPolicy({30034: ErrorOverride(scope=Scope.ACCOUNT, blames_sender=True)})
    assert said.classify(30034).blames_sender


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["code"]))
def test_every_row_is_consistent(row: dict[str, Any]) -> None:
    scope, retry, subject = Scope(row["scope"]), Retry(row["retry"]), Subject(row["subject"])

    assert scope in ALLOWED[row["cls"]]
    assert row["opt_out"] == (row["cls"] == "optout")
    if scope in (Scope.ACCOUNT, Scope.SENDER, Scope.RECIPIENT, Scope.MESSAGE):
        assert subject == scope.value
    if scope in (Scope.ACCOUNT, Scope.SENDER):
        assert retry in (Retry.FIX, Retry.LATER), "a paused lane or account must be able to come back"
    if scope is Scope.THROTTLED:
        assert retry in (Retry.BACKOFF, Retry.LATER)
        assert subject in (Subject.SENDER, Subject.ACCOUNT)
    if scope is Scope.TRANSIENT:
        assert retry is not Retry.NO
    if row["opt_out"]:
        assert retry is Retry.NO
    if row["suppress"] is not None:
        assert scope is Scope.RECIPIENT
        assert Suppress(row["suppress"])
    if row["suppress_for_s"] is not None:
        assert row["suppress"] is not None
        assert 60 <= row["suppress_for_s"] <= 7 * 86_400


@pytest.mark.parametrize(
    ("code", "scope", "subject", "retry"),
    [
        (20429, Scope.THROTTLED, Subject.ACCOUNT, Retry.BACKOFF),
        (21611, Scope.THROTTLED, Subject.SENDER, Retry.LATER),
        (30001, Scope.THROTTLED, Subject.SENDER, Retry.LATER),
        (21610, Scope.RECIPIENT, Subject.RECIPIENT, Retry.NO),
        (21211, Scope.RECIPIENT, Subject.RECIPIENT, Retry.NO),
        (21606, Scope.SENDER, Subject.SENDER, Retry.FIX),
        (21408, Scope.MESSAGE, Subject.MESSAGE, Retry.FIX),
        (20003, Scope.ACCOUNT, Subject.ACCOUNT, Retry.FIX),
        (20404, Scope.ACCOUNT, Subject.ACCOUNT, Retry.FIX),
        (21608, Scope.MESSAGE, Subject.MESSAGE, Retry.FIX),
        (30003, Scope.TRANSIENT, Subject.MESSAGE, Retry.LATER),
        (30410, Scope.IN_DOUBT, Subject.MESSAGE, Retry.NO),
    ],
)
def test_the_codes_that_matter_most_mean_what_we_think(code: int, scope: Scope, subject: Subject, retry: Retry) -> None:
    found = classify(code)

    assert (found.scope, found.subject, found.retry) == (scope, subject, retry)


@pytest.mark.parametrize(
    ("code", "suppress", "for_s"),
    [
        (21211, Suppress.ALL, None),
        (21614, Suppress.CHANNEL, None),
        (63003, Suppress.CHANNEL, None),
        (30005, Suppress.ALL, 3600),
        (30450, Suppress.ALL, 1800),
        (30003, None, None),
        (21610, None, None),
    ],
)
def test_a_number_is_suppressed_as_far_and_as_long_as_the_report_proves(
    code: int, suppress: Suppress | None, for_s: int | None
) -> None:
    assert (classify(code).suppress, classify(code).suppress_for_s) == (suppress, for_s)


def test_opt_outs_are_the_four_codes_that_say_so() -> None:
    assert {code for code in BY_CODE if classify(code).opt_out} == {21610, 30630, 63014, 63033}


@pytest.mark.parametrize(
    ("code", "status", "scope", "retry"),
    [
        (None, 500, Scope.IN_DOUBT, Retry.ONCE),
        (20500, 500, Scope.IN_DOUBT, Retry.ONCE),
        (21211, 502, Scope.IN_DOUBT, Retry.ONCE),
        (20429, 503, Scope.THROTTLED, Retry.BACKOFF),
        (None, 429, Scope.THROTTLED, Retry.BACKOFF),
        (None, 401, Scope.ACCOUNT, Retry.FIX),
        (29999, 401, Scope.ACCOUNT, Retry.FIX),
        (None, 404, Scope.ACCOUNT, Retry.FIX),
        (29999, 404, Scope.MESSAGE, Retry.NO),
        (None, 400, Scope.MESSAGE, Retry.NO),
        (29999, 400, Scope.MESSAGE, Retry.NO),
        (39999, 400, Scope.MESSAGE, Retry.NO),
        (None, 408, Scope.IN_DOUBT, Retry.ONCE),
        (None, 425, Scope.TRANSIENT, Retry.BACKOFF),
        (None, 302, Scope.IN_DOUBT, Retry.ONCE),
        (None, 308, Scope.ACCOUNT, Retry.FIX),
        (39999, None, Scope.TRANSIENT, Retry.ONCE),
        (63999, None, Scope.TRANSIENT, Retry.ONCE),
        (29999, None, Scope.MESSAGE, Retry.NO),
        (None, None, Scope.MESSAGE, Retry.NO),
    ],
)
def test_what_the_table_lacks_gets_the_safe_default_of_its_status(
    code: int | None, status: int | None, scope: Scope, retry: Retry
) -> None:
    found = classify(code, status)

    assert (found.scope, found.retry) == (scope, retry)
    assert found.known == (code in BY_CODE and found.title == BY_CODE[code]["title"])


@given(st.one_of(st.none(), st.integers()), st.one_of(st.none(), st.integers(100, 599)))
def test_every_code_and_status_has_a_class_and_a_server_error_never_counts_as_refused(
    code: int | None, status: int | None
) -> None:
    found = classify(code, status)

    assert found.title
    assert found.action
    if status is not None and status >= 500:
        assert found.scope in (Scope.IN_DOUBT, Scope.THROTTLED)


def test_an_override_changes_only_what_it_names() -> None:
    policy = ErrorPolicy(
        {
            30007: ErrorOverride(retry=Retry.LATER),
            21408: ErrorOverride(scope=Scope.SENDER, action="call me"),
            30005: ErrorOverride(suppresses=True, suppress=Suppress.CHANNEL),
            21211: ErrorOverride(suppresses=False),
            21610: ErrorOverride(scope=Scope.MESSAGE),
        }
    )

    assert policy.classify(30007).scope is Scope.MESSAGE
    assert policy.classify(30007).retry is Retry.LATER
    changed = policy.classify(21408)
    assert (changed.scope, changed.subject, changed.action) == (Scope.SENDER, Subject.SENDER, "call me")
    assert changed.title == classify(21408).title
    assert (policy.classify(30005).suppress, policy.classify(30005).suppress_for_s) == (Suppress.CHANNEL, None)
    assert policy.classify(21211).suppress is None
    assert policy.classify(21211).scope is Scope.RECIPIENT
    assert not policy.classify(21610).opt_out, "what is not about the person changes nothing for the person"
    assert classify(30007).retry is Retry.NO, "the shipped table is untouched"


def test_an_override_may_add_a_code_that_the_table_lacks() -> None:
    policy = ErrorPolicy({31999: ErrorOverride(scope=Scope.RECIPIENT, retry=Retry.NO)})

    assert policy.classify(31999, 400).scope is Scope.RECIPIENT
    assert policy.classify(31999, 400).known
