"""The troubles a twin makes on purpose, by plan and seed: with requests, with webhooks, with lists."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from twin.settings import CallbackFault, FaultSettings, RequestFault, Span


@dataclass(slots=True)
class RequestTrouble:
    """What happens to one request.

    Attributes:
        latency_s: real seconds of delay before it is processed.
        before: trouble instead of processing it.
        after: trouble instead of answering what was done.
        hang_s: real seconds without an answer, of a trouble that hangs.
        drip_s: real seconds that the answer takes to come.
    """

    latency_s: float = 0.0
    before: RequestFault | None = None
    after: RequestFault | None = None
    hang_s: float = 0.0
    drip_s: float = 0.0


@dataclass(slots=True)
class CallbackTrouble:
    """What happens to one webhook: lost, repeated, late (twin seconds), with an unknown parameter."""

    lost: bool = False
    copies: int = 0
    delay_s: float = 0.0
    extra: bool = False


_NORMAL_99 = 2.3263478740408408
"""99th percentile of the normal distribution, in standard deviations."""
NO_REQUEST_TROUBLE = RequestTrouble()
NO_CALLBACK_TROUBLE = CallbackTrouble()


class FaultPlan:
    """Decides about each request and webhook."""

    def __init__(self, settings: FaultSettings, now: float) -> None:
        self.plan(settings, now)

    def plan(self, settings: FaultSettings, now: float) -> None:
        """Follow this plan; its counts and its time begin now (the twin's clock)."""
        self.settings = settings
        self._started = now
        self._random = random.Random(settings.seed)
        self._seen = [0] * len(settings.requests)
        self._done = [0] * len(settings.requests)
        self._called = [0] * len(settings.callbacks)

    def for_request(self, kind: str, to: str, sender: str, now: float) -> RequestTrouble:
        """The trouble of a request; kind is create or read."""
        if not self.settings.requests:
            return NO_REQUEST_TROUBLE
        trouble = RequestTrouble()
        for at, rule in enumerate(self.settings.requests):
            if not self._applies(at, rule, kind, to, sender, now - self._started):
                continue
            delay_s = self._delay_s(rule)
            if rule.kind == "latency":
                trouble.latency_s += delay_s
                continue
            if rule.kind == "drip":
                trouble.drip_s += delay_s
                continue
            if rule.kind.endswith("_after"):
                trouble.after = rule
            else:
                trouble.before = rule
            trouble.hang_s = delay_s
            return trouble
        return trouble

    def for_callback(self, kind: str, status: str) -> CallbackTrouble:
        """The trouble of a webhook; kind is status or inbound."""
        if not self.settings.callbacks:
            return NO_CALLBACK_TROUBLE
        trouble = CallbackTrouble()
        for at, rule in enumerate(self.settings.callbacks):
            if not self._concerns(at, rule, kind, status):
                continue
            if rule.kind == "lose":
                trouble.lost = True
            elif rule.kind == "duplicate":
                trouble.copies += rule.copies
            elif rule.kind == "delay":
                trouble.delay_s += self._draw(rule.delay_s)
            else:
                trouble.extra = True
        return trouble

    def listing_lag_s(self, to: str) -> float:
        """How long the message to `to` that is accepted now will be missing from lists."""
        for rule in self.settings.listing_lags:
            if to.startswith(rule.to_prefix) and to.endswith(rule.to_suffix) and self._by_chance(rule.share):
                return self._draw(rule.lag_s)
        return self._draw(self.settings.listing_lag_s)

    def _applies(self, at: int, rule: RequestFault, kind: str, to: str, sender: str, since_s: float) -> bool:
        if rule.every_s is not None:
            since_s %= rule.every_s
        fits = (
            rule.on in (kind, "any")
            and to.startswith(rule.to_prefix)
            and to.endswith(rule.to_suffix)
            and (rule.from_address is None or rule.from_address == sender)
            and rule.from_s <= since_s
            and (rule.until_s is None or since_s < rule.until_s)
        )
        if not fits:
            return False
        self._seen[at] += 1
        if self._seen[at] <= rule.skip or (rule.first is not None and self._done[at] >= rule.first):
            return False
        if not self._by_chance(rule.share):
            return False
        self._done[at] += 1
        return True

    def _concerns(self, at: int, rule: CallbackFault, kind: str, status: str) -> bool:
        if rule.on not in (kind, "any") or (rule.statuses and status not in rule.statuses):
            return False
        if (rule.first is not None and self._called[at] >= rule.first) or self._random.random() >= rule.share:
            return False
        self._called[at] += 1
        return True

    def _by_chance(self, share: float) -> bool:
        return share >= 1 or self._random.random() < share

    def _delay_s(self, rule: RequestFault) -> float:
        if rule.spread == "even":
            return self._draw(rule.delay_s)
        median, percentile_99 = rule.delay_s
        drawn = self._random.lognormvariate(math.log(median), math.log(percentile_99 / median) / _NORMAL_99)
        return drawn if rule.at_most_s is None else min(drawn, rule.at_most_s)

    def _draw(self, span: Span) -> float:
        return span[0] if span[0] == span[1] else self._random.uniform(*span)
