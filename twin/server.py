"""A running twin: as an aiohttp application, or in-process for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType

from aiohttp import web

from twin.api import MessagesApi
from twin.books import Books
from twin.control import Control
from twin.exchange import Exchange
from twin.inbox import Receipt
from twin.settings import FaultSettings, OutcomeSettings, TwinSettings

EXCHANGE = web.AppKey("exchange", Exchange)


def create_app(settings: TwinSettings) -> web.Application:
    """The twin as an application. Call it inside the loop that will run it; its exchange is `app[EXCHANGE]`."""
    exchange = Exchange(settings)
    app = _application(exchange)

    async def life(_: web.Application) -> AsyncIterator[None]:
        yield
        await exchange.close()

    app.cleanup_ctx.append(life)
    return app


def _application(exchange: Exchange) -> web.Application:
    app = web.Application(client_max_size=256 * 1024)
    app[EXCHANGE] = exchange
    MessagesApi(exchange).add_routes(app)
    Control(exchange).add_routes(app)
    return app


class Twin:
    """A twin in this process, on a port of its own.

        async with Twin(settings) as twin:
            client.api.base_url = twin.url

    Args:
        settings: `TwinSettings.demo()` where absent.
        port: 0 picks a free one.
    """

    def __init__(self, settings: TwinSettings | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._settings = settings or TwinSettings.demo()
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self._exchange: Exchange | None = None

    async def __aenter__(self) -> Twin:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Where it listens, e.g. `http://127.0.0.1:8090`."""
        return f"http://{self._host}:{self._port}"

    @property
    def exchange(self) -> Exchange:
        """All its parts. Raises RuntimeError when it does not run."""
        if self._exchange is None:
            raise RuntimeError("the twin is not running")
        return self._exchange

    @property
    def books(self) -> Books:
        """What it has seen."""
        return self.exchange.books

    async def start(self) -> None:
        """Listen, with empty books. Raises OSError when the port is taken."""
        self._exchange = Exchange(self._settings)
        await self.listen()

    async def stop(self) -> None:
        """Stop listening and calling; the books stay readable."""
        await self.hang_up()
        await self.exchange.close()

    async def hang_up(self) -> None:
        """Be unreachable: tear all connections and refuse new ones. Messages and webhooks go on."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def listen(self) -> None:
        """Be reachable again, on the same port, with the same books."""
        # A hanging answer of the fault plan must not hold the end of a test.
        runner = web.AppRunner(_application(self.exchange), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, backlog=1024).start()
        except OSError:
            await runner.cleanup()
            raise
        self._port = runner.addresses[0][1]
        self._runner = runner

    async def inbound(
        self,
        from_address: str,
        to: str,
        body: str = "",
        *,
        media: Sequence[str] = (),
        extra: Mapping[str, str] | None = None,
    ) -> Receipt:
        """A person writes to a sender; see `Exchange.inbound`."""
        return await self.exchange.inbound(from_address, to, body, media=media, extra=extra)

    async def advance(self, seconds: float) -> None:
        """Move a virtual clock."""
        await self.exchange.advance(seconds)

    async def settled(self) -> None:
        """Wait until nothing will change by itself; see `Exchange.settled`."""
        await self.exchange.settled()

    def plan_faults(self, faults: FaultSettings) -> None:
        """Make other troubles from now on."""
        self.exchange.plan_faults(faults)

    def plan_outcomes(self, outcomes: OutcomeSettings) -> None:
        """Let messages to come end otherwise."""
        self.exchange.plan_outcomes(outcomes)

    def pacing(self, *, tolerance_s: float = 0.0) -> list[dict[str, object]]:
        """The worst window of each lane; see `Books.pacing`."""
        return self.books.pacing(self.exchange.directory.rates(), tolerance_s=tolerance_s)

    def carriers(self) -> list[dict[str, object]]:
        """What carriers took and refused; see `Carriers.rows`."""
        return self.exchange.carriers.rows(self.exchange.clock.now())

    def reset(self) -> None:
        """Forget messages, books, queues and opt-outs."""
        self.exchange.reset()
