"""What the demo shows: one scene, drawn for a terminal or told in a plain line."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.records import MessageClass

CLASSES = tuple(MessageClass)
WIDTH = 78
"""Columns used: a terminal of the usual 80 shows all of it."""
_FINAL_STYLES = {"delivered": "green", "undelivered": "yellow", "failed": "red", "denied": "magenta"}


@dataclass(slots=True)
class LaneScene:
    """One lane as dispatch tells it.

    Attributes:
        rate: segments per second it may send.
        sending: segments per second it sends now.
        queued: waiting messages by class, in dispatch and on its topics.
    """

    name: str
    rate: float
    sending: float = 0.0
    queued: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Reply:
    """A person's answer as it came out on the feedback topic; the number is masked already."""

    person: str
    text: str
    intent: str | None


@dataclass(slots=True)
class Scene:
    """Everything on the screen at one moment. Latencies in milliseconds; `heard` counts all replies, `replies` holds
    the newest."""

    phase: str = "starting"
    elapsed_s: float = 0.0
    total_s: float = 1.0
    requested: Counter[str] = field(default_factory=Counter)
    lanes: list[LaneScene] = field(default_factory=list)
    otp_latency_ms: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    replies: deque[Reply] = field(default_factory=lambda: deque(maxlen=5))
    heard: int = 0
    opt_outs: int = 0


def percentile(values: list[float], share: float) -> float | None:
    """The value below which `share` (0..1) of the values lie; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def draw(scene: Scene) -> RenderableType:
    """The live terminal view; 80 columns are enough."""
    title = Text.assemble(
        ("commlayer demo", "bold"), f"   {scene.phase}   {scene.elapsed_s:.0f} s   requested: {_requested(scene)}"
    )
    return Group(
        title,
        Text(_bar(scene.elapsed_s / scene.total_s, WIDTH), style="cyan"),
        _lanes(scene),
        _panel("one-time passwords, request to Twilio", _latency(scene)),
        _panel("statuses", _statuses(scene)),
        _panel(f"replies (opt-outs: {scene.opt_outs})", _replies(scene)),
    )


def tell(scene: Scene) -> str:
    """The same in one line, for logs and pipes."""
    lanes = ", ".join(
        f"{lane.name} {lane.sending:.0f}/{lane.rate:g} seg/s, {sum(lane.queued.values())} queued"
        for lane in scene.lanes
    )
    p99 = percentile(scene.otp_latency_ms, 0.99)
    otp = "" if p99 is None else f"; otp p99 {p99:.0f} ms"
    statuses = ", ".join(f"{count} {status}" for status, count in scene.statuses.most_common())
    replies = f"; {scene.heard} replies, {scene.opt_outs} opt-out" if scene.heard else ""
    return (
        f"[{scene.elapsed_s:3.0f} s] {scene.phase}: requested {_requested(scene)}; "
        f"{lanes or 'no lanes yet'}{otp}; {statuses or 'no statuses yet'}{replies}"
    )


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", width=WIDTH)


def _bar(share: float, width: int) -> str:
    filled = round(min(max(share, 0.0), 1.0) * width)
    return "█" * filled + "░" * (width - filled)


def _requested(scene: Scene) -> str:
    return ", ".join(f"{app} {count}" for app, count in sorted(scene.requested.items())) or "nothing yet"


def _lanes(scene: Scene) -> Table:
    table = Table(width=WIDTH)
    table.add_column("lane")
    table.add_column("segments/s", justify="right")
    table.add_column("of rate", width=10)
    for message_class in CLASSES:
        table.add_column(message_class.value, justify="right")
    for lane in scene.lanes:
        table.add_row(
            lane.name,
            f"{lane.sending:.1f} / {lane.rate:g}",
            Text(_bar(lane.sending / lane.rate, 10), style="green"),
            *(f"{lane.queued.get(message_class.value, 0)}" for message_class in CLASSES),
        )
    return table


def _latency(scene: Scene) -> Text:
    if not scene.otp_latency_ms:
        return Text("none sent yet", style="dim")
    p50, p99 = percentile(scene.otp_latency_ms, 0.5), percentile(scene.otp_latency_ms, 0.99)
    return Text(f"{len(scene.otp_latency_ms)} sent   p50 {p50:.0f} ms   p99 {p99:.0f} ms   while the campaign waits")


def _statuses(scene: Scene) -> Text:
    text = Text()
    for status, count in scene.statuses.most_common():
        text.append(f"{status} {count}   ", style=_FINAL_STYLES.get(status, ""))
    return text if scene.statuses else Text("none yet", style="dim")


def _replies(scene: Scene) -> Text:
    lines = [
        Text.assemble(
            (reply.person, "cyan"), "  ", reply.text, (f"  [{reply.intent}]", "bold red") if reply.intent else ""
        )
        for reply in scene.replies
    ]
    return Text("\n").join(lines) if lines else Text("nobody yet", style="dim")
