"""Every mistake is found, at its path, with a fix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from commlayer.config import Problem, Purpose, Severity, conversions, loads
from commlayer.config.standin import twin_settings

Find = Callable[[Callable[[dict[str, Any]], object]], list[Problem]]


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Write a value at a dotted path."""

    def change(data: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for part in parents:
            data = data.setdefault(part, {})
        data[last] = value

    change.__name__ = f"{path}={value}"
    return change


def drop(path: str) -> Callable[[dict[str, Any]], None]:
    """Take a key away."""

    def change(data: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for part in parents:
            data = data[part]
        del data[last]

    change.__name__ = f"without {path}"
    return change


def sender(**settings: Any) -> dict[str, Any]:
    return {"account": "main", "address": "+14155550100", "type": "long_code", "rate": 1, "partition": 5, **settings}


SASL = {"protocol": "SASL_SSL", "mechanism": "SCRAM-SHA-512", "password": {"env": "KAFKA"}}


def tpl(text: str, **settings: Any) -> dict[str, Any]:
    return {"t": {"current": "1", "default_locale": "en", "versions": {"1": {"texts": {"en": text}}}, **settings}}


def lane_quota(lane: str) -> dict[str, Any]:
    return {"lanes": {lane: {"per_day": 5}}}


ERRORS = [
    # errors of Twilio's
    (put("errors.3007", {}), "errors.3007", "no error code", "five digits"),
    (put("errors.30077", {}), "errors.30077", "no code of docs/errors.md", "add `class:`, or did you mean"),
    (
        put("errors.30007", {"class": "carrier"}),
        "errors.30007.class",
        "unknown value 'carrier'",
        "write one of: account",
    ),
    (put("errors.30007", {"retry": "never"}), "errors.30007.retry", "unknown value", "write one of: alt"),
    (put("errors.30007", {"suppress": "all"}), "errors.30007.suppress", "not about the person", "`class: recipient`"),
    (put("errors.30007", {"opt_out": True}), "errors.30007.opt_out", "not about the person", "`class: recipient`"),
    (put("errors.21610", {"suppress_for_s": 9}), "errors.21610.suppress_for_s", "nothing is suppr", "`suppress: all`"),
    (put("errors.30005", {"suppress_for_s": 9}), "errors.30005.suppress_for_s", "not how far", "add `suppress:`"),
    (put("errors.21606", {"about": "account"}), "errors.21606.about", "says itself who stops", "remove it"),
    (
        put("errors.30007", {"class": "transient"}),
        "errors.30007.retry",
        "means another attempt",
        "backoff, later, once",
    ),
    # shape
    (put("kafka.replicaton", 1), "kafka.replicaton", "unknown key", "did you mean `replication`?"),
    (put("whatever", 1), "whatever", "unknown key", "write one of: accounts, apps"),
    (drop("kafka"), "kafka", "required, but missing", "add `kafka:`. The brokers"),
    (drop("kafka.bootstrap"), "kafka.bootstrap", "required, but missing", "add `bootstrap:`"),
    (put("kafka.bootstrap", []), "kafka.bootstrap", "must not be empty", "at least one entry"),
    (put("kafka.bootstrap", "a:1"), "kafka.bootstrap", "expected a list, found text", "write [one, two]"),
    (put("kafka.partitions.dispatch", 0), "kafka.partitions.dispatch", "must be at least 1", "number"),
    (put("kafka.partitions.dispatch", "8"), "kafka.partitions.dispatch", "whole number, found text", "without quotes"),
    (put("kafka.partitions", 8), "kafka.partitions", "expected a section, found a number", "key: value"),
    (put("kafka.security.protocol", "SASL_SLS"), "kafka.security.protocol", "unknown value", "`SASL_SSL`"),
    (put("senders.us-short.rate", 0), "senders.us-short.rate", "must be more than 0", "number"),
    (put("senders.us-short.rate", -1.5), "senders.us-short.rate", "must be more than 0", "number"),
    (put("senders.us-short.rate", float("inf")), "senders.us-short.rate", "expected a number", "number"),
    (put("senders.us-short.rate", True), "senders.us-short.rate", "expected a number", "number"),
    (put("senders.us-short.rate", 0.0009), "senders.us-short.rate", "no rate of a sender: 0.0009", "pause it"),
    (put("groups.europe.rate", 1e308), "groups.europe.rate", "no rate of a sender: 1e+308", "0.001 to 1,000,000"),
    (put("groups.europe.carriers", {"att": {"rate": 1e-309}}), "groups.europe.carriers.att.rate", "no rate", "0.001"),
    (put("budgets", {"acme": {"rate": 1e-6}}), "budgets.acme.rate", "no rate of a sender: 1e-06", "0.001"),
    (put("senders.us-short.type", "shortcode"), "senders.us-short.type", "unknown value", "`short_code`"),
    (put("senders.us-short.channels", ["fax"]), "senders.us-short.channels[0]", "unknown value", "mms, sms, whatsapp"),
    (put("senders", {}), "senders", "must not be empty", "at least one"),
    (put("senders", ["a"]), "senders", "expected a section with names, found a list", "`name:` lines"),
    (put("categories.otp.class", "critcal"), "categories.otp.class", "unknown value", "`critical`"),
    (put("categories.otp.doubt", "retry"), "categories.otp.doubt", "unknown value", "resend"),
    (put("categories.otp.intent", "2fa"), "categories.otp.intent", "unknown value", "otp"),
    (put("categories.otp.deadline_s", 300_000), "categories.otp.deadline_s", "must be at most 259200", "limit"),
    (drop("categories.otp.doubt"), "categories.otp.doubt", "required, but missing", "send again, or stop"),
    (put("apps.login.quota", {}), "apps.login.quota", "it limits nothing", "`per_day:`"),
    (put("apps.login.quota", {"lanes": {"us-short": {}}}), "apps.login.quota.lanes.us-short", "nothing", "`per_day:`"),
    (put("apps.login.quota", lane_quota("us-shor")), "apps.login.quota.lanes.us-shor", "no sender", "`us-short`"),
    (put("apps.login.quota", lane_quota("de-name")), "apps.login.quota.lanes.de-name", "does not use", "`senders:`"),
    (put("apps.login.quota.per_second", 0), "apps.login.quota.per_second", "must be more than 0", "number"),
    (put("apps.login.quota.per_day", 0.5), "apps.login.quota.per_day", "expected a whole number", "digits"),
    (put("apps.login.quota.per_hour", 5), "apps.login.quota.per_hour", "unknown key", "per_day"),
    (put("apps.login.enabled", "yes"), "apps.login.enabled", "expected true or false, found text", "without quotes"),
    (put("countries.allow", ["USA"]), "countries.allow[0]", "no ISO 3166 alpha-2 country: USA", "two letters"),
    (put("countries.allow", ["US", "uk"]), "countries.allow[1]", "no ISO 3166", "write GB"),
    (put("countries.allow", ["US", "de"]), "countries.allow[1]", "no ISO 3166", "write DE"),
    # secrets and ids
    (put("accounts.main.auth_token", "hunter2"), "accounts.main.auth_token", "must not stand in the", "{env: NAME}"),
    (put("accounts.main.auth_token", 12345), "accounts.main.auth_token", "must not stand in the", "{env: NAME}"),
    (put("accounts.main.auth_token", {}), "accounts.main.auth_token", "named in one way", "exactly one"),
    (put("accounts.main.auth_token.file", "x"), "accounts.main.auth_token", "named in one way", "exactly one"),
    (put("accounts.main.api_key.secret", "s"), "accounts.main.api_key.secret", "must not stand in the", "{file: PATH}"),
    (put("accounts.main.signing_tokens", ["t"]), "accounts.main.signing_tokens[0]", "must not stand", "{env: NAME}"),
    (put("accounts.main.sid", "AC12"), "accounts.main.sid", "no SID of an account", "AC followed by 32"),
    (put("accounts.main.api_key.sid", "AC" + "1" * 32), "accounts.main.api_key.sid", "no SID of an API key", "SK"),
    # credentials
    (put("accounts.two", {"sid": "AC" + "3" * 32}), "accounts.two", "no credential for sending", "auth_token: {env"),
    (drop("accounts.main.auth_token"), "accounts.main", "no token to check webhook signatures", "signing_tokens"),
    (
        put("accounts.two", {"sid": "AC" + "1" * 32, "auth_token": {"env": "T"}}),
        "accounts.two.sid",
        "account `main` has the same SID",
        "keep one",
    ),
    (put("kafka.security.protocol", "SASL_SSL"), "kafka.security.password", "SASL_SSL needs it", "add `password:`"),
    (put("kafka.security.username", "me"), "kafka.security.username", "PLAINTEXT does not use it", "SASL_SSL"),
    (put("kafka.security.username_from", {"env": "ME"}), "kafka.security.username_from", "does not use it", "SASL_SSL"),
    (
        put("kafka.security", SASL | {"username": "me", "username_from": {"env": "ME"}}),
        "kafka.security.username_from",
        "named twice",
        "one user per process",
    ),
    (put("kafka.security.ca_file", "ca.pem"), "kafka.security.ca_file", "PLAINTEXT is not encrypted", "SSL"),
    (put("registry.username", "me"), "registry", "password is missing", "or neither"),
    # addresses and URLs
    (put("kafka.bootstrap", ["broker"]), "kafka.bootstrap[0]", "not a host and port: `broker`", "host:port"),
    (put("kafka.bootstrap", ["a:1", "b:99999"]), "kafka.bootstrap[1]", "not a host and port", "host:port"),
    (put("bridge.listen", "8080"), "bridge.listen", "not a host and port", "host:port"),
    (put("bridge.public_url", "http://comms.example.com"), "bridge.public_url", "plain http", "https://"),
    (put("bridge.public_url", "http://bridge:8080"), "bridge.public_url", "plain http", "https://"),
    (put("bridge.public_url", "comms.example.com"), "bridge.public_url", "not a URL", "https://host"),
    (put("bridge.public_url", "https://a.example/?x=1"), "bridge.public_url", "query or fragment", "after the path"),
    (put("bridge.public_url", "https://u:p@a.example"), "bridge.public_url", "holds credentials", "remove them"),
    (put("accounts.main.base_url", "http://api.twilio.com"), "accounts.main.base_url", "credentials unencr", "https"),
    (put("registry.url", "registry:8080"), "registry.url", "not a URL", "https://host"),
    (put("health", {"policy": 9, "dispatch": 9}), "health.dispatch", "health.policy has the same port 9", "0"),
    (put("health", {"policy": 8080}), "health.policy", "bridge.listen has the same port 8080", "its own port"),
    (put("kafka.session_timeout_s", 5), "kafka.session_timeout_s", "shorter than brokers accept", "6 or more"),
    (put("kafka.request_timeout_s", 30), "kafka.request_timeout_s", "not shorter than session_timeout_s", "a third"),
    # names and references
    (put("apps.Shop", {"categories": ["otp"], "pool": "login"}), "apps.Shop", "part of its topics", "example `shop`"),
    (put("apps.a_b", {"categories": ["otp"], "pool": "login"}), "apps.a_b", "part of its topics", "example `a-b`"),
    (put("pools.Big", ["us-short"]), "pools.Big", "not a usable name", "lower-case"),
    (put("senders.us-short.account", "mian"), "senders.us-short.account", "no account is called `mian`", "`main`"),
    (put("senders.de-name.group", "asia"), "senders.de-name.group", "no group is called `asia`", "one of: europe"),
    (put("pools.login", ["us-shrt"]), "pools.login[0]", "no sender is called `us-shrt`", "did you mean `us-short`?"),
    (put("pools.login", ["us-short", "us-short"]), "pools.login[1]", "stands here twice", "keep one"),
    (put("pools.login", []), "pools.login", "must not be empty", "at least one sender"),
    (put("apps.login.categories", ["opt"]), "apps.login.categories[0]", "no category is called `opt`", "`otp`"),
    (put("apps.login.pool", "x"), "apps.login.pool", "no pool is called `x`", "one of: login"),
    (put("apps.login.senders", ["x"]), "apps.login.senders[0]", "no sender is called `x`", "one of: de-name, us-short"),
    (drop("apps.login.pool"), "apps.login", "nothing to send from", "add `pool:`"),
    (put("apps.login.principal", "login"), "apps.login.principal", "not a Kafka principal", "write `User:login`"),
    (put("consumers.cdp.principal", "User:"), "consumers.cdp.principal", "not a Kafka principal", "`User:"),
    (put("apps.login.countries", ["FR"]), "apps.login.countries[0]", "FR is not in countries.allow", "countries.allow"),
    # senders
    (put("senders.us-short.address", "+14155550100"), "senders.us-short.address", "not a short code", "without +"),
    (put("senders.us", sender(address="4155550100")), "senders.us.address", "not an E.164 number", "country code"),
    (put("senders.us", sender(address="whatsapp:+1415555")), "senders.us.address", "not an E.164", "the channel"),
    (put("senders.us", sender(type="whatsapp", address="12345")), "senders.us.address", "not an E.164", "and country"),
    (put("senders.de-name.address", "TWELVE CHARS"), "senders.de-name.address", "not an alphanumeric", "at most 11"),
    (put("senders.de-name.address", "1234567"), "senders.de-name.address", "not an alphanumeric", "one letter"),
    (drop("senders.us-short.address"), "senders.us-short.address", "required, but missing", "messaging_service_sid"),
    (drop("senders.us-short.type"), "senders.us-short.type", "required, but missing", "short_code, long_code"),
    (put("senders.us-short.messaging_service_sid", "MG" + "4" * 32), "senders.us-short.address", "has none", "remove"),
    (
        put("senders.two", sender(address="12345", type="short_code", countries=["US"])),
        "senders.two.address",
        "sender `us-short` has the same address",
        "twice the rate",
    ),
    (put("senders.us", sender(channels=["whatsapp"])), "senders.us.channels[0]", "cannot use whatsapp", "second"),
    (put("senders.us", sender(type="whatsapp", channels=["sms"])), "senders.us.channels[0]", "use sms", "second"),
    (put("senders.us", sender(channels=[])), "senders.us.channels", "must not be empty", "name a channel"),
    (put("senders.de-name.channels", ["mms"]), "senders.de-name.channels[0]", "cannot send MMS", "remove"),
    (drop("senders.us-short.countries"), "senders.us-short.countries", "only inside its country", "[US]"),
    (put("senders.de-name.countries", ["US"]), "senders.de-name.countries[0]", "not accepted in US", "number or short"),
    (put("senders.de-name.countries", ["FR"]), "senders.de-name.countries[0]", "not in countries.allow", "add it"),
    # placement
    (put("senders.us-short.partition", 8), "senders.us-short.partition", "does not exist: there are 8", "0 to 7"),
    (put("groups.europe.partition", 99), "groups.europe.partition", "does not exist", "raise kafka.partitions"),
    (put("groups.europe.partition", -1), "groups.europe.partition", "must be at least 0", "number"),
    (put("senders.de-name.partition", 3), "senders.de-name.partition", "is in a group", "remove it"),
    (drop("senders.us-short.partition"), "senders.us-short", "neither partition nor group", "add `partition:`"),
    (put("groups.us-short", {"partition": 4}), "senders.us-short", "has the same name", "write `group: us-short`"),
    (
        put("groups.europe.carriers", {"tmobil": {"rate": 7}}),
        "groups.europe.carriers.tmobil",
        "no carrier is called `tmobil`",
        "tmobile",
    ),
    (
        put("budgets", {"acme": {"rate": 5, "carriers": {"t-mobil": {"per_day": 7}}}}),
        "budgets.acme.carriers.t-mobil",
        "no carrier is called `t-mobil`",
        "tmobile",
    ),
    (
        put("budgets", {"acme": {"rate": 5, "carriers": {"tmobile": {"per_day": 7, "kept_for_critical": 8}}}}),
        "budgets.acme.carriers.tmobile",
        "more is kept than the carrier takes",
        "no more than `per_day`",
    ),
    (put("groups.europe.carriers", {"att": {"rate": 0}}), "groups.europe.carriers.att.rate", "more than 0", "inside"),
    (put("groups.europe.carriers", {"att": {}}), "groups.europe.carriers.att.rate", "required", "add `rate:`"),
    (
        put("carriers", {"own": ["Own"], "other": ["o-w-n"]}),
        "carriers.other[0]",
        "also the name of carrier own",
        "keep it at one",
    ),
    (put("groups.europe.budget", "acme"), "groups.europe.budget", "acme", "budget"),
    (put("groups.europe.partition", 0), "groups.europe.partition", "also that of senders.us-short", "shared: true"),
    (put("groups.europe", {"partition": 0, "shared": True}), "senders.us-short.partition", "also that", "shared: true"),
    # templates and what belongs to choice of sender
    (put("templates", tpl("{{ nobody }}")), "templates.t.versions.1.texts.en", "not declared", "docs/templates.md"),
    (put("templates", tpl("x" * 161)), "templates.t.versions.1.texts.en", "makes 2 segments, not 1", "max_segments"),
    (put("templates", tpl("x", current="2")), "templates.t.current", "no version '2'", "write one of: 1"),
    (put("templates", tpl("x", categories=["opt"])), "templates.t.categories[0]", "no category", "`otp`"),
    (put("templates", tpl("x", unsubscribe=True)), "templates.t.unsubscribe", "no line", "unsubscribe_lines"),
    (put("categories.otp.unsubscribe", True), "categories.otp.unsubscribe", "no line", "unsubscribe_lines"),
    (put("apps.login.templates", ["t-*"]), "apps.login.templates[0]", "no template", "templates"),
    (put("content_templates.a", {"sid": "HX1"}), "content_templates.a.sid", "no SID", "write HX"),
    (put("senders.us-short.short_links", True), "senders.us-short.short_links", "messaging services", "remove it"),
    (put("senders.us-short.daily_people", 250), "senders.us-short.daily_people", "WhatsApp", "remove it"),
    (put("senders.us", sender(type="whatsapp", daily_people=3)), "senders.us.daily_people", "fewer", "or more"),
    (put("senders.us-short.categories", ["opt"]), "senders.us-short.categories[0]", "no category", "`otp`"),
    (put("apps.login.classes", {"opt": "high"}), "apps.login.classes.opt", "no category", "`otp`"),
    (put("apps.login.deadlines_s", {"otp": 300_000}), "apps.login.deadlines_s.otp", "at most", "number"),
]


@pytest.mark.parametrize(("change", "path", "what", "fix"), ERRORS, ids=[f"{row[0].__name__}" for row in ERRORS])
def test_a_mistake_is_told_with_its_path_and_fix(
    problems_after: Find, change: Callable[[dict[str, Any]], None], path: str, what: str, fix: str
) -> None:
    errors = [each for each in problems_after(change) if each.severity is Severity.ERROR]
    found = [each for each in errors if each.place == path and what in each.what]
    assert found, f"not among {errors}"
    assert fix in found[0].fix
    assert found[0].line is not None or found[0].path == ("kafka",)  # a section that is missing stands on no line


ACCEPTED = [
    put("groups.asia", {"partition": 3, "shared": True, "rate": 1.5}),
    put("bridge.public_url", "http://127.0.0.1:8080"),
    put("bridge.public_url", "http://localhost:8080/twilio"),
    put("accounts.main.base_url", "http://twin:8090"),
    put("senders.us", sender(channels=["sms", "mms"])),
    put("senders.us", sender(type="whatsapp")),
    put("senders.us", {"account": "main", "messaging_service_sid": "MG" + "a" * 32, "rate": 5, "partition": 5}),
    put("senders.us-short.address", 12345),
    put("kafka.security", {"protocol": "SSL", "ca_file": "ca.pem"}),
    put("health", {"policy": 0, "dispatch": 0, "feedback": 0}),
    drop("registry"),
    drop("consumers"),
]


@pytest.mark.parametrize("change", ACCEPTED, ids=[change.__name__ for change in ACCEPTED])
def test_what_is_right_is_accepted(problems_after: Find, change: Callable[[dict[str, Any]], None]) -> None:
    assert [problem for problem in problems_after(change) if problem.severity is Severity.ERROR] == []


@pytest.mark.parametrize("change", ACCEPTED, ids=[change.__name__ for change in ACCEPTED])
def test_what_is_accepted_is_accepted_by_every_layer_below(
    config_data: dict[str, Any], change: Callable[[dict[str, Any]], None]
) -> None:
    change(config_data)
    environment = {"TOKEN": "t0ken-value", "SECRET": "s3cret-value"}
    loaded = loads(yaml.safe_dump(config_data), "test.yaml", frozenset(Purpose), environment)
    assert conversions.lane_table(loaded.config).lanes
    assert conversions.policy_config(loaded.config).apps
    assert conversions.kafka_settings(loaded.config, loaded.secrets).lease_s > 0
    assert conversions.bridge_settings(loaded.config, loaded.secrets).accounts
    assert twin_settings(loaded.config, loaded.secrets).accounts


def test_the_same_number_may_be_an_sms_and_a_whatsapp_sender(problems_after: Find) -> None:
    def both(data: dict[str, Any]) -> None:
        data["senders"]["a"] = sender(partition=5)
        data["senders"]["b"] = sender(partition=6, type="whatsapp")

    assert problems_after(both) == []


def test_the_groups_of_a_budget_lie_on_one_partition(problems_after: Find) -> None:
    def change(data: dict[str, Any]) -> None:
        data["budgets"] = {"acme": {"rate": 5}}
        data["groups"]["europe"] |= {"shared": True, "budget": "acme"}
        data["groups"]["asia"] = {"partition": 6, "shared": True, "budget": "acme"}
        data["senders"]["jp"] = sender(partition=None, group="asia")

    found = [problem for problem in problems_after(change) if "budget" in problem.what]
    home = 2
    assert [problem.place for problem in found] == ["groups.asia.partition"]
    assert found[0].what == f"budget acme is also that of groups.europe, on partition {home}."
    assert f"write {home} and `shared: true`" in found[0].fix

    def mend(data: dict[str, Any]) -> None:
        change(data)
        data["groups"]["asia"]["partition"] = home

    assert problems_after(mend) == []


def test_two_groups_share_a_partition_when_both_say_so(problems_after: Find) -> None:
    def both(data: dict[str, Any]) -> None:
        data["groups"]["europe"] = {"partition": 0, "shared": True}
        data["senders"]["us-short"]["shared"] = True

    assert problems_after(both) == []


WARNINGS = [
    (put("groups.idle", {"partition": 7}), "groups.idle", "no sender is in this group"),
    (put("budgets", {"idle": {"rate": 7}}), "budgets.idle", "no group shares this budget"),
    (put("categories.otp.class", "high"), "categories", "everything on an urgent topic will be denied"),
    (
        put("apps.copy", {"categories": ["otp"], "pool": "login", "principal": "User:login"}),
        "apps.copy.principal",
        "each could write as the other",
    ),
]


@pytest.mark.parametrize(("change", "path", "what"), WARNINGS, ids=[row[1] for row in WARNINGS])
def test_what_is_allowed_but_hardly_meant_is_a_warning(
    problems_after: Find, change: Callable[[dict[str, Any]], None], path: str, what: str
) -> None:
    [warning] = problems_after(change)
    assert (warning.place, warning.severity) == (path, Severity.WARNING)
    assert what in warning.what
    assert warning.fix
