"""How records begin to flow after a rebalance: Faust's table recovery without tables.

Stock resumes the flow before it seeks, in the midst of a further rebalance as well, and stops for good when the broker
does not answer in time. Tables themselves are refused: stock lost updates of them in a rebalance where nobody crashed.
"""

from __future__ import annotations

from typing import Any

from faust.tables import TableManager
from faust.tables.recovery import Recovery


class Resume(Recovery):  # type: ignore[misc]  # Faust's classes are untyped
    """Runs `Consumer.restore_and_flow` after each assignment, off the group's callback: heartbeats go on meanwhile."""

    async def _resume_streams(self, generation_id: int = 0) -> None:
        app = self.app
        if await app.consumer.restore_and_flow():
            await app._fetcher.maybe_start()
            self.tables.on_actives_ready()
            self.tables.on_standbys_ready()
            app.on_rebalance_end()
            self.completed.set()


class NoTables(TableManager):  # type: ignore[misc]  # Faust's classes are untyped
    """Faust's table manager with our resume and without its tables."""

    _recovery: Recovery | None

    @property
    def recovery(self) -> Recovery:
        """The service that resumes the flow."""
        if self._recovery is None:
            self._recovery = Resume(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Start without stock's second of waiting for tables to be declared."""
        await self._update_channels()
        await self.recovery.start()

    def add(self, table: Any) -> Any:
        """Refuse a table."""
        raise RuntimeError("no Faust tables: state belongs in partition state of our own")
