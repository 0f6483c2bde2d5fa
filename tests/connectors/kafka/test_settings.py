"""Settings that the Kafka clients of a process share."""

from typing import Any

import pytest

from connectors.kafka.settings import KafkaSecurity, KafkaSettings


def test_a_plain_connection_needs_only_an_address() -> None:
    assert KafkaSettings(bootstrap=("a:1", "b:2")).client_config() == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "PLAINTEXT",
    }


def test_scram_over_tls_is_told_to_librdkafka_in_full() -> None:
    security = KafkaSecurity("SASL_SSL", "SCRAM-SHA-512", "shop", "pw", "/ca.pem")
    assert KafkaSettings(bootstrap=("a:1",), security=security).client_config() == {
        "bootstrap.servers": "a:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "shop",
        "sasl.password": "pw",
        "ssl.ca.location": "/ca.pem",
    }


def test_the_password_is_not_shown() -> None:
    security = KafkaSecurity("SASL_PLAINTEXT", "PLAIN", "shop", "hush-hush")
    assert "hush-hush" not in repr(KafkaSettings(bootstrap=("a:1",), security=security))


def test_sasl_without_a_password_is_refused() -> None:
    with pytest.raises(ValueError, match="mechanism, username and password"):
        KafkaSecurity("SASL_SSL", "PLAIN", "shop")


def test_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="bootstrap"):
        KafkaSettings(bootstrap=())


def test_the_lease_ends_one_request_before_the_group_may_give_the_partitions_away() -> None:
    assert KafkaSettings(bootstrap=("a:1",), session_timeout_s=30, request_timeout_s=10).lease_s == 20
    assert KafkaSettings(bootstrap=("a:1",), rebalance_timeout_s=15, request_timeout_s=10).lease_s == 5


@pytest.mark.parametrize(
    ("times", "complaint"),
    [
        ({"session_timeout_s": 10, "request_timeout_s": 10}, "request timeout"),
        ({"rebalance_timeout_s": 10, "request_timeout_s": 10}, "request timeout"),
        ({"session_timeout_s": 10, "request_timeout_s": 5, "heartbeat_interval_s": 4}, "heartbeat interval"),
        ({"rebalance_timeout_s": 60}, "broker request timeout"),
        ({"session_timeout_s": 60}, "broker request timeout"),
    ],
)
def test_times_that_cannot_work_together_are_refused(times: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        KafkaSettings(bootstrap=("a:1",), **times)
