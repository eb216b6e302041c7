"""Where the entries, their namespaces, and what has been taken in are kept."""

from __future__ import annotations

import pathlib
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from tcbox import clock as clocks
from tcbox import db
from tcbox.services.index import model
from tcbox.services.index.model import Entry, Path, Wanted

sql = db.load(pathlib.Path(__file__).parent / "sql", "index")
migrations = db.migrations(pathlib.Path(__file__).parent / "sql" / "migrations", "index")

KEPT = 1 * clocks.DAY
"""For how long, in ms, a run that was taken in is remembered. What counts is the time between it and the last run that
was: messages come in order, so after a long stop nothing is forgotten before those that come again have been seen."""
_BATCH = 500


class Store:
    """The index of an instance."""

    def __init__(self, database: db.Database) -> None:
        self._database = database

    async def get(self, path: Path) -> Entry | None:
        """The entry at a path, expired or not; a bounded read."""
        return _entry(await self._database.point(sql.get_task, namespace=path.namespace, name=path.name))

    async def insert(self, entry: Entry) -> Entry:
        """Put an entry at its path, unless one of a higher rank is there; gives the one that is there then."""
        return await self._database.transaction(lambda tx: _insert(tx, entry))

    async def remove(self, path: Path) -> None:
        """Remove the entry at a path, if there is one."""
        await self._database.transaction(lambda tx: tx.execute(sql.remove_task, namespace=path.namespace, name=path.name))

    async def handled(self, task_id: str, run_id: int) -> bool:
        """Whether the completion of a run has been taken in; a bounded read."""
        return await self._database.point(sql.get_handled, task_id=task_id, run_id=run_id) is not None

    async def index(self, task_id: str, run_id: int, paths: Sequence[str], wanted: Wanted) -> bool:
        """Take in the completion of a run, whole and once; gives whether it was new."""

        async def index(tx: db.Tx) -> bool:
            if not await tx.execute(sql.add_handled, task_id=task_id, run_id=run_id, now=tx.now):
                return False
            for path in paths:
                await _insert(tx, Entry(model.split(path), task_id, *wanted))
            return True

        return await self._database.transaction(index)

    async def tasks(self, namespace: str, after: str, now: int, limit: int) -> list[Entry]:
        """So many entries of a namespace after a name, in order, that have not expired."""
        rows = await self._database.all(sql.list_tasks, namespace=namespace, after=after, now=now, limit=limit)
        return [entry for entry in map(_entry, rows) if entry is not None]

    async def tasks_at(self, paths: Iterable[Path], now: int) -> dict[Path, Entry]:
        """The entries at these paths, a limited number, that have not expired."""
        wanted = msgspec.json.encode(list(paths)).decode()
        rows = await self._database.all(sql.tasks_at, paths=wanted, now=now)
        return {entry.path: entry for entry in map(_entry, rows) if entry is not None}

    async def namespaces(self, parent: str, after: str, now: int, limit: int) -> list[db.Row]:
        """So many namespaces (`parent`, `name`, `expires`) in a namespace after a name, in order, that have not expired."""
        return await self._database.all(sql.list_namespaces, parent=parent, after=after, now=now, limit=limit)

    async def expire(self) -> int:
        """Remove all that has expired, in batches; gives how many entries that were."""
        await self._all(lambda tx: tx.execute(sql.expire_namespaces, now=tx.now, limit=_BATCH))
        await self._all(lambda tx: tx.execute(sql.forget_handled, kept=KEPT, limit=_BATCH))
        return await self._all(lambda tx: tx.execute(sql.expire_tasks, now=tx.now, limit=_BATCH))

    async def _all(self, step: Callable[[db.Tx], Awaitable[int]]) -> int:
        total = 0
        while count := await self._database.transaction(step):
            total += count
        return total


async def _insert(tx: db.Tx, entry: Entry) -> Entry:
    found = _entry(await tx.one(sql.get_task, namespace=entry.path.namespace, name=entry.path.name))
    if found is not None and found.expires > tx.now and not model.replaces(entry.rank, found.rank):
        return found
    await tx.execute(
        sql.put_task, namespace=entry.path.namespace, name=entry.path.name, task_id=entry.task_id,
        rank=msgspec.json.encode(entry.rank).decode(), expires=entry.expires, data=entry.data,
    )  # fmt: skip
    until = model.folder_expiry(entry.expires)
    for folder in model.folders(entry.path.namespace):
        if not await tx.execute(sql.put_namespace, parent=folder.namespace, name=folder.name, expires=until):
            break  # those above are listed at least as long
    return entry


def _entry(row: db.Row | None) -> Entry | None:
    if row is None:
        return None
    return Entry(Path(row["namespace"], row["name"]), row["task_id"], msgspec.json.decode(row["rank"]), row["data"], row["expires"])
