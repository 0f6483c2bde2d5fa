"""The configuration: one YAML file. The models check its shape; `checks` checks what belongs together."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import Field

from .caps import Cap
from .dispatching import Dispatch
from .errors import ErrorRule
from .fields import Section, Text
from .idempotency import Idempotency
from .infrastructure import DataDir, HealthPorts, Kafka, Registry, Twin
from .profiles import Profiles
from .quiet import QuietHours
from .rules import App, Category, Consumer, Countries
from .sender_health import SenderHealth
from .templates import ContentTemplate, Template
from .twilio import Account, Bridge, Budget, Group, Sender


class Configuration(Section):
    """The top of the file: an installation of commlayer."""

    kafka: Kafka = Field(description="The brokers and the topics on them.")
    registry: Registry | None = Field(default=None, description="Schema registry; optional.")
    bridge: Bridge = Field(description="Where Twilio reaches us.")
    accounts: dict[str, Account] = Field(min_length=1, description="Twilio accounts by name.")
    budgets: dict[str, Budget] = Field(default={}, description="Budgets that several groups share, by name.")
    groups: dict[str, Group] = Field(default={}, description="Pacing groups by name.")
    carriers: dict[str, tuple[Text, ...]] = Field(
        default={},
        description="Further names and network codes (MCC and MNC in one) that customer data may use for a carrier, by "
        "our name for it: att, tmobile, verizon or one of your own.",
    )
    senders: dict[str, Sender] = Field(min_length=1, description="Senders by name.")
    pools: dict[str, tuple[str, ...]] = Field(default={}, description="Names of senders by name of pool.")
    categories: dict[str, Category] = Field(min_length=1, description="Categories by name.")
    apps: dict[str, App] = Field(min_length=1, description="Apps by name.")
    templates: dict[str, Template] = Field(default={}, description="Own templates by name.")
    content_templates: dict[str, ContentTemplate] = Field(
        default={}, description="Content templates of Twilio's by a name of ours; optional."
    )
    unsubscribe_lines: dict[str, str] = Field(
        default={}, description="How to opt out, by locale; the first line where no locale fits."
    )
    countries: Countries = Field(description="Where messages may go at all.")
    quiet_hours: QuietHours = Field(default=QuietHours(), description="When messages may go, at the recipient's place.")
    errors: dict[str, ErrorRule] = Field(
        default={},
        description="What error codes of Twilio's mean here, by code; docs/errors.md tells what they mean else.",
    )
    dispatch: Dispatch = Field(
        default=Dispatch(), description="How dispatch divides pace and slots among classes, and treats doubts."
    )
    sender_health: SenderHealth = Field(
        default=SenderHealth(), description="When a sender whose messages fail is avoided."
    )
    caps: dict[str, Cap] = Field(default={}, description="Frequency caps by name.")
    idempotency: Idempotency = Field(default=Idempotency(), description="How long a repeat is known for one.")
    profiles: Profiles = Field(default=Profiles(), description="Where profiles of people come from.")
    consumers: dict[str, Consumer] = Field(default={}, description="Readers of the feedback topics by name.")
    health: HealthPorts = Field(default=HealthPorts(), description="Ports of health and metrics.")
    data_dir: DataDir = "var"
    twin: Twin = Field(default=Twin(), description="The stand-in for Twilio.")

    def as_data(self) -> dict[str, Any]:
        """Plain data with all defaults; secrets are references in it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def version(self) -> str:
        """Names this content: equal for equal content, also when keys, comments or written-out defaults differ."""
        canonical = json.dumps(self.as_data(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the YAML file, for editors."""
    schema = Configuration.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "commlayer configuration"}
