"""The reference of every key, from the models themselves: docs/configuration.md holds it."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .explain import bare
from .fields import SecretRef, Section
from .model import Configuration


def reference() -> str:
    """Markdown: one table for each section."""
    return "\n".join(line for path, section in _sections(Configuration, "") for line in _describe(path, section))


def _sections(section: type[Section], path: str) -> Iterator[tuple[str, type[Section]]]:
    yield path, section
    for name, field in _fields(section):
        inner, key = _inner(field.annotation)
        if isinstance(inner, type) and issubclass(inner, Section) and inner is not SecretRef:
            yield from _sections(inner, f"{path}.{name}{key}" if path else f"{name}{key}")


def _describe(path: str, section: type[Section]) -> Iterator[str]:
    yield f"### `{path}`" if path else "### Sections"
    yield ""
    yield " ".join((section.__doc__ or "").split())
    yield ""
    yield "| Key | Type | Default | Meaning |"
    yield "|---|---|---|---|"
    for name, field in _fields(section):
        yield f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {field.description or ''} |"
    yield ""


def _fields(section: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        yield field.alias or name, field


def _inner(annotation: Any) -> tuple[Any, str]:
    """The section behind an annotation, and what stands between its key and it (`.<name>` for entries by name, `[]` for
    entries of a list)."""
    annotation = bare(annotation)
    if typing.get_origin(annotation) is dict:
        return bare(typing.get_args(annotation)[1]), ".<name>"
    if typing.get_origin(annotation) is tuple:
        return bare(typing.get_args(annotation)[0]), "[]"
    return annotation, ""


def _type(annotation: Any) -> str:
    annotation = bare(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " \\| ".join(f"`{word}`" for word in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"{_type(arguments[1])} by name"
    if annotation is SecretRef:
        return "`{env: NAME}` or `{file: PATH}`"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return " \\| ".join(f"`{word.value}`" for word in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section" if issubclass(annotation, Section) else "section (see `twin/settings.py`)"
    return {str: "text", int: "whole number", float: "number", bool: "`true` \\| `false`"}[annotation]


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "**required**"
    if field.default is None or isinstance(field.default, BaseModel) or field.default in ((), {}):
        return ""
    value = field.default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
