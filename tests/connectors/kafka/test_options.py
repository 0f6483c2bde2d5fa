"""What a consumer is told, also by an app that is not one of ours."""

from pathlib import Path

import faust
from faust.transport.drivers import by_url

from connectors.kafka.app import create_app
from connectors.kafka.options import options_of
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topic_partition import TP
from connectors.kafka.transport import Transport


def test_faust_finds_the_transport_by_its_scheme() -> None:
    assert by_url("commkafka://127.0.0.1:9092") is Transport


def test_our_app_brings_its_own_options(tmp_path: Path) -> None:
    app = create_app(KafkaSettings(bootstrap=("a:1",)), group="g", anchor=None, datadir=tmp_path)
    assert options_of(app) is app.consumer_options


def test_a_plain_faust_app_gets_options_that_follow_from_its_settings() -> None:
    app = faust.App(
        "plain",
        broker="commkafka://a:1;commkafka://b:2",
        broker_session_timeout=30.0,
        broker_rebalance_timeout=20.0,
        broker_request_timeout=40.0,
    )
    options = options_of(app)
    assert options.settings.bootstrap == ("a:1", "b:2")
    assert options.settings.session_timeout_s == 30
    assert options.settings.lease_s == 10, "a third of the session before the rebalance timeout"
    assert (options.windows.anchor, options.windows.window(TP("t", 0))) == (None, 1000)
