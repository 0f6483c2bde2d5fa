"""The part of a configuration that has the right shape, so that one run tells wrong shapes and references alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic_core import PydanticUndefined

from .caps import Cap
from .errors import ErrorRule
from .idempotency import Idempotency
from .infrastructure import HealthPorts, Kafka, Registry, Twin
from .mending import mended
from .model import Configuration
from .problems import Path
from .profiles import Profiles
from .quiet import QuietHours
from .rules import App, Category, Consumer, Countries
from .templates import ContentTemplate, Template
from .twilio import Account, Bridge, Budget, Group, Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Sections as in `Configuration`, but a section or entry that cannot be mended is absent.

    Attributes:
        declared: names per section as they stand in the file, with those of malformed entries; a section that is not
            there at all or has no names is missing here, so that references into it are not judged.
    """

    kafka: Kafka | None = None
    registry: Registry | None = None
    bridge: Bridge | None = None
    accounts: Mapping[str, Account] = field(default_factory=dict)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    carriers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    senders: Mapping[str, Sender] = field(default_factory=dict)
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    categories: Mapping[str, Category] = field(default_factory=dict)
    apps: Mapping[str, App] = field(default_factory=dict)
    templates: Mapping[str, Template] = field(default_factory=dict)
    content_templates: Mapping[str, ContentTemplate] = field(default_factory=dict)
    unsubscribe_lines: Mapping[str, str] = field(default_factory=dict)
    countries: Countries | None = None
    quiet_hours: QuietHours | None = None
    errors: Mapping[str, ErrorRule] = field(default_factory=dict)
    caps: Mapping[str, Cap] = field(default_factory=dict)
    idempotency: Idempotency | None = None
    profiles: Profiles | None = None
    consumers: Mapping[str, Consumer] = field(default_factory=dict)
    health: HealthPorts | None = None
    twin: Twin | None = None
    declared: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def senders_of(self, app: App) -> set[str]:
        """Names of the senders that an app may use, its pools' among them."""
        pools = [*app.pools, *([app.pool] if app.pool else [])]
        return {*app.senders, *(name for pool in pools for name in self.pools.get(pool, ()))}


NAMED = (
    "accounts",
    "budgets",
    "groups",
    "carriers",
    "senders",
    "pools",
    "categories",
    "apps",
    "templates",
    "content_templates",
    "caps",
    "consumers",
)
"""Sections that hold entries by name."""


def draft(data: Mapping[str, Any], malformed: set[Path]) -> tuple[Draft, set[Path]]:
    """The well-formed rest of the data, given the paths of all shape errors in it; and the paths where something else
    stands for what is malformed, about which nothing more is to be said."""
    malformed = {path for path in malformed if path}
    sections: dict[str, Any] = {}
    declared: dict[str, frozenset[str]] = {}
    for name in (item.name for item in fields(Draft) if item.name != "declared"):
        if name not in data:
            default = Configuration.model_fields[name].default
            if default is not PydanticUndefined and (name,) not in malformed:
                sections[name] = default
                if name in NAMED:
                    declared[name] = frozenset()
            continue
        of_section = {path[1:] for path in malformed if path[0] == name}
        if () in of_section:
            continue
        if name in NAMED:
            declared[name] = frozenset(data[name])
            entries = {
                key: mended(value, {path[1:] for path in of_section if path[0] == key}, (name, key))
                for key, value in data[name].items()
                if (key,) not in of_section
            }
            sections[name] = {key: entry for key, entry in entries.items() if entry is not None}
        else:
            section = mended(data[name], of_section, (name,))
            if section is not None:
                sections[name] = section
    return Draft(**sections, declared=declared), malformed
