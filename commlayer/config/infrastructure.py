"""The sections about what commlayer runs on: Kafka, registry, health ports, state, twin."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from connectors.kafka.settings import Mechanism, Protocol
from schemas.topics import PartitionCounts
from twin.settings import FaultSettings, OutcomeSettings, WebhookSettings
from twin.ten_dlc_settings import TenDlcSettings

from .fields import Port, PositiveFloat, PositiveInt, SecretRef, Section

_COUNTS = PartitionCounts()


class Security(Section):
    """Credentials and encryption towards the brokers."""

    protocol: Protocol = Field(default="PLAINTEXT", description="As Kafka names it.")
    mechanism: Mechanism | None = Field(default=None, description="SASL mechanism; with the SASL protocols only.")
    username: str | None = Field(default=None, min_length=1, description="SASL user.")
    username_from: SecretRef | None = Field(
        default=None,
        description="Where the name of the SASL user stands, in place of `username`: each process has a user of its "
        "own, and all read this file.",
    )
    password: SecretRef | None = Field(default=None, description="SASL password.")
    ca_file: str | None = Field(
        default=None, description="PEM file of the authority that signed the brokers' certificates; else the system's."
    )


class Partitions(Section):
    """Partition counts by kind of topic."""

    recipient: PositiveInt = Field(
        default=_COUNTS.recipient, description="Topics keyed by recipient. Changed by procedure only."
    )
    dispatch: PositiveInt = Field(
        default=_COUNTS.dispatch, description="Dispatch and attempts: at least the highest partition of a group + 1."
    )
    lifecycle: PositiveInt = Field(default=_COUNTS.lifecycle, description="Topics keyed by message id.")
    dead: PositiveInt = Field(default=_COUNTS.dead, description="`comms.dead`.")
    control: PositiveInt = Field(default=_COUNTS.control, description="`comms.control`.")


class Party(StrEnum):
    """Who, besides apps and consumers, touches topics: names of the topic catalogue."""

    POLICY = "policy"
    DISPATCH = "dispatch"
    FEEDBACK = "feedback"
    BRIDGE = "bridge"
    GATEWAY = "gateway"
    OPERATOR = "operator"
    CDP = "cdp"
    CRM = "crm"


class Kafka(Section):
    """The brokers and the topics on them."""

    bootstrap: tuple[str, ...] = Field(min_length=1, description="`host:port` of one or more brokers.")
    security: Security = Field(default=Security(), description="Credentials and encryption.")
    partitions: Partitions = Field(default=Partitions(), description="Partition counts by kind of topic.")
    replication: PositiveInt = Field(
        default=3, description="Copies of every partition. Less than 3 needs `topics apply --dev`."
    )
    principals: dict[Party, str] = Field(
        default={},
        description="Kafka principals of our processes and of outside parties, for the ACLs of `topics apply`: "
        "policy, dispatch, feedback, bridge, gateway, operator, cdp, crm. Who is left out gets no ACL.",
    )
    session_timeout_s: PositiveFloat = Field(
        default=30.0, description="Silence after which the group takes a worker's partitions away, seconds."
    )
    request_timeout_s: PositiveFloat = Field(
        default=10.0,
        description="Hard timeout of a POST to Twilio, seconds. Sending stops this much before the session ends.",
    )


class Registry(Section):
    """Schema registry with Confluent's API (Apicurio, Confluent). Without this section records are written in Avro
    single-object encoding."""

    url: str = Field(description="Base URL; Apicurio's ends in /apis/ccompat/v7.")
    username: str | None = Field(default=None, min_length=1, description="User for HTTP basic authentication.")
    password: SecretRef | None = Field(default=None, description="Password for HTTP basic authentication.")
    ca_file: str | None = Field(default=None, description="PEM file of the authority that signed its certificate.")


class HealthPorts(Section):
    """Where each process serves `/health/live`, `/health/ready` and `/metrics`. 0: any free port, told in the log.
    The bridge serves them on its own address."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for probes from outside.")
    policy: Port = Field(default=8081, description="Port of `run policy`.")
    dispatch: Port = Field(default=8082, description="Port of `run dispatch`.")
    feedback: Port = Field(default=8083, description="Port of `run feedback`.")
    all: Port = Field(default=8084, description="Port of `run all`: ready when every process is.")


class Twin(Section):
    """How `commlayer twin` stands in for Twilio on this machine."""

    listen: str = Field(default="127.0.0.1:8090", description="`host:port` to listen on.")
    outcomes: OutcomeSettings = Field(default=OutcomeSettings(), description="What becomes of messages.")
    ten_dlc: TenDlcSettings = Field(
        default=TenDlcSettings(), description="What carriers of the USA take of its long codes."
    )
    faults: FaultSettings = Field(default=FaultSettings(), description="Troubles that it makes.")
    webhooks: WebhookSettings = Field(default=WebhookSettings(), description="How it calls the bridge.")
    price_after_s: Annotated[float, Field(ge=0)] = Field(default=1.0, description="Seconds from `sent` to a price.")


DataDir = Annotated[
    str, Field(min_length=1, description="Folder for local state (caches; everything that matters is in Kafka).")
]
