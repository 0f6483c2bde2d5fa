"""What the running dispatch processes say of their lanes: `/lanes` on their health ports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from commlayer.config import Configuration

ANSWER_WITHIN_S = 2.0
"""The view is made from memory."""
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # addresses to listen on that nobody can call


@dataclass(frozen=True, slots=True)
class Answer:
    """One process, asked once.

    Attributes:
        at: `host:port`.
        view: what it showed; None when it did not answer.
        why: why there is none.
    """

    at: str
    view: dict[str, Any] | None = None
    why: str = ""


def addresses(config: Configuration) -> tuple[str, ...]:
    """Where the configuration says that `run dispatch` shows itself; empty when it takes any free port."""
    health = config.health
    return (f"{_ANY.get(health.host, health.host)}:{health.dispatch}",) if health.dispatch else ()


def ask(places: Sequence[str]) -> list[Answer]:
    """Ask all of them at once."""
    if not places:
        return []
    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(_ask, places))


def _ask(place: str) -> Answer:
    try:
        with urlopen(f"http://{place}/lanes", timeout=ANSWER_WITHIN_S) as response:
            view = json.load(response)
    except HTTPError as error:
        return Answer(place, why=f"answers {error.code}: no dispatch process")
    except (OSError, HTTPException, ValueError) as error:
        return Answer(place, why=f"no answer: {getattr(error, 'reason', None) or error}")
    if not isinstance(view, dict) or "lanes" not in view:
        return Answer(place, why="answers something else: no dispatch process")
    return Answer(place, view)
