"""Values that are made for every message: frozen as far as the type checker goes, and not at run time.

A frozen dataclass sets each field by a call, which makes it three to five times as dear as one that is not; of the
values that one decision makes that was a tenth of its time. The rule is the same: nobody changes one that is made, and
mypy sees to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Class decorator: a slotted dataclass; compared by its fields, not to be hashed."""
    return dataclass(slots=True)(cls)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def named_value(cls: type[T]) -> type[T]:
    """The same, with all fields given by name."""
    return dataclass(slots=True, kw_only=True)(cls)
