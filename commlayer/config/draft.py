"""The part of a configuration that has the right shape, so that one run tells wrong shapes and references alike."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined

from .caps import Cap
from .errors import ErrorRule
from .explain import section_at
from .infrastructure import HealthPorts, Kafka, Registry, Twin
from .model import Configuration
from .problems import Path
from .profiles import Profiles
from .quiet import QuietHours
from .rules import App, Category, Consumer, Countries
from .templates import ContentTemplate, Template
from .twilio import Account, Bridge, Group, Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Sections as in `Configuration`, but a section or entry of the wrong shape is absent.

    Attributes:
        declared: names per section as they stand in the file, with those of malformed entries; a section that is not
            there at all or has no names is missing here, so that references into it are not judged.
    """

    kafka: Kafka | None = None
    registry: Registry | None = None
    bridge: Bridge | None = None
    accounts: Mapping[str, Account] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
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
    profiles: Profiles | None = None
    consumers: Mapping[str, Consumer] = field(default_factory=dict)
    health: HealthPorts | None = None
    twin: Twin | None = None
    declared: Mapping[str, frozenset[str]] = field(default_factory=dict)


NAMED = (
    "accounts",
    "groups",
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


def draft(data: Mapping[str, Any], malformed: set[Path]) -> Draft:
    """The well-formed rest of the data, given the paths of all shape errors in it."""
    unknown = {path for path in malformed if section_at(path) is None}
    data = _without(data, unknown)
    malformed = malformed - unknown
    sections: dict[str, Any] = {}
    declared: dict[str, frozenset[str]] = {}
    whole = {path[0] for path in malformed if len(path) == 1}
    entries = {path[:2] for path in malformed if len(path) > 1}
    for name in (item.name for item in fields(Draft) if item.name != "declared"):
        if name in whole:
            continue
        if name not in data:
            default = Configuration.model_fields[name].default
            if default is not PydanticUndefined:
                sections[name] = default
                if name in NAMED:
                    declared[name] = frozenset()
        elif name in NAMED:
            adapter: TypeAdapter[Any] = TypeAdapter(section_at((name, "any")))
            declared[name] = frozenset(data[name])
            sections[name] = {
                key: adapter.validate_python(value) for key, value in data[name].items() if (name, key) not in entries
            }
        elif not any(path[0] == name for path in entries):
            sections[name] = TypeAdapter(section_at((name,))).validate_python(data[name])
    return Draft(**sections, declared=declared)


def _without(data: Mapping[str, Any], unknown: set[Path]) -> dict[str, Any]:
    """A copy without the keys that nobody expects: what stands beside them can still be judged."""
    rest: dict[str, Any] = copy.deepcopy(dict(data))
    for path in unknown:
        section: Any = rest
        for part in path[:-1]:
            section = section[part]
        section.pop(path[-1], None)
    return rest
