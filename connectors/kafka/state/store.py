"""The copy of one partition's state on this machine's disk, in RocksDB, with the position in the log that it reflects.

It is a cache of the log. Writes are not synced: after a crash of the machine RocksDB comes back as it was some moment
before, position and entries together, and the rest is read from the log.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson
from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch, WriteBufferManager, WriteOptions

from .envelope import RESERVED, Source
from .fold import NO_CLAIM, Fold, Reached

_META = RESERVED + b"reflects"
_FIRST_KEY = b"\x01"
_SUSPECT = "REBUILD"
"""A file of this name beside the store says that reading it failed: opening looks at some of its blocks only."""
_FORMAT = 1

_UNLOGGED = WriteOptions()
_UNLOGGED.disable_wal = True  # type: ignore[method-assign,assignment]  # rocksdict's stub takes the attribute for a method

_NOT_DAMAGE = ("lock", "no space", "permission denied", "too many open files", "read-only file system", "quota")
"""What RocksDB says when the store itself may be sound: throwing it away would not help, or harm another process."""


class StoreDamaged(Exception):
    """The store cannot be read. It was marked, and the next open makes it anew from the log."""


class Room:
    """Memory and files that all stores of a process share, however many partitions it holds.

    Args:
        cache_bytes: blocks read, their indexes and filters, and what is not yet written to files: all of it.
        buffer_bytes: of that, what is not yet written to files.
        files_per_store: files that one store keeps open.
    """

    def __init__(self, *, cache_bytes: int = 64 << 20, buffer_bytes: int = 24 << 20, files_per_store: int = 64) -> None:
        self._cache = Cache(cache_bytes)
        self._buffers = WriteBufferManager.new_write_buffer_manager_with_cache(buffer_bytes, False, self._cache)
        self._buffer_bytes = buffer_bytes
        self._files = files_per_store

    def options(self) -> Options:
        """Of one store."""
        blocks = BlockBasedOptions()
        blocks.set_block_cache(self._cache)
        blocks.set_cache_index_and_filter_blocks(True)
        blocks.set_bloom_filter(10, False)  # most lookups are for messages never seen before
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(blocks)
        options.set_write_buffer_manager(self._buffers)
        options.set_write_buffer_size(self._buffer_bytes // 3)
        options.set_max_write_buffer_number(2)
        options.set_max_open_files(self._files)
        options.set_max_background_jobs(2)
        options.set_keep_log_file_num(2)
        options.set_max_log_file_size(1 << 20)
        return options


@dataclass(frozen=True, slots=True)
class Reflects:
    """What of the log a store contains.

    Attributes:
        position: offset of the next record to fold.
        claim: offset of the last CLAIM before it.
        at_ms: epoch milliseconds UTC at which the log ended no further than that: deletions since then are needed.
        sources: how far the sources were folded in.
    """

    position: int = 0
    claim: int = NO_CLAIM
    at_ms: int = 0
    sources: Mapping[Source, Reached] = field(default_factory=dict)

    def fold(self) -> Fold:
        """To go on from here."""
        return Fold(self.position, self.claim, self.sources)


_T = TypeVar("_T")


class Store:
    """One open store. `write`, `flush` and `close` block: call them in a thread; reading is short.

    Raises:
        Exception: RocksDB's, whatever it is; `StoreDamaged` where the store is to be made anew.
    """

    def __init__(self, path: Path, room: Room) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if (path / _SUSPECT).exists():
            raise StoreDamaged(f"{path}: reading it failed before")
        try:
            self._db = Rdict(str(path), room.options())
        except Exception as error:  # rocksdict raises nothing more exact
            raise self._judged(error) from error
        try:
            self.reflects = self._read_meta()
        except BaseException:
            self._db.close()
            raise

    @staticmethod
    def destroy(path: Path) -> None:
        """Throw a store away. Blocks."""
        if path.exists():
            shutil.rmtree(path)

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:
            raise self._judged(error) from error
        return value

    def get_all(self, keys: list[bytes]) -> list[bytes | None]:
        """The values of several keys, in their order: half of the time that one after the other takes."""
        try:
            values: list[bytes | None] = self._db.get(keys)  # type: ignore[arg-type,assignment]  # rocksdict's stub knows no list of one type
        except Exception as error:
            raise self._judged(error) from error
        return values

    def page(self, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Entries from a key on, in the order of their keys, `limit` at most."""
        found: list[tuple[bytes, bytes]] = []
        with self._watched():
            for key, value in self._items(start):
                if len(found) == limit:
                    break
                found.append((key, value))
        return found

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """All entries whose key begins so."""
        found: list[tuple[bytes, bytes]] = []
        with self._watched():
            for key, value in self._items(prefix):
                if not key.startswith(prefix):
                    break
                found.append((key, value))
        return found

    def write(self, changes: Iterable[tuple[bytes, bytes | None]], reflects: Reflects, *, logged: bool = True) -> None:
        """Entries and what they reflect, both or neither. What is not `logged` is lost with the process until `flush`,
        and must be flushed before anything is logged again: what came later would be found without it."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_META, _packed(reflects))
        try:
            self._db.write(batch, None if logged else _UNLOGGED)
        except Exception as error:
            raise self._judged(error) from error
        self.reflects = reflects

    def flush(self) -> None:
        """Write everything to files. Blocks."""
        try:
            self._db.flush()
        except Exception as error:
            raise self._judged(error) from error

    def close(self) -> None:
        """Write everything to files and let go."""
        try:
            self._db.flush()
        finally:
            self._db.close()

    def _items(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        items: Any = self._db.items(from_key=max(start, _FIRST_KEY))
        return iter(items)

    def _read_meta(self) -> Reflects:
        with self._watched():
            data = self._db.get(_META)
        if data is None:
            if self.page(b"", 1):
                raise StoreDamaged(f"{self._path}: it has entries and does not say what they reflect")
            return Reflects()
        try:
            return _unpacked(data)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreDamaged(f"{self._path}: what it reflects cannot be read: {error!r}") from error

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except StoreDamaged:
            raise
        except Exception as error:
            raise self._judged(error) from error

    def _judged(self, error: Exception) -> Exception:
        """The error to raise; damage is remembered beside the store."""
        text = str(error).lower()
        if type(error).__name__ == "DbClosedError" or any(sign in text for sign in _NOT_DAMAGE):
            return error
        with contextlib.suppress(OSError):
            self._path.mkdir(exist_ok=True)
            (self._path / _SUSPECT).touch()
        return StoreDamaged(f"{self._path}: {error}")


def _packed(reflects: Reflects) -> bytes:
    return orjson.dumps(
        {
            "format": _FORMAT,
            "position": reflects.position,
            "claim": reflects.claim,
            "at_ms": reflects.at_ms,
            "sources": [
                [source.topic, source.partition, reached.offset, reached.carrier.hex()]
                for source, reached in reflects.sources.items()
            ],
        }
    )


def _unpacked(data: bytes) -> Reflects:
    found = orjson.loads(data)
    if found["format"] != _FORMAT:
        raise ValueError(f"format {found['format']} is not {_FORMAT}")
    return Reflects(
        found["position"],
        found["claim"],
        found["at_ms"],
        {
            Source(topic, partition): Reached(offset, bytes.fromhex(key))
            for topic, partition, offset, key in found["sources"]
        },
    )
