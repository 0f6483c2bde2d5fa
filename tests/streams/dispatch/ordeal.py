"""An ordeal of dispatch: several workers send at once while they are killed at random instants and at named steps, or
leave, and come back, and the twin makes every trouble it knows; and what the books must say afterwards.

Nothing is lost, nothing is sent twice. A message that must not be sent again without certainty (`DoubtPolicy.STOP`) may
end as `unknown`, and is then in the twin's books once or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from schemas.records import (
    Attempt,
    AttemptKind,
    AttemptOutcome,
    Deferral,
    Dispatch,
    DoubtPolicy,
    MessageClass,
    MessageStatus,
)
from schemas.topics import ATTEMPTS, deferral_topic
from tests.streams.cluster import CODEC, records
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import Child
from tests.support.waiting import until
from twin.server import Twin
from twin.settings import FaultSettings, ListingLag, RequestFault, SenderSettings, TwinSettings

from .cluster import endings, fleet, fleet_address, fleet_twin, outgoing, until_committed, wall_ms
from .fault_points import STEPS
from .killing import worker
from .simulation import order

AttemptKey = tuple[str, int, int]
RATES = {"a": 300.0, "b": 200.0, "c": 200.0, "d": 100.0, "e": 100.0, "tight": 60.0}
TIGHT_RATE = 40.0
"""What the sender `tight` really does; its queue takes 3 s of it. What is sent faster is refused with 21611."""
ACCEPTED_WITHIN_S = 1.9
"""The slowest request: slower than the workers' HTTP timeout, which is 1.5 s."""
LISTED_WITHIN_S = 1.0
SETTLE_S = 4.0
"""More than both together, as the promise supposes: what the twin accepts or lists later may be sent twice. Where the
machine stands still for seconds it does; `Books.too_late` counts that, by the twin's own clock."""
LISTS_PER_S = 50.0
LIST_AGAIN_S = 6.0
LATE = "+1628"
"""Messages to these are missing from the list when it is first asked, and there at the second time. They are messages
that must not be sent again in doubt: of those that may, such a list makes two, as promised."""
STALLED_S = 400.0
"""A guard against hanging, for a machine that has ten times as much to do as it can."""
NEVER_PASSED_S = 20.0
"""A process that has not come to its step by then is killed where it is."""


def troubles(often: float, settle_s: float) -> FaultSettings:
    """Every trouble with requests; with 1.0 one in fifty leaves a message in doubt."""
    return FaultSettings(
        requests=(
            RequestFault(kind="latency", delay_s=(0.01, 0.3), spread="long_tail", at_most_s=ACCEPTED_WITHIN_S),
            RequestFault(kind="throttle", share=0.5, from_s=5, until_s=6, every_s=15),
            RequestFault(kind="throttle", share=0.01),
            RequestFault(kind="error_before", share=often * 0.003),
            RequestFault(kind="error_after", share=often * 0.003, status=500),
            RequestFault(kind="reset_before", share=often * 0.003),
            RequestFault(kind="reset_after", share=often * 0.003),
            RequestFault(kind="hang_before", share=often * 0.001, delay_s=(2.0, 4.0)),
            RequestFault(kind="hang_after", share=often * 0.001, delay_s=(2.0, 4.0)),
            RequestFault(kind="drip", share=often * 0.002, delay_s=(0.2, 3.0)),
            RequestFault(kind="throttle", on="read", share=0.05),
            RequestFault(kind="error_before", on="read", share=0.05),
            RequestFault(kind="hang_before", on="read", share=0.01, delay_s=(2.0, 4.0)),
        ),
        listing_lags=(ListingLag(lag_s=(settle_s + 1.5, settle_s + 2.5), to_prefix=LATE),),
        listing_lag_s=(0.0, LISTED_WITHIN_S),
    )


def twin_of_troubles(often: float = 1.0, settle_s: float = SETTLE_S) -> TwinSettings:
    number = list(RATES).index("tight")
    tight = SenderSettings(address=fleet_address(number), rate=TIGHT_RATE, queue_hours=3.0 / 3600)
    return fleet_twin(RATES, faults=troubles(often, settle_s), concurrency=60, tight={"tight": tight})


def orders(count: int) -> list[Outgoing]:
    """Messages of all classes on all lanes, by their rates: a fifth of them equal texts to a few people, a tenth to
    people who sleep, so that they go back to policy, a twentieth that must not be sent again in doubt."""
    rnd, table = random.Random(count), fleet(RATES)
    lanes = rnd.choices(list(RATES), [rate if name != "tight" else 8.0 for name, rate in RATES.items()], k=count)
    made = []
    for number, lane in enumerate(lanes):
        kind = number % 20
        equal, sleeps, late = kind % 5 == 0, kind in (7, 13), kind == 11
        people = max(1, count // 50)
        each = order(
            lane=lane,
            message_class=list(MessageClass)[number % 4],
            app="xyz"[number % 3],
            recipient=f"+1415{5_000_000 + number % people}" if equal else f"{LATE if late else '+1415'}{number:07d}",
            body="the same text" if equal else f"text {number}",
            deadline=wall_ms() + 3_600_000,
            doubt_policy=DoubtPolicy.STOP if late else DoubtPolicy.RESEND,
        )
        each.sender = fleet_address(list(RATES).index(lane))
        if sleeps:
            each.allowed_until = wall_ms() - 1
        made.append(outgoing(each, table.partition_of(lane)))
    return made


@dataclass
class Callbacks:
    """Takes the twin's status callbacks of all workers; `url(worker)` is where that worker's go."""

    told: defaultdict[str, set[tuple[str, str, str, str]]] = field(default_factory=lambda: defaultdict(set))
    """By status: (message id, round, attempt, SID)."""
    _port: int = 0
    _runner: web.AppRunner | None = None

    def url(self, worker: str) -> str:
        return f"http://127.0.0.1:{self._port}/{worker}"

    async def __aenter__(self) -> Callbacks:
        app = web.Application()
        app.router.add_post("/{worker}/twilio/status", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        query, form = request.query, parse_qs(await request.text())
        told = (query["m"], query["r"], query["a"], form["MessageSid"][0])
        self.told[form["MessageStatus"][0]].add(told)
        return web.Response(status=204)


@dataclass
class Ordeal:
    """Workers, and how they die.

    Attributes:
        deaths: what came of every end: "random instant", "left", or the name of a step.
    """

    kafka: Kafka
    group: str
    twin: Twin
    callbacks: Callbacks
    folder: Path
    rnd: random.Random
    settle_s: float = SETTLE_S
    deaths: Counter[str] = field(default_factory=Counter)
    processes: dict[str, Child] = field(default_factory=dict)
    _steps: dict[str, str | None] = field(default_factory=dict)

    def start(self, name: str, step: str | None = None) -> None:
        """Start a worker, which dies at this step. `static…` keep their membership over a restart, others do not."""
        self._steps[name] = step
        self.processes[name] = worker(
            self.kafka,
            self.group,
            self.twin,
            self.folder,
            instance=name,
            static=name.startswith("static"),
            fleet=RATES,
            settle_s=self.settle_s,
            list_again_s=LIST_AGAIN_S,
            lists_per_s=LISTS_PER_S,
            callbacks=self.callbacks.url(name),
            die_at=[step, self.rnd.randint(1, STEPS[step])] if step is not None else [],
        )

    async def run(self, names: Sequence[str], deaths: int, by: int) -> None:
        """Start these workers and end one after the other, `deaths` times in all, evenly until the twin has `by`
        messages: two of three at a step of the send loop, the others at a random instant, or by leaving."""
        steps = self._all_steps()
        for name in names:
            self.start(name)
        for number in range(deaths):
            target = by * (number + self.rnd.random()) / deaths
            await until(lambda: self._accepted() >= target, STALLED_S, f"{target:.0f} messages")  # noqa: B023
            name = names[number % len(names)]
            await self._end(name)
            self.start(name, next(steps) if number % 3 else None)

    async def finish(self, timeout_s: float) -> None:
        """Let workers that do not die finish everything, and leave."""
        for name, step in list(self._steps.items()):
            if step is not None:
                await self._end(name)
                self.start(name)
        await until_committed(self.kafka, self.group, timeout_s)
        for process in self.processes.values():
            await _leave(process)

    async def stop(self) -> None:
        """End what is left of a run that broke off."""
        for process in self.processes.values():
            await asyncio.to_thread(process.kill)

    def _all_steps(self) -> Iterator[str]:
        while True:
            yield from self.rnd.sample(list(STEPS), len(STEPS))

    def _accepted(self) -> int:
        for name, process in self.processes.items():
            if process.returncode is not None:
                self._died(name)
                self.start(name)
        return len(self.twin.books.messages)

    async def _end(self, name: str) -> None:
        process = self.processes[name]
        if self._steps[name] is not None:
            with contextlib.suppress(AssertionError):
                await until(lambda: process.returncode is not None, NEVER_PASSED_S)
        elif not name.startswith("static") and self.rnd.random() < 0.5:
            await _leave(process)
            self.deaths["left"] += 1
            return
        if process.returncode is None:
            self._steps[name] = None
            await asyncio.to_thread(process.kill)
        self._died(name)

    def _died(self, name: str) -> None:
        process = self.processes[name]
        assert process.returncode == -signal.SIGKILL, process.output()
        self.deaths[self._steps[name] or "random instant"] += 1


async def _leave(process: Child) -> None:
    # It may have been started this moment: before it listens, the signal ends it as it ends any program.
    await until(lambda: process.catches(signal.SIGTERM) or process.returncode is not None, 60)
    process.signal(signal.SIGTERM)
    try:
        await until(lambda: process.returncode is not None, 30)
    except AssertionError:
        process.signal(signal.SIGUSR1)
        await asyncio.sleep(1.0)
    assert process.returncode == 0, process.output(12_000)


@dataclass(frozen=True)
class Books:
    """What an ordeal came to.

    Attributes:
        lost: texts that were asked for and neither sent nor ended otherwise.
        twice: texts that were sent more often than asked for.
        too_late: texts besides, that the twin accepted too late for the promise to hold.
        found, not_found: attempts in doubt, by whether Twilio's list had them.
        left_open: attempts that nobody has resolved.
        unknown: messages whose end nobody can know.
        unknown_and_sent: the stories of those that Twilio has.
        told: records of ends; more than messages where ends were told again.
    """

    requested: int
    sent: int
    lost: int
    twice: int
    too_late: int
    found: int
    not_found: int
    left_open: int
    unknown: int
    unknown_and_sent: Sequence[str]
    back_to_policy: int
    told: int
    troubles: Mapping[str, int]

    def __str__(self) -> str:
        return (
            f"{self.requested:,} messages, {self.sent:,} sent, {self.back_to_policy:,} back to policy, "
            f"{self.lost} lost, {self.twice} sent twice, {self.too_late} accepted too late; {self.told:,} ends told; "
            f"attempts in doubt: {self.found} found, {self.not_found} not found, {self.left_open} left open; "
            f"{self.unknown} messages unknown, {len(self.unknown_and_sent)} of them sent {self.unknown_and_sent}; "
            f"answers of the twin: {dict(self.troubles)}"
        )


def balance(
    kafka: Kafka, twin: Twin, callbacks: Callbacks, made: Iterable[Outgoing], settle_s: float = SETTLE_S
) -> Books:
    """Hold what was asked for against the twin's books, the log of attempts, what was told, and the callbacks. Asserts
    what must hold of each message by itself."""
    asked = {each.message_id: each for each in map(_order_of, made)}
    sleeping = {message_id for message_id, each in asked.items() if each.allowed_until is not None}
    told = endings(kafka, asked)
    statuses = {message_id: _only(event.status for event in events) for message_id, events in told.items()}
    unknown = {message_id for message_id, status in statuses.items() if status is MessageStatus.UNKNOWN}

    sent_back = {message_id for message_id, status in statuses.items() if status is MessageStatus.DEFERRED}
    assert statuses.keys() == asked.keys(), f"{asked.keys() - statuses.keys()} have no end"
    assert sent_back == sleeping, "those who sleep, and no others, are said to have gone back to policy"
    assert all(len({event.event_id for event in events}) == 1 for events in told.values()), "and one only"
    assert set(statuses.values()) <= {MessageStatus.ACCEPTED, MessageStatus.UNKNOWN, MessageStatus.DEFERRED}
    assert all(asked[message_id].doubt_policy is DoubtPolicy.STOP for message_id in unknown)
    deferrals = [each for each in records(kafka, deferral_topic("1s")) if isinstance(each, Deferral)]
    back = [each for each in deferrals if each.message_id in asked]
    assert {each.message_id for each in back} == sleeping, "policy is asked again about those who sleep, and no others"
    assert {each.round for each in back} == {1}

    wanted: Counter[tuple[str, str | None]] = Counter(
        (each.recipient, each.body) for key, each in asked.items() if key not in sleeping
    )
    may_be_missing = Counter((asked[key].recipient, asked[key].body) for key in unknown)
    sids = {message.sid for message in twin.books.outbound()}
    told_sids = {_only(event.sid for event in told[key]) for key in statuses.keys() - unknown - sleeping}
    assert len(told_sids) == len(statuses) - len(unknown) - len(sleeping), "each SID is told of one message"
    assert told_sids <= sids, "and Twilio has it"
    untold = {message.sid: message for message in twin.books.outbound() if message.sid not in told_sids}
    of_unknown = {(asked[key].recipient, asked[key].body): key for key in unknown}
    too_late = {each.sid for each in untold.values() if each.accepted - each.received > settle_s - LISTED_WITHIN_S}
    untold = {sid: each for sid, each in untold.items() if sid not in too_late}
    sent: Counter[tuple[str, str | None]] = Counter(
        (message.to, message.submitted) for message in twin.books.outbound() if message.sid not in too_late
    )
    unexplained = [each for each in untold.values() if (each.to, each.submitted) not in of_unknown]
    assert not unexplained, f"and each that Twilio has is told, or of a message that is unknown: {unexplained}"
    tales = [
        _tale(kafka, of_unknown[each.to, each.submitted], each.received, each.accepted) for each in untold.values()
    ]

    intents, results = _attempts(kafka, asked)
    _hold_against(callbacks, sids, intents)
    in_doubt = [_only(outcomes) for outcomes in results.values() if None not in outcomes]
    refused = Counter(str(each.code or each.message) for each in twin.books.refusals)
    return Books(
        requested=len(asked),
        sent=sent.total(),
        lost=(wanted - sent - may_be_missing).total(),
        twice=(sent - wanted).total(),
        too_late=len(too_late),
        found=in_doubt.count(AttemptOutcome.ACCEPTED),
        not_found=in_doubt.count(AttemptOutcome.IN_DOUBT),
        left_open=len(intents - results.keys()),
        unknown=len(unknown),
        unknown_and_sent=tales,
        back_to_policy=len(sleeping),
        told=sum(map(len, told.values())),
        troubles=refused,
    )


def _order_of(made: Outgoing) -> Dispatch:
    order = CODEC.decode(made.value or b"")
    assert isinstance(order, Dispatch)
    return order


def _only(values: Iterable[Any]) -> Any:
    [value] = set(values)
    return value


def _tale(kafka: Kafka, message_id: str, received: float, accepted: float) -> str:
    """What the log of attempts has of a message, in seconds before and after the twin accepted it."""
    steps = [
        f"{each.kind.value} {each.attempt} {each.outcome or ''} at {each.at / 1000 - accepted:+.1f}"
        for each in records(kafka, ATTEMPTS)
        if isinstance(each, Attempt) and each.message_id == message_id
    ]
    return f"{message_id}: received {received - accepted:+.1f}, {', '.join(steps)}"


def _attempts(
    kafka: Kafka, ids: Container[str]
) -> tuple[set[AttemptKey], dict[AttemptKey, set[AttemptOutcome | None]]]:
    """Every INTENT, and the outcome of every RESULT that resolved a doubt (None of others: they were answered)."""
    intents: set[AttemptKey] = set()
    results: defaultdict[AttemptKey, set[AttemptOutcome | None]] = defaultdict(set)
    for each in records(kafka, ATTEMPTS):
        assert isinstance(each, Attempt)
        if each.message_id not in ids:
            continue
        key = (each.message_id, each.round, each.attempt)
        if each.kind is AttemptKind.INTENT:
            intents.add(key)
            continue
        # Twilio's date is known of an answer, not of a row of its list.
        from_list = each.outcome is AttemptOutcome.ACCEPTED and each.twilio_date is None
        doubtful = from_list or each.outcome is AttemptOutcome.IN_DOUBT
        results[key].add(each.outcome if doubtful else None)
    return intents, results


def _hold_against(callbacks: Callbacks, sids: set[str], intents: set[AttemptKey]) -> None:
    """Each message that Twilio has was made by an attempt that was written down before, and has one end."""
    for told in callbacks.told.values():
        assert {(message_id, int(round), int(attempt)) for message_id, round, attempt, _ in told} <= intents
    ends = Counter(sid for _, _, _, sid in callbacks.told["delivered"])
    assert ends.keys() == sids
    assert set(ends.values()) == {1}
