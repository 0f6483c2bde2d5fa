"""Users of a broker that asks for credentials."""

from __future__ import annotations

from connectors.kafka.settings import KafkaSecurity, KafkaSettings
from tests.support.kafka import Kafka
from tests.support.kafka_broker import Broker, add_users


def user_of(broker: Broker, name: str) -> Kafka:
    """Make a user of that name and return the cluster as this user sees it."""
    assert broker.sasl_bootstrap is not None
    password = f"{name}-password"
    add_users(broker.bootstrap, {name: password})
    return Kafka(
        broker.sasl_bootstrap,
        config={
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": name,
            "sasl.password": password,
        },
    )


def settings_of(user: Kafka, *, password: str | None = None) -> KafkaSettings:
    """How the product reaches Kafka as this user; or with another password."""
    security = KafkaSecurity(
        protocol="SASL_PLAINTEXT",
        mechanism="SCRAM-SHA-512",
        username=str(user.config["sasl.username"]),
        password=password or str(user.config["sasl.password"]),
    )
    return KafkaSettings((user.bootstrap,), security=security)
