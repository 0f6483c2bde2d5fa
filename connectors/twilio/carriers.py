"""Which carrier a name or the codes of a network mean: pure, from `data/carriers.yaml` and the operator's own table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import yaml

_SAID = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Carriers:
    """Our names of carriers, and what others call them.

    Attributes:
        own: further names and codes by our name of the carrier, which may be a new one. They come before the packaged
            ones.
    """

    own: Mapping[str, Iterable[str]] = field(default_factory=dict)
    _by_alias: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        aliases = dict(_packaged())
        for name, others in self.own.items():
            aliases |= {folded(each): name for each in (name, *others)}
        aliases.pop("", None)  # of a name without letters and digits
        object.__setattr__(self, "_by_alias", aliases)

    @property
    def names(self) -> frozenset[str]:
        """Every carrier that is known, by our name."""
        return frozenset(self._by_alias.values())

    def named(self, said: str | None) -> str | None:
        """Our name for what customer data says: a name, or MCC and MNC in one (`310260`, `310-260`). None for one that
        is not known."""
        return None if said is None else self._by_alias.get(folded(said))


def folded(said: str) -> str:
    """A name or codes as they are compared: case and punctuation do not matter."""
    return _SAID.sub("", said.casefold())


@cache
def _packaged() -> Mapping[str, str]:
    table = yaml.safe_load((files(__package__) / "data/carriers.yaml").read_text(encoding="utf-8"))
    return {folded(alias): name for name, said in table.items() for alias in (name, *said["names"], *said["codes"])}
