"""What belongs together in a configuration: references, addresses, partitions, credentials.

Each check takes the draft and yields problems; none stops at the first.
"""

from __future__ import annotations

from collections.abc import Iterator

from commlayer.config.draft import Draft
from commlayer.config.problems import Problem

from .caps import caps
from .endpoints import endpoints
from .errors import errors
from .names import names
from .placement import placement
from .profiles import profiles
from .quiet import quiet
from .rules import rules
from .senders import senders
from .templates import templates
from .whatsapp import whatsapp

_CHECKS = (names, endpoints, senders, placement, rules, caps, quiet, profiles, templates, whatsapp, errors)


def check(draft: Draft) -> Iterator[Problem]:
    """Everything that does not fit together, without line numbers."""
    for each in _CHECKS:
        yield from each(draft)
