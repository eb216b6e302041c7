"""Objects that were recorded when the instance kept its bytes elsewhere, and whose bytes have been copied here since."""

from __future__ import annotations

from tcbox import blobs
from tcbox.services.object.store import Store


class Here:
    """The place for bytes that the instance uses now."""

    def __init__(self, *, store: Store, blobs: blobs.Blobs) -> None:
        self._store = store
        self._blobs = blobs

    @property
    def name(self) -> str:
        """As records have it."""
        return self._blobs.backend

    async def has(self, name: str, backend: str, key: str) -> bool:
        """Whether the bytes of an object are here; those found here though the record says otherwise are recorded as such."""
        if backend == self.name:
            return True
        if await self._blobs.stat(key) is None:
            return False
        await self._store.moved(name, backend, self.name)
        return True
