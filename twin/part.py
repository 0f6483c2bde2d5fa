"""What all groups of the twin's settings have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)
