"""Connection overrides in the fragment of a webhook URL, e.g. `#rc=5&rp=all`.

Source: docs, usage/webhooks/webhooks-connection-overrides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

POLICIES = frozenset({"4xx", "5xx", "ct", "rt", "all"})

_RANGES = {"ct": (100, 10_000), "rt": (100, 15_000), "tt": (100, 15_000), "rc": (0, 5)}


@dataclass(frozen=True, slots=True)
class Overrides:
    """How a webhook is tried.

    Attributes:
        connect_ms, read_ms: time to connect, and to wait for the answer.
        total_ms: all tries together.
        retries: how many further tries.
        policy: which failures are tried again: 4xx, 5xx, ct (could not connect), rt (no answer), all.
    """

    connect_ms: int = 5_000
    read_ms: int = 15_000
    total_ms: int = 15_000
    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})

    def retry(self, failure: str) -> bool:
        """Whether a failure of this class is tried again."""
        return failure in self.policy or "all" in self.policy


@lru_cache(maxsize=4096)
def _read(fragment: str) -> Overrides:
    given = dict(parse_qsl(fragment))
    numbers: dict[str, int] = {}
    for key, (low, high) in _RANGES.items():
        text = given.get(key, "")
        if text.isascii() and text.isdigit() and low <= int(text) <= high:
            numbers[key] = int(text)
    policy = frozenset(given.get("rp", "").split(",")) & POLICIES
    plain = Overrides()
    return Overrides(
        connect_ms=numbers.get("ct", plain.connect_ms),
        read_ms=numbers.get("rt", plain.read_ms),
        total_ms=numbers.get("tt", plain.total_ms),
        retries=numbers.get("rc", plain.retries),
        policy=policy or plain.policy,
    )


def split(url: str) -> tuple[str, Overrides]:
    """The URL that is called and signed, and how; what is unknown or out of range keeps its default."""
    bare, _, fragment = url.partition("#")
    return bare, _read(fragment)
