"""Time limits of requests that are all equally long."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadlines:
    """Ends whatever takes longer than a fixed time. One timer serves all, set to the oldest: a timer for each request
    costs a tenth of the request in uvloop. Made and used inside the running loop.

    Args:
        after_s: seconds from `limit` to the end; must be the same for all, for the oldest is looked at first.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._loop = asyncio.get_running_loop()
        self._running: dict[Limit, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> Limit:
        """For one `with`: raises TimeoutError inside the present task if it lasts too long."""
        return Limit(self)

    def began(self, limit: Limit) -> None:
        """Called by a limit."""
        at = self._running[limit] = self._loop.time() + self._after_s
        if self._timer is None:
            self._timer = self._loop.call_at(at, self._look)

    def ended(self, limit: Limit) -> None:
        """Called by a limit."""
        self._running.pop(limit, None)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for limit, at in list(self._running.items()):
            if at > now:
                self._timer = self._loop.call_at(at, self._look)
                return
            del self._running[limit]
            limit.passed()


class Limit:
    """One use of `Deadlines`. Ends its task's waiting as `asyncio.timeout` does."""

    __slots__ = ("_cancelling", "_deadlines", "_passed", "_task")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._passed = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a limit belongs to a task"
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines.began(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._passed:
            self._deadlines.ended(self)
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def passed(self) -> None:
        """It lasts too long."""
        self._passed = True
        self._task.cancel()
