"""Lists of messages: filters, pages and their links.

Newest first. A page is found again by the sid at its edge (`PageToken=PA<sid>`, in front of it `PB<sid>`), so that
messages that arrive meanwhile move nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote, quote_plus

from twin.addresses import parse
from twin.errors import ApiError, refuse
from twin.messages import Message
from twin.store import Store

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_FILTERS = ("To", "From", "DateSent", "DateSent<", "DateSent>")


@dataclass(frozen=True, slots=True)
class Query:
    """What a list request asks for.

    Attributes:
        given: its filters as written, for the links.
        since, before: `date_sent` in [since, before).
        token: PA or PB and a sid, or empty.
    """

    given: tuple[tuple[str, str], ...]
    to: str | None
    sender: str | None
    since: float | None
    before: float | None
    page_size: int
    page: int
    token: str

    @property
    def dated(self) -> bool:
        """Whether the date sent matters."""
        return self.since is not None or self.before is not None


def read_query(params: Mapping[str, str]) -> Query | ApiError:
    """Read a list request. A filter that is no date is refused."""
    size, page = params.get("PageSize", ""), params.get("Page", "")
    page_size = int(size) if size.isascii() and size.isdigit() else DEFAULT_PAGE_SIZE
    if page_size > MAX_PAGE_SIZE:
        return refuse(20007)
    since: list[float] = []
    before: list[float] = []
    for name in ("DateSent", "DateSent<", "DateSent>"):
        text = params.get(name)
        if not text:
            continue
        span = _span(text, day_at_midnight=name == "DateSent")
        if span is None:
            return refuse(20001)
        if name != "DateSent<":
            since.append(span[0])
        if name != "DateSent>":
            before.append(span[1])
    to, sender = params.get("To"), params.get("From")
    return Query(
        given=tuple((name, params[name]) for name in _FILTERS if name in params),
        to=parse(to).text if to else None,
        sender=parse(sender).text if sender else None,
        since=max(since) if since else None,
        before=min(before) if before else None,
        page_size=max(1, page_size),
        page=int(page) if page.isascii() and page.isdigit() else 0,
        token=params.get("PageToken", ""),
    )


def list_page(store: Store, account: str, path: str, query: Query, now: float) -> dict[str, object]:
    """The page as the API writes it. `path` is that of the list, with `.json`."""
    candidates = store.candidates(account, query.to)

    def fits(message: Message) -> bool:
        return (
            not message.deleted
            and message.listed_from <= now
            and (query.sender is None or message.from_ == query.sender)
            and (not query.dated or _sent_within(message, query))
        )

    kind, anchor = query.token[:2], store.by_sid(query.token[2:])
    at = None if anchor is None else bisect_left(candidates, anchor.seq, key=_seq)
    if kind == "PB" and at is not None:
        newer = _take(candidates, range(at + 1, len(candidates)), query.page_size + 1, fits)
        has_previous = len(newer) > query.page_size
        items = newer[: query.page_size][::-1]
        has_next = True
    else:
        top = len(candidates) if at is None else at
        older = _take(candidates, range(top - 1, -1, -1), query.page_size + 1, fits)
        has_next = len(older) > query.page_size
        items = older[: query.page_size]
        has_previous = query.page > 0
    start = query.page * query.page_size
    link = _links(path, query)
    return {
        "first_page_uri": link(0, ""),
        "end": start + len(items) - 1 if items else start,
        "previous_page_uri": link(query.page - 1, "PB" + items[0].sid) if has_previous and items else None,
        "messages": [message.as_json(now) for message in items],
        "uri": link(query.page, query.token),
        "page_size": query.page_size,
        "start": start,
        "next_page_uri": link(query.page + 1, "PA" + items[-1].sid) if has_next and items else None,
        "page": query.page,
    }


def _seq(message: Message) -> int:
    return message.seq


def _take(candidates: list[Message], order: range, count: int, fits: Callable[[Message], bool]) -> list[Message]:
    taken: list[Message] = []
    for at in order:
        if fits(candidates[at]):
            taken.append(candidates[at])
            if len(taken) == count:
                break
    return taken


def _sent_within(message: Message, query: Query) -> bool:
    """Messages that were not sent yet have no date sent and are in no dated list."""
    if message.sent is None:
        return False
    sent = int(message.sent)
    return (query.since is None or sent >= query.since) and (query.before is None or sent < query.before)


def _links(path: str, query: Query) -> Callable[[int, str], str]:
    filters = "".join(f"{quote(name, safe='')}={quote_plus(value)}&" for name, value in query.given)

    def link(page: int, token: str) -> str:
        return f"{path}?{filters}PageSize={query.page_size}&Page={page}" + (f"&PageToken={token}" if token else "")

    return link


def _span(text: str, *, day_at_midnight: bool) -> tuple[float, float] | None:
    """First second of what a date names, and the second after its last: a day, or a single second.

    Args:
        day_at_midnight: midnight to the second stands for the day, since SDKs write days so.
    """
    if _DAY.fullmatch(text):
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        return day.timestamp(), (day + timedelta(days=1)).timestamp()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    second = float(int(moment.timestamp()))
    return second, second + (86_400 if day_at_midnight and second % 86_400 == 0 else 1)
