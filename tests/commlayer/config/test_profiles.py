"""Customer data in the configuration: what is wrong with it, what policy and the client get."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from commlayer.config import ConfigurationInvalid, Loaded, Problem, Purpose, Severity, conversions, loads
from commlayer.config.checks.profiles import HANGING_MAX
from commlayer.processes import PURPOSES, Process
from streams.policy.config import EnrichmentMode
from streams.policy.enrichment import Identifier, Source
from streams.policy.stage import MAX_UNDER_WAY

Change = Callable[[dict[str, Any]], object]
Find = Callable[[Change], list[Problem]]
TOKEN = "token-of-the-space"


def segment(**more: Any) -> dict[str, Any]:
    given = {"space": "kNU0gh7EVl", "token": {"env": "SEGMENT"}, "traits": {"time_zone": "timezone"}}
    return {key: value for key, value in {**given, **more}.items() if value is not None}


def put(profiles: dict[str, Any], **category: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        data["profiles"] = profiles
        data["categories"]["otp"] |= category

    return change


def asks(**more: Any) -> dict[str, Any]:
    return {"source": "segment", "segment": segment(**more)}


ERROR, WARNING = Severity.ERROR, Severity.WARNING


@pytest.mark.parametrize(
    ("change", "path", "what", "fix", "severity"),
    [
        (put({"source": "segmnt"}), "profiles.source", "unknown value", "segment", ERROR),
        (put({"source": "segment"}), "profiles.segment", "source `segment` needs it", "space and token", ERROR),
        (put({"source": "both"}), "profiles.segment", "source `both` needs it", "space and token", ERROR),
        (put({**asks(), "source": "topic"}), "profiles.segment", "does not ask Segment", "both", WARNING),
        (put(asks(token="secret")), "profiles.segment.token", "must not stand in", "{env: NAME}", ERROR),
        (put(asks(token=None)), "profiles.segment.token", "required, but missing", "Access token", ERROR),
        (put(asks(space="a/b")), "profiles.segment.space", "no id of a space", "Unify", ERROR),
        (put(asks(base_url="http://profiles.example.com")), "profiles.segment.base_url", "unencrypted", "https", ERROR),
        (put(asks(base_url="https://a:b@x.example")), "profiles.segment.base_url", "credentials", "remove", ERROR),
        (
            put(asks(ids=[{"from": "recipient", "type": "phone:x"}])),
            "profiles.segment.ids[0].type",
            "no type of an id",
            "phone",
            ERROR,
        ),
        (put(asks(ids=[{"from": "sender", "type": "a"}])), "profiles.segment.ids[0].from", "unknown", "recipi", ERROR),
        (put(asks(traits={})), "profiles.segment", "no trait is asked for", "variables", ERROR),
        (put(asks(variables={"a": "b,c"})), "profiles.segment.variables.a", "no name of a trait", "comma", ERROR),
        (
            put(asks(variables={f"v{n}": f"t{n}" for n in range(200)})),
            "profiles.segment.variables",
            "201 traits",
            "keep",
            ERROR,
        ),
        (put(asks(timeout_s=5.1)), "profiles.segment.timeout_s", "510 requests could hang", "5 or less", ERROR),
        (
            put(asks(timeout_s=11, requests_per_s=1)),
            "profiles.segment.timeout_s",
            "could wait 11 s, and a rebalance",
            "write 10 or less",
            ERROR,
        ),
        (
            put(asks(timeout_s=6, requests_per_s=1, ids=[{"from": "recipient", "type": "phone"}] * 2)),
            "profiles.segment.timeout_s",
            "could wait 12 s",
            "write 5 or less",
            ERROR,
        ),
        (put(asks(timeout_s=31)), "profiles.segment.timeout_s", "at most 30", "number", ERROR),
        (put(asks(requests_per_s=101)), "profiles.segment.requests_per_s", "more than the 100", "contract", WARNING),
        (put(asks(requests_per_s=0)), "profiles.segment.requests_per_s", "more than 0", "number", ERROR),
        (put({}, enrichment="required"), "categories.otp.enrichment", "nobody is asked", "segment", ERROR),
        (
            put({"source": "topic"}, enrichment="required"),
            "categories.otp.enrichment",
            "profiles.source is `topic`",
            "both",
            ERROR,
        ),
        (put({}, enrichment="optional"), "categories.otp.enrichment", "nobody is asked", "remove", WARNING),
        (
            put(asks(), enrichment="required", deadline_s=4),
            "categories.otp.enrichment",
            "no time to ask twice",
            "optional",
            WARNING,
        ),
    ],
)
def test_a_mistake_is_told_with_path_and_fix(
    problems_after: Find, change: Change, path: str, what: str, fix: str, severity: Severity
) -> None:
    found = [problem for problem in problems_after(change) if problem.place == path]
    assert any(what in one.what and fix in one.fix and one.severity is severity for one in found), problems_after(
        change
    )


@pytest.mark.parametrize(
    "change",
    [
        put({}),
        put({"source": "topic"}),
        put({"source": "topic"}, enrichment="none"),
        put(asks(), enrichment="required"),
        put({**asks(), "source": "both"}, enrichment="optional"),
        put(asks(timeout_s=5.0)),
        put(asks(variables={f"v{n}": f"t{n}" for n in range(199)})),
        put(asks(base_url="http://127.0.0.1:8091")),
    ],
)
def test_what_fits_together_is_accepted(problems_after: Find, change: Change) -> None:
    assert [one for one in problems_after(change) if "rofile" in one.place or "enrichment" in one.place] == []


def test_hanging_requests_leave_room_for_the_other_half_of_what_policy_decides_at_once() -> None:
    assert HANGING_MAX * 2 <= MAX_UNDER_WAY


def loaded(data: dict[str, Any], *purposes: Purpose) -> Loaded:
    return loads(yaml.safe_dump(data), "test.yaml", frozenset(purposes), {"SEGMENT": TOKEN})


def test_the_client_gets_what_the_file_says(config_data: dict[str, Any]) -> None:
    put(asks(variables={"name": "first_name", "zone": "timezone"}, requests_per_s=50, timeout_s=1.5))(config_data)
    each = loaded(config_data, Purpose.ENRICHING)
    settings = conversions.segment_settings(each.config, each.secrets)
    assert settings is not None
    assert (settings.space, settings.token, settings.traits) == ("kNU0gh7EVl", TOKEN, ("timezone", "first_name"))
    assert (settings.requests_per_s, settings.timeout_s) == (50.0, 1.5)
    assert TOKEN not in repr(settings) + repr(each.secrets) + str(each.config.as_data())
    section = each.config.profiles.segment
    assert section is not None
    assert section.identifiers() == (Identifier(Source.RECIPIENT, "phone"),)
    assert section.trait_names().variables == {"name": "first_name", "zone": "timezone"}


def test_only_policy_reads_the_token_and_only_when_it_asks(config_data: dict[str, Any]) -> None:
    assert {process for process, purposes in PURPOSES.items() if Purpose.ENRICHING in purposes} == {Process.POLICY}
    put(asks())(config_data)
    with pytest.raises(ConfigurationInvalid, match="SEGMENT"):
        loads(yaml.safe_dump(config_data), "test.yaml", frozenset({Purpose.ENRICHING}), {})
    put({**asks(), "source": "none"})(config_data)
    each = loads(yaml.safe_dump(config_data), "test.yaml", frozenset({Purpose.ENRICHING}), {})
    assert conversions.segment_settings(each.config, each.secrets) is None


@pytest.mark.parametrize(
    ("source", "category", "mode"),
    [
        ("segment", {}, EnrichmentMode.NONE),
        ("segment", {"class": "high"}, EnrichmentMode.OPTIONAL),
        ("both", {"class": "bulk"}, EnrichmentMode.OPTIONAL),
        ("both", {"enrichment": "required"}, EnrichmentMode.REQUIRED),
        ("both", {"class": "bulk", "enrichment": "none"}, EnrichmentMode.NONE),
        ("topic", {"class": "bulk"}, EnrichmentMode.NONE),
        ("none", {"class": "bulk"}, EnrichmentMode.NONE),
    ],
)
def test_policy_asks_for_whom_the_category_wants_it(
    config_data: dict[str, Any], source: str, category: dict[str, Any], mode: EnrichmentMode
) -> None:
    put({**asks(), "source": source}, **category)(config_data)
    policy = conversions.policy_config(loaded(config_data).config)
    assert policy.categories["otp"].enrichment is mode
    assert policy.profiles_by_topic is (source in ("topic", "both"))
