"""State of the simplest kind: what the partition state promises, with a dict behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class DictState:
    """Entries by partition; `puts` counts the writes."""

    def __init__(self) -> None:
        self.entries: dict[int, dict[bytes, bytes]] = {}
        self.puts = 0

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.entries.get(partition, {}).get(key)

    def get_all(self, partition: int, keys: list[bytes]) -> list[bytes | None]:
        return [self.get(partition, key) for key in keys]

    def scan(self, partition: int, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        found = [entry for entry in self.entries.get(partition, {}).items() if entry[0].startswith(prefix)]
        return iter(sorted(found))

    async def put(self, partition: int, entries: Mapping[bytes, bytes | None]) -> None:
        self.puts += 1
        held = self.entries.setdefault(partition, {})
        for key, value in entries.items():
            if value is None:
                held.pop(key, None)
            else:
                held[key] = value
