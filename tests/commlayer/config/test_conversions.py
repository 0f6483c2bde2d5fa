"""What the layers below get is what the file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from commlayer.config import ConfigurationInvalid, Loaded, Purpose, conversions, load, loads
from commlayer.config.standin import twin_settings
from connectors.kafka.settings import KafkaSecurity
from connectors.twilio.errors import Scope, Subject, Suppress, classify
from schemas.records import Channel, DoubtPolicy, MessageClass
from schemas.topics import PartitionCounts
from streams.dispatch.lanes import Budget, DayCap
from streams.dispatch.scheduler import Scheduler
from streams.dispatch.settling import RESENDS
from streams.policy.config import Quota

ENVIRONMENT = {
    "TOKEN": "t0ken-value",
    "SECRET": "s3cret-value",
    "KAFKA": "k4fka-value",
    "KAFKA_USER": "policy",
    "OLD": "old-token",
}


def loaded(data: dict[str, Any], *purposes: Purpose) -> Loaded:
    return loads(yaml.safe_dump(data), "test.yaml", frozenset(purposes or Purpose), ENVIRONMENT)


def test_rules_for_errors_change_what_codes_mean_and_add_new_ones(config_data: dict[str, Any]) -> None:
    config_data["errors"] = {
        "30007": {"class": "recipient", "retry": "no", "suppress": "channel", "suppress_for_s": 60, "fix": "look"},
        "31999": {"class": "throttled", "about": "account", "retry": "later"},
        "30005": {"suppress": "none"},
    }
    policy = conversions.error_policy(loaded(config_data).config)
    changed = policy.classify(30007)
    assert (changed.scope, changed.suppress, changed.suppress_for_s) == (Scope.RECIPIENT, Suppress.CHANNEL, 60)
    assert changed.action == "look"
    assert (policy.classify(31999).scope, policy.classify(31999).subject) == (Scope.THROTTLED, Subject.ACCOUNT)
    assert policy.classify(30005).suppress is None
    assert policy.classify(21211) == classify(21211)


def test_shares_of_classes_and_slots_of_accounts_reach_the_scheduler(config_data: dict[str, Any]) -> None:
    config_data["accounts"]["main"]["max_in_flight"] = 20
    config_data["dispatch"] = {"shares": {"bulk": 0.3, "high": 0.0}}
    config = loaded(config_data).config
    assert config.dispatch.resends == RESENDS
    table = conversions.lane_table(config)
    plan = Scheduler(table, random=lambda: 0.5, settings=conversions.scheduler_settings(config))
    account = plan.accounts["main"]
    assert account.concurrency.slots == 20
    for shares in (account.shares, account.parking.shares, plan.lanes["us-short"].shares):
        assert tuple(shares.shares) == (0.0, 0.0, 0.1, 0.3)


def test_shares_leave_something_to_the_most_urgent_class(config_data: dict[str, Any]) -> None:
    config_data["dispatch"] = {"shares": {"bulk": 0.6, "high": 0.3}}
    with pytest.raises(ConfigurationInvalid) as invalid:
        loaded(config_data)
    [problem] = invalid.value.problems
    assert problem.path == ("dispatch", "shares")
    assert "1" in problem.what
    assert "below 1" in problem.fix


def test_kafka_settings_carry_addresses_times_and_credentials(config_data: dict[str, Any]) -> None:
    config_data["kafka"] |= {
        "bootstrap": ["a:1", "b:2"],
        "session_timeout_s": 45,
        "request_timeout_s": 12,
        "security": {
            "protocol": "SASL_SSL",
            "mechanism": "SCRAM-SHA-512",
            "username": "commlayer",
            "password": {"env": "KAFKA"},
            "ca_file": "ca.pem",
        },
    }
    each = loaded(config_data)
    settings = conversions.kafka_settings(each.config, each.secrets)
    assert settings.bootstrap == ("a:1", "b:2")
    assert settings.lease_s == 33
    assert settings.broker_request_timeout_s > settings.session_timeout_s
    assert settings.security == KafkaSecurity("SASL_SSL", "SCRAM-SHA-512", "commlayer", "k4fka-value", "ca.pem")
    assert conversions.partition_counts(each.config) == PartitionCounts(dispatch=8)


def test_one_file_serves_processes_with_users_of_their_own(config_data: dict[str, Any]) -> None:
    config_data["kafka"]["security"] = {
        "protocol": "SASL_SSL",
        "mechanism": "SCRAM-SHA-512",
        "username_from": {"env": "KAFKA_USER"},
        "password": {"env": "KAFKA"},
    }
    each = loaded(config_data)
    security = conversions.kafka_settings(each.config, each.secrets).security
    assert (security.username, security.password) == ("policy", "k4fka-value")
    # A name is no secret: masked, it would take the word out of every line of the log.
    assert "policy" not in each.secrets.values()
    assert "k4fka-value" in each.secrets.values()


def test_the_shortest_session_still_allows_three_heartbeats(config_data: dict[str, Any]) -> None:
    config_data["kafka"] |= {"session_timeout_s": 6, "request_timeout_s": 2}
    each = loaded(config_data)
    assert conversions.kafka_settings(each.config, each.secrets).heartbeat_interval_s == 2


def test_policy_sees_apps_categories_senders_and_pools(config_data: dict[str, Any]) -> None:
    config_data["pools"]["spare"] = ["de-name"]
    config_data["apps"]["login"] |= {"pools": ["spare", "login"], "senders": ["de-name"], "countries": ["US"]}
    config_data["categories"]["otp"] |= {"intent": "otp", "deadline_s": 600}
    config = loaded(config_data).config
    policy = conversions.policy_config(config)
    assert policy.version == config.version
    assert policy.countries == {"US", "DE"}
    app = policy.apps["login"]
    assert (app.pools, app.senders, app.countries) == (("login", "spare"), ("de-name",), frozenset({"US"}))
    category = policy.categories["otp"]
    assert (category.message_class, category.doubt_policy, category.message_intent, category.deadline_s) == (
        MessageClass.CRITICAL,
        DoubtPolicy.RESEND,
        "otp",
        600,
    )
    assert (policy.senders["us-short"].group, policy.senders["us-short"].partition) == ("us-short", 0)
    assert (policy.senders["de-name"].group, policy.senders["de-name"].partition) == ("europe", 2)
    assert policy.senders["de-name"].channels == {Channel.SMS}


def test_policy_sees_the_quota_of_an_app(config_data: dict[str, Any]) -> None:
    assert conversions.policy_config(loaded(config_data).config).apps["login"].quota == Quota()
    config_data["apps"]["login"]["quota"] = {"per_second": 0.5, "per_day": 1000}
    assert conversions.policy_config(loaded(config_data).config).apps["login"].quota == Quota(
        per_second=0.5, per_day=1000
    )
    config_data["apps"]["login"]["quota"] = {"lanes": {"us-short": {"per_second": 2.0, "per_day": 9}}}
    assert conversions.policy_config(loaded(config_data).config).apps["login"].quota == Quota(
        lanes={"us-short": Quota(per_second=2.0, per_day=9)}
    )


def test_dispatch_sees_a_lane_for_each_sender_and_a_group_for_each_partition(config_data: dict[str, Any]) -> None:
    config_data["groups"]["europe"]["rate"] = 7.5
    number = {"account": "main", "address": "+14155550100", "rate": 2}
    config_data["senders"]["us"] = {**number, "type": "long_code", "partition": 5}
    config_data["senders"]["us-whatsapp"] = {**number, "type": "whatsapp", "partition": 6}
    day = {"per_day": 2000, "kept_for_critical": 50}
    config_data["budgets"] = {"acme": {"rate": 5, "carriers": {"tmobile": day}}}
    config_data["groups"]["europe"]["budget"] = "acme"
    config_data["groups"]["europe"]["carriers"] = {"att": {"rate": 2}, "three": {"rate": 1.5}}
    config_data["carriers"] = {"three": ["Three UK", "234-20"]}
    config_data["senders"]["service"] = {
        "account": "main",
        "messaging_service_sid": "MG" + "a" * 32,
        "rate": 3,
        "partition": 7,
    }
    table = conversions.lane_table(loaded(config_data).config)
    assert {name: table.partition_of(name) for name in table.lanes} == {
        "us-short": 0,
        "de-name": 2,
        "us": 5,
        "us-whatsapp": 6,
        "service": 7,
    }
    assert table.groups["europe"].rate == 7.5
    assert table.groups["europe"].budget == "acme"
    assert table.groups["europe"].carriers == {"att": 2.0, "three": 1.5}
    assert conversions.policy_config(loaded(config_data).config).carriers.named("23420") == "three"
    assert table.budgets["acme"].rate == 5.0
    assert table.budgets["acme"].day_caps == {"tmobile": DayCap(2000, 50)}
    assert conversions.budgets(loaded(config_data).config) == {"de-name": "acme"}
    del config_data["budgets"]["acme"]["rate"]
    assert conversions.lane_table(loaded(config_data).config).budgets["acme"] == Budget(
        "acme", None, table.budgets["acme"].day_caps
    )
    assert table.partitions == 8
    assert table.lanes["us-whatsapp"].channels == (Channel.WHATSAPP,)


def test_an_account_holds_only_what_its_process_has_read(config_data: dict[str, Any]) -> None:
    config_data["accounts"]["main"]["signing_tokens"] = [{"env": "OLD"}]
    config_data["accounts"]["main"]["base_url"] = "http://twin:8090/"
    sending = loaded(config_data, Purpose.SENDING)
    account = conversions.accounts(sending.config, sending.secrets)["main"]
    assert (account.api_user, account.api_password, account.signing_tokens) == ("SK" + "2" * 32, "s3cret-value", ())
    assert account.base_url == "http://twin:8090"
    signing = loaded(config_data, Purpose.SIGNING)
    account = conversions.accounts(signing.config, signing.secrets)["main"]
    assert (account.api_password, account.signing_tokens) == ("", ("t0ken-value", "old-token"))


def test_without_an_api_key_the_auth_token_sends(config_data: dict[str, Any]) -> None:
    del config_data["accounts"]["main"]["api_key"]
    sending = loaded(config_data, Purpose.SENDING)
    account = conversions.accounts(sending.config, sending.secrets)["main"]
    assert (account.api_user, account.api_password) == ("AC" + "1" * 32, "t0ken-value")


def test_the_twin_has_the_same_accounts_and_senders_and_answers_to_the_bridge(config_data: dict[str, Any]) -> None:
    config_data["twin"] = {"outcomes": {"default": {"status": "undelivered", "error_code": 30003}}}
    each = loaded(config_data)
    twin = twin_settings(each.config, each.secrets)
    [account] = twin.accounts
    assert (account.sid, account.auth_token, account.api_keys) == (
        "AC" + "1" * 32,
        "t0ken-value",
        {"SK" + "2" * 32: "s3cret-value"},
    )
    name, short = twin.senders
    assert (short.address, short.type, short.rate, short.country) == ("12345", "short_code", 100, "US")
    assert name.inbound_url == "https://comms.example.com/twilio/inbound"
    assert twin.outcomes.default.error_code == 30003


def test_the_example_converts() -> None:
    example = Path(__file__).parents[3] / "examples" / "commlayer.yaml"
    environment = {
        "TWILIO_AUTH_TOKEN": "t0ken-value",
        "TWILIO_API_SECRET": "s3cret-value",
        "SEGMENT_PROFILE_TOKEN": "t",
    }
    each = load(example, frozenset(Purpose), environment)
    assert conversions.lane_table(each.config).partition_of("de-mobile") == 2
    assert conversions.policy_config(each.config).apps["shop"].senders == ("us-short",)
    assert twin_settings(each.config, each.secrets).senders
