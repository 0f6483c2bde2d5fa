"""Health of a process: what it depends on, and whether its work advances.

`/health/live` answers 503 when the process should be restarted; `/health/ready` when it should get no new work yet.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


@dataclass(frozen=True, slots=True)
class Health:
    """State of one part.

    Attributes:
        ok: the part works.
        detail: one line for a person; no secrets, no bodies, numbers masked.
    """

    ok: bool
    detail: str = ""


class HealthBoard:
    """Collects the checks of a process. A check is called at each request and must not block."""

    def __init__(self) -> None:
        self._ready: dict[str, Callable[[], Health]] = {}
        self._live: dict[str, Callable[[], Health]] = {}
        self._views: dict[str, Callable[[], Any]] = {}

    def show(self, name: str, view: Callable[[], Any]) -> None:
        """Serve what `view` returns (plain values) as JSON at `/<name>`, for people and for the demo's live view."""
        self._views[name] = view

    def views(self) -> dict[str, Callable[[], Any]]:
        """The views by name."""
        return dict(self._views)

    def ready_when(self, name: str, check: Callable[[], Health]) -> None:
        """The process is ready only while this check holds (a broker reached, partitions restored)."""
        self._ready[name] = check

    def live_while(self, name: str, check: Callable[[], Health]) -> None:
        """The process is live only while this check holds (runnable work advances)."""
        self._live[name] = check

    def ready(self) -> tuple[bool, dict[str, Health]]:
        """Whether all readiness checks hold, and each by name."""
        return _evaluate(self._ready)

    def live(self) -> tuple[bool, dict[str, Health]]:
        """Whether all liveness checks hold, and each by name."""
        return _evaluate(self._live)


class Progress:
    """Liveness of a stage: not live when something was runnable all the time and nothing finished for `limit_s`.

    The stage calls `runnable(count)` whenever the number of records it could act on now changes, and `finished()`
    for each record done. Records that wait for a token, a due time or a dependency are not runnable.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._stuck_since: float | None = None

    def runnable(self, count: int) -> None:
        """Tell how many records could be acted on now."""
        if count == 0:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = self._clock()

    def finished(self) -> None:
        """Tell that a record was finished."""
        if self._stuck_since is not None:
            self._stuck_since = self._clock()

    def check(self) -> Health:
        """The liveness check."""
        if self._stuck_since is None:
            return Health(True)
        stuck_s = self._clock() - self._stuck_since
        return Health(stuck_s < self._limit_s, f"runnable records, none finished for {stuck_s:.0f} s")


def add_routes(app: web.Application, board: HealthBoard) -> None:
    """Serve `/health/live`, `/health/ready`, Prometheus `/metrics`, and the views that the board has by now."""

    async def answer(evaluate: Callable[[], tuple[bool, dict[str, Health]]]) -> web.Response:
        ok, parts = evaluate()
        body = {"ok": ok, "parts": {name: {"ok": part.ok, "detail": part.detail} for name, part in parts.items()}}
        return web.json_response(body, status=200 if ok else 503)

    async def live(_: web.Request) -> web.Response:
        return await answer(board.live)

    async def ready(_: web.Request) -> web.Response:
        return await answer(board.ready)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/metrics", metrics)
    for name, view in board.views().items():
        app.router.add_get(f"/{name}", _shown(view))


def _shown(view: Callable[[], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def show(_: web.Request) -> web.Response:
        return web.json_response(view())

    return show


def _evaluate(checks: dict[str, Callable[[], Health]]) -> tuple[bool, dict[str, Health]]:
    parts = {name: check() for name, check in checks.items()}
    return all(part.ok for part in parts.values()), parts
