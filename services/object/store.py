"""Where objects are recorded; their bytes are elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tcbox import db
from tcbox.services.object import model
from tcbox.services.object.model import Object

sql = db.load(Path(__file__).parent / "sql", "object")
migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "object")

_hashes = msgspec.json.Decoder(dict[str, str]).decode
_BATCH = 100


class Store:
    """The records of objects and of uploads under way."""

    def __init__(self, database: db.Database) -> None:
        self._database = database

    async def get(self, name: str) -> Object | None:
        """An object or upload; a bounded read."""
        return _object(await self._database.point(sql.get_object, name=name))

    async def begin(self, wanted: Object, hashes: Mapping[str, str], upload_ms: int) -> Object:
        """Begin an upload, or go on with the same one, with these hashes added and so much time to finish it.

        Raises RequestConflict when the name, the uploadId or a hash is taken by something else.
        """

        async def begin(tx: db.Tx) -> Object:
            until = tx.now + upload_ms
            added = await tx.execute(
                sql.add_object, name=wanted.name, project_id=wanted.project_id, backend=wanted.backend, location=wanted.blob,
                upload_id=wanted.upload_id, upload_expires=until, expires=wanted.expires,
            )  # fmt: skip
            if added and not hashes:
                return wanted
            found = _object(await tx.one(sql.lock_object, name=wanted.name))
            model.check_same_upload(found, wanted)
            assert found is not None
            merged = model.merge_hashes(found, hashes)
            await tx.execute(sql.renew_upload, name=found.name, hashes=_encode(merged), backend=wanted.backend, upload_expires=until)
            return found

        return await self._database.transaction(begin)

    async def finish(self, upload: Object, project_id: str, upload_id: str, hashes: Mapping[str, str]) -> None:
        """Make an upload, whose bytes have been checked, an object with these hashes.

        Raises what `model.check_finishing` does, should something else have happened to it meanwhile.
        """

        async def finish(tx: db.Tx) -> None:
            found = _object(await tx.one(sql.lock_object, name=upload.name))
            going_on = model.check_finishing(found, upload.name, project_id, upload_id, hashes)
            if going_on is not None:
                merged = model.merge_hashes(going_on, hashes)
                await tx.execute(sql.finish_upload, name=upload.name, hashes=_encode(merged))

        await self._database.transaction(finish)

    async def moved(self, name: str, source: str, target: str) -> None:
        """Note that the bytes of an object are in another place from now on."""
        await self._database.transaction(lambda tx: tx.execute(sql.move_object, name=name, source=source, target=target))

    async def mark_expired(self) -> int:
        """Take all that has expired out of use, in batches; gives how many."""
        total = 0
        while count := await self._database.transaction(lambda tx: tx.execute(sql.mark_expired, now=tx.now, limit=_BATCH)):
            total += count
        return total

    async def removed(self, after: str) -> list[db.Row]:
        """Some objects out of use (`name`, `backend`, `location`), in order, after a name."""
        return await self._database.all(sql.list_removed, after=after, limit=_BATCH)

    async def forget(self, names: list[str]) -> None:
        """Forget objects out of use whose bytes are gone."""
        await self._database.transaction(lambda tx: tx.many(sql.forget_object, [{"name": name} for name in names]))


def _object(row: db.Row | None) -> Object | None:
    if row is None:
        return None
    return Object(
        row["name"], row["project_id"], row["backend"], row["location"], row["upload_id"], row["expires"], _hashes(row["hashes"]), row["removed"] == 1,
    )  # fmt: skip


def _encode(hashes: Mapping[str, str]) -> str:
    return msgspec.json.encode(hashes).decode()
