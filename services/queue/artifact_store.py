"""Where the bytes of artifacts of the storage type `s3` live, as the queue sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ArtifactStore(Protocol):
    """Gives out URLs under which artifacts are written and read.

    Implementers must accept any key that `put_url` was called with, and must not let a URL be used after its time.
    """

    def put_url(self, key: str, *, content_type: str, content_length: int | None, expires_ms: int) -> str:
        """A URL to which the artifact's bytes are sent by PUT.

        Args:
            key: `<taskId>/<runId>/<name>`.
            content_type: what the PUT must give as its Content-Type.
            content_length: how many bytes were announced, None when that was left open.
            expires_ms: until when the URL can be used, in ms since the epoch.
        """
        ...

    def get_url(self, key: str, *, public: bool, expires_ms: int, content_type: str, filename: str) -> str:
        """A URL at which the artifact's bytes are to be had by GET.

        Args:
            public: whether the artifact's name starts with `public/`.
            expires_ms: until when the URL must work, in ms since the epoch.
            content_type: what the reply must give as its Content-Type.
            filename: the last part of the artifact's name, for those who save it.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove the bytes under these keys; a key with nothing under it is no error."""
        ...
