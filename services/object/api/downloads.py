"""Downloads, and what is known of an object."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tcbox import blobs, errors
from tcbox import clock as clocks
from tcbox.api.call import Call, Redirect, Reply
from tcbox.services.object.declarations import NoMatchingBackend, NoMatchingMethod, api
from tcbox.services.object.here import Here
from tcbox.services.object.model import Object
from tcbox.services.object.store import Store

METHODS = ("getUrl", "simple")
"""Download methods, the better ones first."""
SIMPLE_MS = 30 * clocks.MINUTE
"""Time for which the URL of a simple download holds."""
GET_URL_MS = clocks.MINUTE
"""Time in which a `getUrl` download must begin; the URL holds twice as long, as clocks differ."""


@dataclass(frozen=True)
class Cdn:
    """Objects whose name matches are downloaded from `<base_url><name>` by those who use the `download` method."""

    pattern: re.Pattern[str]
    base_url: str


class Downloads:
    """Download objects, or read about them."""

    def __init__(self, *, store: Store, blobs: blobs.Blobs, here: Here, clock: clocks.Clock, cdns: Sequence[Cdn] = ()) -> None:
        self._store = store
        self._blobs = blobs
        self._here = here
        self._clock = clock
        self._cdns = cdns

    @api.put(
        "/start-download/<name>",
        name="startDownload",
        input="download-object-request",
        output="download-object-response",
        scopes="object:download:<name>",
        category="Download",
    )
    async def start_download(self, call: Call, name: str) -> dict[str, Any]:
        """Download object data

        Learn where the bytes of an object are to be had. Of the methods that the caller accepts the best one is picked;
        answers 406 when there is none. `getUrl` gives a URL for a short time together with the object's hashes, which
        the caller must check; `simple` gives just a URL.
        """
        found = await self._reachable(name)
        accepted = call.payload["acceptDownloadMethods"]
        method = next((method for method in METHODS if method in accepted), None)
        if method is None:
            raise NoMatchingMethod("Object supports methods {methods}: accept at least one of them.", methods=", ".join(METHODS))
        now = self._clock.now()
        if method == "simple":
            return {"method": method, "url": self._blobs.get_url(found.blob, expires_ms=now + SIMPLE_MS)}
        url = self._blobs.get_url(found.blob, expires_ms=now + 2 * GET_URL_MS)
        return {"method": method, "url": url, "expires": clocks.to_wire(now + GET_URL_MS), "hashes": found.hashes}

    @api.get(
        "/metadata/<name>",
        name="object",
        output="get-object-response",
        scopes="object:download:<name>",
        category="Objects",
        eager=True,
    )
    async def metadata(self, call: Call, name: str) -> dict[str, Any]:
        """Get an object's metadata

        Read what is known of an object. Its bytes are to be had with `startDownload`.
        """
        found = await self._finished(name)
        return {"projectId": found.project_id, "expires": clocks.to_wire(found.expires), "hashes": found.hashes}

    @api.get("/download/<name>", name="download", scopes="object:download:<name>", category="Download")
    async def download(self, call: Call, name: str) -> Reply:
        """Get an object's data

        Redirects to the bytes of an object, for browsers, curl and the like; with a bewit in the URL where the object
        is not public. `startDownload` is the better way for programs, as it gives hashes to check.
        """
        found = await self._reachable(name)
        for cdn in self._cdns:
            if cdn.pattern.search(name):
                return Redirect(cdn.base_url + name)
        return Redirect(self._blobs.get_url(found.blob, expires_ms=self._clock.now() + SIMPLE_MS))

    async def _finished(self, name: str) -> Object:
        found = await self._store.get(name)
        if found is None or not found.finished:
            raise errors.ResourceNotFound('Object "{name}" not found: it was not uploaded, its upload is not finished, or it has expired.', name=name)
        return found

    async def _reachable(self, name: str) -> Object:
        found = await self._finished(name)
        if not await self._here.has(found.name, found.backend, found.blob):
            raise NoMatchingBackend(
                "The backend for this object is no longer defined: the bytes of {name} are in {backend}, and this instance uses {here}.",
                name=found.name, backend=found.backend, here=self._here.name,
            )  # fmt: skip
        return found
