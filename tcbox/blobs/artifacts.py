"""Artifacts that clients upload and download themselves, over URLs (the queue's storage type `s3`)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from tcbox.blobs import keys
from tcbox.blobs.interface import Blobs

FOLDER = "artifact/"
"""What the keys of all artifacts start with."""


class ArtifactStore:
    """Artifacts among the blobs, by keys such as `<taskId>/<runId>/<name>`.

    Args:
        public_url: where public artifacts can be had without a signature, such as a CDN before the bucket; None when
            every download needs a signed URL.
    """

    def __init__(self, blobs: Blobs, *, public_url: str | None = None) -> None:
        self.blobs = blobs
        self._public_url = public_url.rstrip("/") if public_url else None

    def put_url(self, key: str, *, content_type: str, content_length: int | None, expires_ms: int) -> str:
        """A URL for one PUT with this Content-Type until a time (ms since the epoch); any length if none is given."""
        return self.blobs.put_url(FOLDER + key, content_type=content_type, content_length=content_length, expires_ms=expires_ms)

    def get_url(self, key: str, *, public: bool, expires_ms: int, content_type: str, filename: str) -> str:
        """A URL for downloads until a time (ms since the epoch), or, where public artifacts have one, the lasting one.

        Args:
            content_type: that of the artifact; the PUT had to have it, so the bytes are kept with it.
            filename: for saving, where the URL does not end with it anyway.
        """
        place = FOLDER + key
        if public and self._public_url is not None:
            return f"{self._public_url}/{keys.path(place)}"
        disposition = "" if keys.location(place) == place else f"inline; filename*=UTF-8''{quote(filename, safe='')}"
        return self.blobs.get_url(place, expires_ms=expires_ms, disposition=disposition, content_type=content_type)

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove the bytes of these artifacts; those without bytes are passed over."""
        await self.blobs.delete(FOLDER + key for key in keys)
