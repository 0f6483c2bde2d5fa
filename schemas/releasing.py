"""Releasing schemas: to the registry of an installation, and as the snapshot that later versions are held against."""

from __future__ import annotations

import json
from pathlib import Path

from .compatibility import Finding, check, check_released
from .errors import IncompatibleSchema
from .loading import current, file_stems, released, released_in
from .registry import Registry


def register_all(registry: Registry) -> dict[str, int]:
    """Register today's schema of every record; into a subject that is still empty, all released versions first, so that
    the registry knows what older topics hold. Doing it again changes nothing.

    Returns:
        schema id of today's schema by full name of the record.

    Raises:
        IncompatibleSchema: the registry refuses one; those before it in the alphabet are registered.
        RegistryUnavailable: see `Registry`.
    """
    ids: dict[str, int] = {}
    for name, ours in sorted(current().items()):
        if not registry.versions(name):
            for earlier in released().get(name, {}).values():
                registry.register(earlier)
        ids[name] = registry.register(ours)
    return ids


def check_registry(registry: Registry) -> list[Finding]:
    """Why the registry would refuse today's schemas, by the versions that it holds; empty when it would take them."""
    findings: list[Finding] = []
    for name, ours in sorted(current().items()):
        found = [
            finding
            for version in registry.versions(name)
            for finding in check(ours, version.schema, version=version.number)
        ]
        if not found and not registry.accepts(ours):
            found = [Finding(name, None, "", "the registry refuses it", "ask its own interface why")]
        findings += found
    return findings


def write_release(folder: Path) -> list[Path]:
    """Write today's schemas as newly released versions; run once per release of commlayer, and commit the files.

    Only what differs from the last released version is written. A released file is never changed: data written with
    it exists.

    Args:
        folder: `schemas/released` of a checkout.

    Returns:
        the files written.

    Raises:
        IncompatibleSchema: today's schemas cannot read an earlier version; nothing is written.
    """
    earlier = released_in(folder)
    findings = check_released(current(), earlier)
    if findings:
        raise IncompatibleSchema(findings[0].record, "; ".join(map(str, findings)))
    written: list[Path] = []
    for name, ours in sorted(current().items()):
        versions = earlier.get(name, {})
        last = max(versions, default=0)
        if last and versions[last].definition == ours.definition:
            continue
        file = folder / file_stems()[name] / f"v{last + 1}.avsc"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(ours.definition, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(file)
    return written
