"""The section about dispatch: what each class of urgency keeps, and how often a message in doubt is sent again."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from streams.dispatch.settling import RESENDS
from streams.dispatch.shares import DEFAULT_SHARES
from streams.dispatch.verdict import POSTS_MAX

from .fields import Section

Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
_CRITICAL, _HIGH, _NORMAL, _BULK = DEFAULT_SHARES


class Shares(Section):
    """What a class keeps of a lane, of a group's rate and of an account's slots while more urgent classes have a
    backlog, as a part of 1. `critical` comes first and needs none."""

    high: Share = Field(default=_HIGH, description="Of `high`; 0 keeps nothing for it.")
    normal: Share = Field(default=_NORMAL, description="Of `normal`.")
    bulk: Share = Field(default=_BULK, description="Of `bulk`.")

    @model_validator(mode="after")
    def _leave_something(self) -> Shares:
        together = self.high + self.normal + self.bulk
        if together >= 1:
            fix = "write shares whose sum is below 1: what they leave is that of the most urgent class."
            raise PydanticCustomError("shares", "all shares together are {sum}", {"sum": f"{together:g}", "fix": fix})
        return self

    @property
    def by_rank(self) -> tuple[float, ...]:
        """In the order of the classes, critical first."""
        return (_CRITICAL, self.high, self.normal, self.bulk)


class Dispatch(Section):
    """How dispatch divides what it has, and what it does about doubts."""

    shares: Shares = Field(default=Shares(), description="Guaranteed shares of the classes.")
    resends: int = Field(
        default=RESENDS,
        ge=0,
        le=POSTS_MAX,
        description=(
            "How often a message whose answer was lost is sent again where its category says `doubt: resend`, in one "
            "round; then it ends as `unknown`."
        ),
    )
