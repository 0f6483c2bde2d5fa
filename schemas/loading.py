"""The schemas themselves: today's (avro/) and every version ever released (released/<record>/v<N>.avsc)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from fastavro.schema import fingerprint, fullname, parse_schema, to_parsing_canonical_form

Definition = dict[str, Any]
"""A schema as its JSON says it."""

_VERSION_FILE = re.compile(r"v([1-9][0-9]*)\.avsc")


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """One Avro record schema, ready for use.

    Attributes:
        name: full name, for example `commlayer.Dispatch`.
        definition: the JSON as written, with docs and defaults.
        parsed: what fastavro takes.
        fingerprint: CRC-64-AVRO of the parsing canonical form, 8 bytes little-endian as single-object encoding has it.
    """

    name: str
    definition: Definition
    parsed: Any
    fingerprint: bytes

    @property
    def text(self) -> str:
        """The definition as compact JSON: what a registry is given, byte for byte the same on every machine."""
        return json.dumps(self.definition, separators=(",", ":"), ensure_ascii=False)


def schema(definition: Definition) -> Schema:
    """Make a definition usable.

    Raises:
        fastavro.schema.SchemaParseException, UnknownType: it is no valid Avro schema.
    """
    parsed = parse_schema(definition)
    canonical = to_parsing_canonical_form(parsed)
    return Schema(fullname(parsed), definition, parsed, bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO")))


@cache
def current() -> dict[str, Schema]:
    """Today's schema of every record by full name."""
    return {one.name: one for one in map(_read, _files_in(files(__package__) / "avro"))}


@cache
def released() -> dict[str, dict[int, Schema]]:
    """Every released version (number → schema, ascending) of every record by full name."""
    return released_in(files(__package__) / "released")


def released_in(folder: Traversable) -> dict[str, dict[int, Schema]]:
    """The same, from another folder of that layout.

    Raises:
        ValueError: a file is not named v<N>.avsc, or one record's versions differ in name.
    """
    found: dict[str, dict[int, Schema]] = {}
    for record in sorted((entry for entry in folder.iterdir() if entry.is_dir()), key=lambda entry: entry.name):
        versions: dict[int, Schema] = {}
        for file in _files_in(record):
            number = _VERSION_FILE.fullmatch(file.name)
            if number is None:
                raise ValueError(f"{record.name}/{file.name} is not named v<N>.avsc")
            versions[int(number[1])] = _read(file)
        names = {one.name for one in versions.values()}
        if len(names) > 1:
            raise ValueError(f"{record.name} holds versions of more than one record: {', '.join(sorted(names))}")
        for name in names:
            found[name] = dict(sorted(versions.items()))
    return found


@cache
def file_stems() -> dict[str, str]:
    """Full name of a record → name of its file in avro/ without suffix, which is also its folder in released/."""
    return {_read(file).name: file.name.removesuffix(".avsc") for file in _files_in(files(__package__) / "avro")}


def _files_in(folder: Traversable) -> list[Traversable]:
    return sorted((entry for entry in folder.iterdir() if entry.name.endswith(".avsc")), key=lambda file: file.name)


def _read(file: Traversable) -> Schema:
    return schema(json.loads(file.read_text(encoding="utf-8")))
