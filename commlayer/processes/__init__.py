"""What each process is made of. A module here puts one together from the configuration and runs it until it is told to
stop; the parts know nothing of each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from commlayer.config import Purpose


class Process(StrEnum):
    """The processes that `commlayer run` knows, in the order in which data flows."""

    POLICY = "policy"
    DISPATCH = "dispatch"
    FEEDBACK = "feedback"
    BRIDGE = "bridge"


PURPOSES: dict[Process, frozenset[Purpose]] = {
    Process.POLICY: frozenset({Purpose.KAFKA, Purpose.REGISTRY, Purpose.ENRICHING}),
    Process.DISPATCH: frozenset({Purpose.KAFKA, Purpose.REGISTRY, Purpose.SENDING}),
    Process.FEEDBACK: frozenset({Purpose.KAFKA, Purpose.REGISTRY}),
    Process.BRIDGE: frozenset({Purpose.KAFKA, Purpose.REGISTRY, Purpose.SIGNING}),
}
"""The secrets that each process reads; the others need not even be there."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says beside the configuration.

    Attributes:
        health_port: of a stage, in place of the configured one; 0 for any free one.
        listen: of the bridge, in place of the configured address.
        instance_id: static group membership: a restart within the session timeout disturbs nobody. Must be unique
            among the living processes of a stage: who comes with the id of one that still runs is given its partitions
            at once, and for some seconds both may send.
    """

    health_port: int | None = None
    listen: tuple[str, int] | None = None
    instance_id: str | None = None
