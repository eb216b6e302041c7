"""The copying itself: table by table, a stretch of keys at a time, and a checksum of each side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tcbox import errors
from tcbox.db.copy.ends import End, Key, Row, Table

STRETCH = 2000
"""Rows that are read at once."""
EVENTS = "events"
POSITIONS = "events_positions"


class Progress(NamedTuple):
    """How far a table has come: rows read of the source, and written to the target."""

    table: str
    read: int
    written: int


@dataclass(frozen=True, slots=True)
class Copied:
    """A table that has been copied, or compared.

    Attributes:
        rows: how many the source has; `target_rows` the target.
        written: rows written, and removed, to make the target so.
        checksum, target_checksum: SHA-256 over all rows in the order of their keys, of each side.
    """

    table: str
    rows: int
    written: int
    checksum: str
    target_rows: int
    target_checksum: str

    @property
    def same(self) -> bool:
        """Whether both sides hold the same."""
        return (self.rows, self.checksum) == (self.target_rows, self.target_checksum)


class Copier:
    """Makes one database hold what another does.

    Args:
        tell: is told how far it has come, after each stretch.
    """

    def __init__(self, source: End, target: End, *, tell: Callable[[Progress], None] = lambda _: None) -> None:
        self._source = source
        self._target = target
        self._tell = tell

    async def check(self) -> list[Table]:
        """The tables to be copied.

        Raises TcboxError when the two sides are not of one version, or the target cannot take the source's events.
        """
        ours, theirs = await self._source.steps(), await self._target.steps()
        services = {service for service, _, _ in ours}
        if ours != [step for step in theirs if step[0] in services]:
            older = self._source if len(ours) < len(theirs) else self._target
            raise errors.TcboxError(
                f"{self._source.place} and {self._target.place} are not of the same version of tcbox: "
                f"start an instance of this version once on {older.place}, stop it, and try again"
            )
        tables = {table.name: table for table in await self._source.tables()}
        there = {table.name: table for table in await self._target.tables()}
        if any(name not in there or there[name].columns != table.columns for name, table in tables.items()):
            raise errors.TcboxError(
                f"{self._source.place} and {self._target.place} have different tables: use one version of tcbox for both, with the same services"
            )
        await self._check_events(tables)
        # who has seen which events comes before the events: what is published meanwhile is then seen again rather than missed
        return sorted(tables.values(), key=lambda table: (table.name != POSITIONS, table.name))

    async def _check_events(self, tables: dict[str, Table]) -> None:
        limit = await self._target.largest_event()
        if limit is None or EVENTS not in tables:
            return
        seen = [await self._source.highest(EVENTS, "id"), await self._source.highest(POSITIONS, "position")]
        highest = max(seen)
        if highest >= limit:
            raise errors.TcboxError(
                f"the newest event of {self._source.place} has the number {highest}, and {self._target.place} would go on from {limit}: use a server "
                "that has run more transactions, for subscribers would miss what comes next"
            )

    async def copy(self, table: Table) -> Copied:
        """Copy a table's differences, then hold both sides against each other."""
        written, after, read = 0, None, 0
        fresh = not await self._target.stretch(table, None, None, 1)
        while rows := await self._source.stretch(table, after, None, STRETCH):
            until = table.key(rows[-1])
            if fresh:
                await self._target.append(table, rows)
                written += len(rows)
            else:
                written += await self._mend(table, rows, after, until)
            after, read = until, read + len(rows)
            self._tell(Progress(table.name, read, written))
        while left := await self._target.stretch(table, after, None, STRETCH):
            await self._target.replace(table, [table.key(row) for row in left], ())
            written += len(left)
        return await self.compare(table, written)

    async def _mend(self, table: Table, rows: Sequence[Row], after: Key | None, until: Key) -> int:
        """Make the target's rows between two keys these; how many were written or removed."""
        there: dict[Key, Row] = {}
        last = after
        while found := await self._target.stretch(table, last, until, STRETCH):
            there.update((table.key(row), row) for row in found)
            last = table.key(found[-1])
        wanted = {table.key(row): row for row in rows}
        changed = [row for key, row in wanted.items() if there.get(key) != row]
        gone = [key for key in there if key not in wanted]
        if changed or gone:
            await self._target.replace(table, gone, changed)
        return len(changed) + len(gone)

    async def compare(self, table: Table, written: int = 0) -> Copied:
        """Count both sides, and their checksums."""
        rows, checksum = await _checksum(self._source, table)
        target_rows, target_checksum = await _checksum(self._target, table)
        return Copied(table.name, rows, written, checksum, target_rows, target_checksum)


async def _checksum(end: End, table: Table) -> tuple[int, str]:
    digest, count, after = hashlib.sha256(), 0, None
    while rows := await end.stretch(table, after, None, STRETCH * 5):
        for row in rows:
            digest.update(b"".join(_parts(row)))
        count += len(rows)
        after = table.key(rows[-1])
    return count, digest.hexdigest()


def _parts(row: Row) -> Iterator[bytes]:
    """A row as bytes that no other row has."""
    for value in row:
        kind, data = _encoded(value)
        yield b"%c%d:%b" % (kind, len(data), data)


def _encoded(value: Any) -> tuple[bytes, bytes]:
    if value is None:
        return b"n", b""
    if isinstance(value, bytes):
        return b"b", value
    if isinstance(value, str):
        return b"t", value.encode("utf-8", "surrogatepass")
    return b"i", repr(value).encode()
