"""Whose turn it is: one recipient's messages one at a time and in order, different recipients at once, urgent first,
apps in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Pure bookkeeping; the stage starts what `start` hands out and tells `done`.

    An item of a recipient who is being served waits in that recipient's line, so one who takes long delays nobody
    else. At most `limit` items are under way. Of the recipients who are free, those whose next item is urgent come
    first; among those, one of each app after the other, so that who has asked for a million delays only itself.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._under_way: set[Hashable] = set()
        self._lines: dict[Hashable, deque[tuple[T, bool, Hashable]]] = {}
        self._ready = (_InTurn(), _InTurn())  # urgent, others
        self._waiting = 0

    @property
    def under_way(self) -> int:
        """Items handed out and not done."""
        return len(self._under_way)

    @property
    def waiting(self) -> int:
        """Items not handed out yet."""
        return self._waiting

    def is_busy(self, key: Hashable) -> bool:
        """An item of this key is under way."""
        return key in self._under_way

    def line(self, key: Hashable) -> Iterator[T]:
        """The items of this recipient that wait."""
        return (item for item, _, _ in self._lines.get(key, ()))

    def add(self, key: Hashable, item: T, *, urgent: bool = False, app: Hashable = None) -> None:
        """Take an item of this recipient into the line; `app` asked for it."""
        line = self._lines.get(key)
        self._waiting += 1
        if line is not None:
            line.append((item, urgent, app))
            return
        self._lines[key] = deque([(item, urgent, app)])
        if key not in self._under_way:
            self._ready[0 if urgent else 1].add(app, key)

    def start(self) -> tuple[Hashable, T] | None:
        """The next item whose turn it is, with its key; None when there is none or the limit is reached."""
        if len(self._under_way) >= self._limit:
            return None
        for ready in self._ready:
            while ready:
                key = ready.next()
                line = self._lines.get(key)
                if line is None or key in self._under_way:  # dropped meanwhile, or named twice after a drop
                    continue
                item, _, _ = line.popleft()
                if not line:
                    del self._lines[key]
                self._waiting -= 1
                self._under_way.add(key)
                return key, item
        return None

    def done(self, key: Hashable) -> None:
        """The item under way for this key is finished; the next one of its line may start."""
        self._under_way.remove(key)
        line = self._lines.get(key)
        if line is not None:
            _, urgent, app = line[0]
            self._ready[0 if urgent else 1].add(app, key)

    def drop(self, unwanted: Callable[[T], bool]) -> None:
        """Forget waiting items for which this is true (their partition went to another worker)."""
        for key in list(self._lines):
            kept = deque(entry for entry in self._lines[key] if not unwanted(entry[0]))
            self._waiting -= len(self._lines[key]) - len(kept)
            if kept:
                self._lines[key] = kept
            else:
                del self._lines[key]


class _InTurn:
    """Recipients by app: one of each app after the other, of one app in the order in which they came."""

    def __init__(self) -> None:
        self._by_app: dict[Hashable, deque[Hashable]] = {}
        self._apps: deque[Hashable] = deque()

    def __bool__(self) -> bool:
        return bool(self._apps)

    def add(self, app: Hashable, key: Hashable) -> None:
        waiting = self._by_app.get(app)
        if waiting is None:
            self._by_app[app] = deque([key])
            self._apps.append(app)
        else:
            waiting.append(key)

    def next(self) -> Hashable:
        app = self._apps.popleft()
        waiting = self._by_app[app]
        key = waiting.popleft()
        if waiting:
            self._apps.append(app)
        else:
            del self._by_app[app]
        return key
