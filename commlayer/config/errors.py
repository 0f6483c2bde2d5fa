"""The section about errors: an operator's different opinion about one of Twilio's codes."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from connectors.twilio import errors
from connectors.twilio.errors import ErrorOverride, Retry, Scope

from .fields import Flag, PositiveInt, Section


class About(StrEnum):
    """Who must slow down."""

    SENDER = "sender"
    ACCOUNT = "account"


class Suppress(StrEnum):
    """How far a number is suppressed."""

    NONE = "none"
    CHANNEL = "channel"
    ALL = "all"


class ErrorRule(Section):
    """What one of Twilio's error codes means here; what is left away stays as docs/errors.md tells."""

    scope: Scope | None = Field(default=None, alias="class", description="Who must stop, or what is to be done.")
    about: About | None = Field(default=None, description="For class throttled: who must slow down.")
    retry: Retry | None = Field(default=None, description="Whether the same message may be tried again.")
    fix: str | None = Field(default=None, min_length=1, description="What to do about it, for the log and `/lanes`.")
    opt_out: Flag | None = Field(default=None, description="The person opted out; for class recipient.")
    suppress: Suppress | None = Field(default=None, description="Suppress the number, so far; for class recipient.")
    suppress_for_s: PositiveInt | None = Field(
        default=None, description="Seconds until `suppress` ends; for ever when absent."
    )

    blames_sender: Flag | None = Field(
        default=None,
        description="A message that fails with it, once Twilio took it, counts against its sender (`sender_health`).",
    )
    may_be_country: Flag | None = Field(
        default=None,
        description="For class sender: Twilio may refuse the sender for the recipient's country alone; then only what "
        "is for that country waits.",
    )

    def as_override(self) -> ErrorOverride:
        """The same for the connector."""
        suppresses = self.suppress is not None and self.suppress is not Suppress.NONE
        return ErrorOverride(
            scope=self.scope,
            retry=self.retry,
            subject=errors.Subject(self.about.value) if self.about is not None else None,
            action=self.fix,
            opt_out=self.opt_out,
            suppresses=None if self.suppress is None else suppresses,
            suppress=errors.Suppress(self.suppress.value) if suppresses and self.suppress else errors.Suppress.ALL,
            suppress_for_s=self.suppress_for_s,
            blames_sender=self.blames_sender,
            may_be_country=self.may_be_country,
        )
