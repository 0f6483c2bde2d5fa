"""What Faust is told."""

import ssl
from pathlib import Path

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from mode import CrashingSupervisor

from connectors.kafka.app import StageApp, create_app
from connectors.kafka.settings import KafkaSecurity, KafkaSettings
from connectors.kafka.topic_partition import TP
from connectors.kafka.window import DEFAULT_WINDOW


def app_with(tmp_path: Path, settings: KafkaSettings) -> StageApp:
    return create_app(settings, group="commlayer.dispatch", anchor="critical", instance_id="pod-0", datadir=tmp_path)


def test_the_settings_reach_faust(tmp_path: Path) -> None:
    settings = KafkaSettings(
        bootstrap=("a:1", "b:2"), session_timeout_s=20, rebalance_timeout_s=15, request_timeout_s=5
    )
    conf = app_with(tmp_path, settings).conf
    assert [str(url) for url in conf.broker_consumer] == ["commkafka://a:1", "commkafka://b:2"]
    assert (conf.id, conf.consumer_group_instance_id) == ("commlayer.dispatch", "pod-0")
    assert (conf.broker_session_timeout, conf.broker_rebalance_timeout) == (20, 15)
    assert (conf.broker_commit_interval, conf.consumer_max_fetch_size) == (0.5, 131_072)
    assert conf.stream_wait_empty is False, "stock waits for every unfinished record"
    assert conf.table_standby_replicas == 1, "Faust's own assignor keeps equal partitions together"
    assert conf.agent_supervisor is CrashingSupervisor, "others ack what failed"
    assert (conf.web_enabled, conf.topic_allow_declare, conf.worker_redirect_stdouts) == (False, False, False)


def test_the_lease_follows_from_the_settings_and_the_window_has_a_default(tmp_path: Path) -> None:
    app = app_with(tmp_path, KafkaSettings(bootstrap=("a:1",)))
    assert app.lease._duration_s == 20
    assert app.consumer_options.windows.window(TP("t", 0)) == DEFAULT_WINDOW
    assert app.consumer_options.windows.anchor == "critical"


def test_tables_are_refused(tmp_path: Path) -> None:
    app = app_with(tmp_path, KafkaSettings(bootstrap=("a:1",)))
    with pytest.raises(RuntimeError, match="no Faust tables"):
        app.Table("t")


@pytest.mark.parametrize(
    ("security", "protocol", "encrypted"),
    [
        (KafkaSecurity("SSL"), "SSL", True),
        (KafkaSecurity("SASL_PLAINTEXT", "SCRAM-SHA-512", "shop", "pw"), "SASL_PLAINTEXT", False),
        (KafkaSecurity("SASL_SSL", "PLAIN", "shop", "pw"), "SASL_SSL", True),
    ],
)
def test_credentials_are_told_to_the_client(
    tmp_path: Path, security: KafkaSecurity, protocol: str, encrypted: bool
) -> None:
    conf = app_with(tmp_path, KafkaSettings(bootstrap=("a:1",), security=security)).conf
    auth = credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context)
    assert auth["security_protocol"] == protocol
    assert isinstance(auth["ssl_context"], ssl.SSLContext) is encrypted
    if encrypted:
        assert auth["ssl_context"].verify_mode is ssl.CERT_REQUIRED
        assert auth["ssl_context"].check_hostname
    if security.sasl:
        assert auth["sasl_mechanism"] == security.mechanism
        assert (auth["sasl_plain_username"], auth["sasl_plain_password"]) == ("shop", "pw")


def test_without_security_the_client_is_plain(tmp_path: Path) -> None:
    conf = app_with(tmp_path, KafkaSettings(bootstrap=("a:1",))).conf
    assert credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context) == {"security_protocol": "PLAINTEXT"}
