"""Uploads: begun, carried out by the caller, finished."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

from tcbox import blobs, errors
from tcbox import clock as clocks
from tcbox.api.call import Call
from tcbox.blobs import hashing
from tcbox.services.object import model
from tcbox.services.object.declarations import NoMatchingBackend, api
from tcbox.services.object.here import Here
from tcbox.services.object.model import Object
from tcbox.services.object.store import Store

UPLOAD_MS = clocks.DAY
"""Time in which an upload must be finished."""
PUT_URL_MS = 45 * clocks.MINUTE
"""Time in which a PUT must begin; the URL holds a little longer, as clocks differ."""
_SKEW_MS = 10 * clocks.SECOND
_SPACE = re.compile(r"\s+")


class Uploads:
    """Begin and finish uploads."""

    def __init__(self, *, store: Store, blobs: blobs.Blobs, here: Here, clock: clocks.Clock) -> None:
        self._store = store
        self._blobs = blobs
        self._here = here
        self._clock = clock
        self._finishing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @api.put(
        "/upload/<name>",
        name="createUpload",
        input="create-upload-request",
        output="create-upload-response",
        scopes="object:upload:<projectId>:<name>",
        category="Upload",
    )
    async def create_upload(self, call: Call, name: str) -> dict[str, Any]:
        """Begin upload of a new object

        Agree on how the bytes of a new object are uploaded: of the proposed methods one is picked, and the reply holds
        what is needed for it. With no proposal that fits, the reply's `uploadMethod` is empty; then call again with
        others, or for a fresh URL, as often as needed.

        The first call settles the object's `projectId` and `expires`, and ties the name to the caller's `uploadId`:
        whoever does not know that id cannot upload under this name. Hashes may be added by later calls, not changed.
        An upload that is not finished within a day is forgotten.
        """
        asked = call.payload
        await call.authorize(projectId=asked["projectId"], name=name)
        upload_id = asked["uploadId"]
        wanted = Object(
            name=name, project_id=asked["projectId"], backend=self._blobs.backend, blob=f"object/{upload_id}/{name}",
            upload_id=upload_id, expires=clocks.from_wire(asked["expires"]), hashes={}, removed=False,
        )  # fmt: skip
        upload = await self._store.begin(wanted, _hashes(asked), UPLOAD_MS)
        method = await self._method(upload, asked["proposedUploadMethods"])
        return {"projectId": asked["projectId"], "uploadId": upload_id, "expires": asked["expires"], "uploadMethod": method}

    async def _method(self, upload: Object, proposed: Mapping[str, Any]) -> dict[str, Any]:
        if "dataInline" in proposed:
            await self._take(upload, proposed["dataInline"])
            return {"dataInline": True}
        if "putUrl" in proposed:
            return {"putUrl": self._put_url(upload, proposed["putUrl"])}
        return {}

    async def _take(self, upload: Object, inline: Mapping[str, Any]) -> None:
        data = _decode(inline["objectData"])
        disposition = model.disposition(inline["contentType"])
        try:
            await self._blobs.put_stream(upload.blob, _one(data), content_type=inline["contentType"], content_disposition=disposition, length=len(data))
        except blobs.Sealed:
            raise errors.RequestConflict("The upload of {name} is just being finished, and its bytes cannot be changed.", name=upload.name) from None

    def _put_url(self, upload: Object, proposal: Mapping[str, Any]) -> dict[str, Any]:
        content_type, length = proposal["contentType"], proposal["contentLength"]
        if length < 0:
            raise errors.InputError("The contentLength is {length}: give the number of bytes that will be sent.", length=length)
        disposition = model.disposition(content_type)
        expires = self._clock.now() + PUT_URL_MS
        url = self._blobs.put_url(upload.blob, content_type=content_type, content_length=length, content_disposition=disposition, expires_ms=expires + _SKEW_MS)
        headers = {"Content-Type": content_type, "Content-Length": str(length), "Content-Encoding": "identity"}
        if disposition:
            headers["Content-Disposition"] = disposition
        return {"url": url, "expires": clocks.to_wire(expires), "headers": headers}

    @api.post(
        "/finish-upload/<name>",
        name="finishUpload",
        input="finish-upload-request",
        scopes="object:upload:<projectId>:<name>",
        category="Upload",
    )
    async def finish_upload(self, call: Call, name: str) -> dict[str, Any]:
        """Mark an upload as complete.

        Say that all bytes have been sent. They are held against the hashes given here and to `createUpload`; if those
        are theirs, the object can be downloaded from now on, and changes no more. Finishing again with the same, or
        fewer, hashes does nothing.

        An object can be finished without hashes, but many clients download only what they can check.
        """
        asked = call.payload
        project_id, upload_id, hashes = asked["projectId"], asked["uploadId"], _hashes(asked)
        await call.authorize(projectId=project_id, name=name)
        async with self._finishing.setdefault(name, asyncio.Lock()):
            upload = model.check_finishing(await self._store.get(name), name, project_id, upload_id, hashes)
            if upload is not None:
                await self._finish(upload, project_id, upload_id, hashes)
        return {}

    async def _finish(self, upload: Object, project_id: str, upload_id: str, hashes: Mapping[str, str]) -> None:
        if not await self._here.has(upload.name, upload.backend, upload.blob):
            raise NoMatchingBackend(
                "The backend for this object is no longer defined: the bytes of {name} are to go to {backend}.", name=upload.name, backend=upload.backend
            )
        expected = model.merge_hashes(upload, hashes)
        await self._blobs.seal(upload.blob)
        try:
            await self._check(upload, expected)
            await self._store.finish(upload, project_id, upload_id, hashes)
        except BaseException:
            await asyncio.shield(self._blobs.unseal(upload.blob))
            raise

    async def _check(self, upload: Object, expected: Mapping[str, str]) -> None:
        stat = await self._blobs.stat(upload.blob)
        if stat is None:
            raise errors.InputError("No bytes have come for {name}: upload them, by the method that createUpload gave, before finishing.", name=upload.name)
        if stat.content_encoding:
            raise errors.InputError(
                "The bytes of {name} were sent with Content-Encoding {encoding}: send them as they are, with the headers that createUpload gave.",
                name=upload.name, encoding=stat.content_encoding,
            )  # fmt: skip
        known = [algorithm for algorithm in expected if algorithm in blobs.ALGORITHMS]
        try:
            hashing.compare(upload.name, expected, await self._blobs.hashes(upload.blob, known))
        except blobs.HashMismatch as error:
            raise errors.InputError("{reason}.", reason=str(error)) from None


def _hashes(asked: Mapping[str, Any]) -> dict[str, str]:
    """The hashes in a request; what is no text cannot be one, and is passed over like an unknown algorithm."""
    return {algorithm: value for algorithm, value in (asked.get("hashes") or {}).items() if isinstance(value, str)}


def _decode(text: str) -> bytes:
    compact = _SPACE.sub("", text).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except ValueError:  # binascii.Error, and what is said of text beyond ASCII
        raise errors.InputError("Invalid base64 objectData: encode the bytes in base64.") from None


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data
