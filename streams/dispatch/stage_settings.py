"""What an operator may set of dispatch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.twilio.http import HttpSettings

from .doubts import SETTLE_S
from .scheduler_settings import SchedulerSettings
from .settling import RESENDS


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """What an operator may set.

    Attributes:
        public_url: base URL of the bridge for status callbacks, without trailing slash; None sends without callbacks.
        scheduler: shares, requests in flight.
        http: timeouts of the requests to Twilio. The total timeout must not exceed the `request_timeout_s` that the
            lease was made with.
        settle_s: from an INTENT in doubt to the first look at Twilio's list.
        brands: brand of the lanes that have one, for opt-outs from a brand.
        by_law: categories that opt-outs do not stop.
        resends: how often a message in doubt is sent again in one round.

    Raises:
        ValueError: a request may take longer than `settle_s`.
    """

    public_url: str | None
    scheduler: SchedulerSettings = field(default_factory=SchedulerSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    settle_s: float = SETTLE_S
    brands: Mapping[str, str] = field(default_factory=dict)
    by_law: frozenset[str] = frozenset()
    resends: int = RESENDS

    def __post_init__(self) -> None:
        if self.settle_s <= self.http.total_timeout_s:
            raise ValueError(
                f"doubts settle after {self.settle_s} s, and a request may take {self.http.total_timeout_s} s: "
                "Twilio's list would be read too early"
            )
