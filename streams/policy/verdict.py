"""What a rule can say, and what all rules together decide."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.values import value
from schemas.reasons import Reason
from schemas.records import Deferral, Dispatch


@dataclass(frozen=True, slots=True)
class Allow:
    """The rule has nothing against it."""


@dataclass(frozen=True, slots=True)
class Deny:
    """The message will not be sent.

    Attributes:
        reason: reason code.
        field: field of the request at fault; None when no field is.
        detail: what is wrong, in words; never holds a body.
        fix: what the app or the operator can do about it.
        of_channel: it holds for the channel that was tried and says nothing of others, whatever the reason.
        facts: what the rule went by, for the message's story; no numbers, no bodies.
    """

    reason: Reason
    field: str | None
    detail: str
    fix: str
    of_channel: bool = False
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)

    def text(self) -> str:
        """One line for the message's story: field, what is wrong, how to mend it."""
        return f"{self.field}: {self.detail} {self.fix}" if self.field else f"{self.detail} {self.fix}"


@dataclass(frozen=True, slots=True)
class Defer:
    """The message must be decided again at `until` (epoch milliseconds UTC). It is the message's turn on the lane
    `charges` then, and it pays for that now. `facts` as in `Deny`."""

    until: int
    reason: Reason
    charges: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict, compare=False)


Verdict = Allow | Deny | Defer

ALLOW = Allow()


@value
class Admitted:
    """Goes to dispatch.

    Attributes:
        dispatch: the record.
        partition: of the topic of its class.
        facts: for its story.
        opens: its sender writes to the person first with it, and may do so to so many people a day (WhatsApp).
    """

    dispatch: Dispatch
    partition: int
    facts: Mapping[str, str] = field(default_factory=dict)
    opens: bool = False


@value
class Denied:
    """Ends here; `rule` said why. `facts`: what was known, for its story."""

    deny: Deny
    rule: str
    facts: Mapping[str, str] = field(default_factory=dict, compare=False)


@value
class Deferred:
    """Goes to the wheel and comes back for another round; `rule` said why. `facts` as in `Denied`."""

    deferral: Deferral
    defer: Defer
    rule: str
    facts: Mapping[str, str] = field(default_factory=dict, compare=False)


Decision = Admitted | Denied | Deferred
