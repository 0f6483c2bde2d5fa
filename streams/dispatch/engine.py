"""Dispatch without Kafka's consumer: reception, scheduler, sender, settler and doubts, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol

from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.topic_partition import TP
from connectors.twilio.errors import ErrorPolicy
from schemas.codec import Codec
from schemas.reasons import Reason
from schemas.records import Dispatch

from .attempt_log import AttemptLog
from .attempts import Histories
from .correspondence import Correspondence
from .day_caps import DayCaps
from .doubts import SETTLE_S, Callbacks, DoubtDesk, Outcomes
from .listing import Lister, Lists
from .outbox import Outbox
from .positions import IntentPositions
from .reception import Reception
from .scheduler import Scheduler
from .sending import Posts, Sender, Surroundings
from .settling import RESENDS, Settler
from .shared_reading import Find, SharedReading
from .tenure import Tenure, UnderWay
from .troubles import Troubles


class Twilio(Posts, Lists, Protocol):
    """What sends and lists; `connectors.twilio.messages.Messages`."""


class Engine:
    """One process's dispatch. All methods belong to its event loop.

    Args:
        find: reads the attempts log (`Replay.find`).
        callbacks: reads what Twilio's callbacks said (`Replay.callbacks`).
        owner: name of this process in the attempts log.
        broken: given an exception that no part can handle; the process must end.
        finished: told of each message that has left.
        places: partitions of the attempts log on which a group lies or has lain.
        errors: what Twilio's errors mean; the table as shipped when None.
        settle_s: from an INTENT in doubt to the first look at Twilio's list; longer than a request may take.
        resends: how often a message in doubt is sent again in one round.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        twilio: Twilio,
        codec: Codec,
        publisher: DurablePublisher,
        find: Find,
        callbacks: Callbacks,
        world: Surroundings,
        owner: str,
        broken: Callable[[Exception], Awaitable[None]],
        finished: Callable[[], None] = lambda: None,
        settle_s: float = SETTLE_S,
        resends: int = RESENDS,
        places: Callable[[str], Collection[int]] = lambda group: (),
        errors: ErrorPolicy | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.positions = IntentPositions()
        self.tenure = Tenure()
        self.under_way = UnderWay(broken)
        correspondence = Correspondence()
        outbox = Outbox(codec, publisher)
        self.troubles = Troubles(
            world.clock, world.now_ms, write=lambda record: self.under_way.spawn(outbox.trouble(record))
        )
        day_caps = DayCaps(scheduler.table) if world.day_caps is None else world.day_caps
        log = AttemptLog(
            codec,
            publisher,
            owner=owner,
            positions=self.positions,
            now_ms=world.now_ms,
            written=day_caps.add,
            acknowledged=day_caps.acknowledged,
        )
        self.sender = Sender(
            scheduler=scheduler,
            posts=twilio,
            log=log,
            tenure=self.tenure,
            under_way=self.under_way,
            correspondence=correspondence,
            troubles=self.troubles,
            world=world,
        )
        settler = self.settler = self.sender.settler = Settler(
            tenure=self.tenure,
            scheduler=scheduler,
            log=log,
            outbox=outbox,
            errors=errors or ErrorPolicy(),
            may_act=world.may_act,
            stirred=self.sender.kick,
            finished=finished,
            clock=world.clock,
            now_ms=world.now_ms,
            resends=resends,
            day_caps=world.day_caps,
        )
        self.doubts = self.sender.doubts = DoubtDesk(
            lister=Lister(twilio, world.accounts, world.clock),
            find=find,
            callbacks=callbacks,
            correspondence=correspondence,
            places=places,
            awaited=lambda address: self.reception.histories.in_doubt(address),
            outcomes=Outcomes(settler.found, settler.missing, settler.follow, settler.go_on),
            may_act=world.may_act,
            clock=world.clock,
            now_ms=world.now_ms,
            settle_s=settle_s,
        )
        self._shared = SharedReading(find)
        self.reception = Reception(
            tenure=self.tenure,
            under_way=self.under_way,
            settler=settler,
            doubts=self.doubts,
            log=log,
            positions=self.positions,
            find=self._shared.find,
            clock=world.clock,
        )
        self._resolving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, inside the running loop; nothing is sent before `open`."""
        self.sender.start()

    async def stop(self) -> None:
        """End; what is unfinished comes again."""
        self._stop_resolving()
        await self.sender.stop()
        await self.under_way.stop()
        await self._shared.stop()

    def open(
        self,
        generation: int,
        *,
        histories: Histories | None = None,
        ends: Mapping[int, int] | None = None,
        elsewhere: Mapping[TP, str] | None = None,
    ) -> None:
        """Restored: take records of this generation and send them.

        Args:
            histories: what the attempts log says of unfinished messages.
            ends: how far each partition of it was read.
            elsewhere: notes committed for partitions that are assigned, but served by another worker; they stay.
        """
        histories = histories or Histories()
        self.tenure.generation = generation
        self.tenure.closing = False
        self.positions.begin(ends or {}, elsewhere or {})
        for history in histories.all():
            # From now on every commit must lead a successor to these, whether their records have come by then or not.
            self.positions.note(history.source, history.offset, history.first_position)
        self.reception.histories = histories
        self._stop_resolving()
        self._resolving = asyncio.create_task(self._resolve(), name="dispatch doubts")
        self.sender.open()

    async def close(self) -> None:
        """Start nothing more; returns when nothing is under way. Look-ups are given up: a log may take long to read,
        and the next owner needs them anyway."""
        self._stop_resolving()
        self.sender.shut()
        self.tenure.closing = True
        self.sender.give_back()
        await self._shared.stop()
        await self.under_way.nothing()

    def drop(self) -> None:
        """The partitions are another's: forget what is held; it comes again."""
        self._stop_resolving()
        self.sender.shut()
        self.tenure.end()
        self.scheduler.clear()
        self.troubles.forget()
        self.doubts.clear()
        self.reception.histories = Histories()

    def take(self, order: Dispatch, record: Any, astray: Reason | None = None, *, closed: bool = False) -> None:
        """Take a record in; see `Reception`."""
        self.reception.take(order, record, astray, closed=closed)

    def committed(self, tp: TP, offset: int) -> None:
        """The broker confirmed this offset."""
        self.positions.committed(tp, offset)
        self.reception.histories.committed(tp, offset)

    def _stop_resolving(self) -> None:
        # A resolution of this assignment must not go on in the next one: the log of the next was read without it.
        if self._resolving is not None:
            self._resolving.cancel()
            self._resolving = None

    async def _resolve(self) -> None:
        try:
            await self.doubts.run()
        except Exception as error:
            await self.under_way.broke(error)
