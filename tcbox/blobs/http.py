"""The URLs of blobs in local files: signed PUT and GET, as S3 has them, streamed between socket and disk.

Bytes are data of strangers: a browser gets them sandboxed, so that a page among them cannot act as this instance's.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.blobs import files, ranges, signing
from tcbox.blobs.interface import HashMismatch, Incomplete, NoSuchBlob, Sealed
from tcbox.blobs.local import CHUNK, PREFIX, LocalBlobs, read

if TYPE_CHECKING:
    from aiohttp import web

_log = log.get("blobs")
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Disposition, Content-Encoding, Content-Length, Content-Range, Content-Type, ETag, Last-Modified",
}
_PREFLIGHT = {**_CORS, "Access-Control-Allow-Methods": "GET, HEAD, PUT", "Access-Control-Allow-Headers": "*", "Access-Control-Max-Age": "3600"}
_SAFE = {
    "Content-Security-Policy": "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Refused(errors.TcboxError):
    """A request for bytes is refused with a status; the message goes back as text."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers
        super().__init__(message)


class BlobFiles:
    """Answers requests below `/blobs/`.

    The server that it is mounted on must not decode bodies (`auto_decompress=False` for aiohttp): a gzip upload is
    stored as it comes.
    """

    def __init__(self, blobs: LocalBlobs, signer: signing.Signer, clock: clocks.Clock) -> None:
        self._blobs = blobs
        self._signer = signer
        self._clock = clock
        self._methods = {"GET": self._get, "HEAD": self._get, "PUT": self._put, "OPTIONS": self._options}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        method = self._methods.get(request.method)
        try:
            if method is None:
                raise Refused(405, f"Bytes cannot be asked for with {request.method}: use GET, HEAD or PUT.")
            return await method(request)
        except Refused as refused:
            return _refusal(refused.status, str(refused), refused.headers)
        except signing.BadUrl as error:
            return _refusal(403, str(error))
        except NoSuchBlob as error:
            return _refusal(404, str(error))
        except Sealed as error:
            return _refusal(409, str(error))
        except (Incomplete, HashMismatch) as error:
            return _refusal(400, str(error))
        except errors.Unavailable as error:
            return _refusal(507, error.message.format(**error.details))
        except (errors.TcboxError, OSError) as error:
            if isinstance(error, ConnectionError):
                raise
            _log.exception("%s %s failed", request.method, request.rel_url.raw_path, exc_info=error)
            return _refusal(500, "The bytes could not be read or written; the log of this instance says why.")

    def _permitted(self, request: web.BaseRequest) -> tuple[str, dict[str, str]]:
        path, _, query = request.raw_path.partition("?")
        location = unquote(path[len(PREFIX) :], errors="surrogateescape")
        return location, self._signer.check(location, query, method=request.method, now_ms=self._clock.now())

    async def _options(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        return web.Response(status=204, headers=_PREFLIGHT)

    # -- writing

    async def _put(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        location, conditions = self._permitted(request)
        length = _required(request, conditions)
        if await asyncio.to_thread(files.is_sealed, self._blobs.path(location)):
            raise Sealed(f"{location} is final and cannot be replaced: upload under another name")
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        encoding = request.headers.get("Content-Encoding", "")
        stat = await self._blobs.put_stream(
            location,
            request.content.iter_any(),
            content_type=request.headers.get("Content-Type", "application/octet-stream"),
            content_encoding="" if encoding == "identity" else encoding,
            content_disposition=request.headers.get("Content-Disposition", ""),
            length=length,
            expected_hashes=_digests(request),
        )
        return web.Response(status=200, headers={**_CORS, "ETag": f'"{stat.etag}"'})

    # -- reading

    async def _get(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        location, conditions = self._permitted(request)
        stored, body = await asyncio.to_thread(_load, self._blobs.path(location))
        if stored is None:
            raise NoSuchBlob(f"There are no bytes at {location}: they were not uploaded, or have been deleted.")
        meta = stored.meta
        headers = _headers(meta, conditions.get("disposition", ""))
        try:
            if _listed(request.headers.get("If-None-Match"), meta.etag):
                return web.Response(status=304, headers={**_CORS, "ETag": headers["ETag"]})
            span = _span(request, meta, headers["Last-Modified"])
            first, end = span or (0, meta.size)
            if span is not None:
                headers["Content-Range"] = f"bytes {first}-{end - 1}/{meta.size}"
            status = 200 if span is None else 206
            if request.method == "HEAD":
                return web.Response(status=status, headers={**headers, "Content-Length": str(end - first)})
            if body is not None:
                return web.Response(status=status, headers=headers, body=body[first:end])
            response = web.StreamResponse(status=status, headers=headers)
            response.content_length = end - first
            await response.prepare(request)
            async for chunk in read(stored, first, end):
                await response.write(chunk)
            await response.write_eof()
            return response
        except ranges.BehindTheEndError:
            raise Refused(416, f"The range lies behind the end: there are {meta.size} bytes.", {"Content-Range": f"bytes */{meta.size}"}) from None
        finally:
            stored.close()


def _load(path: Path) -> tuple[files.Stored | None, bytes | None]:
    """Open a blob and, if it is small, read it whole, in one go."""
    stored = files.open_blob(path)
    if stored is None:
        return None, None
    return stored, stored.read(0, CHUNK) if stored.meta.size <= CHUNK else None


def _required(request: web.BaseRequest, conditions: dict[str, str]) -> int:
    """How many bytes are to come; raises Refused unless the request has the headers that its URL was signed for.

    Where the URL itself tells the length, the request need not: the published Go client sends objects chunked.
    """
    length, wanted_length = request.content_length, conditions.get("length")
    if length is None and wanted_length is not None:
        length = int(wanted_length)
    if length is None:
        raise Refused(411, "A PUT needs a Content-Length: send the size in bytes, without chunked transfer encoding.")
    if wanted_length is not None and length != int(wanted_length):
        raise Refused(403, f"This URL is for {conditions['length']} bytes, and the Content-Length is {length}: send just so many, or ask for another URL.")
    for name, header in (("type", "Content-Type"), ("disposition", "Content-Disposition")):
        given, wanted = request.headers.get(header, ""), conditions.get(name, "")
        if given != wanted and (wanted or name == "disposition"):
            raise Refused(403, f"This URL is for the {header} {wanted!r}, and the request has {given!r}: send the headers that came with the URL.")
    return length


def _digests(request: web.BaseRequest) -> dict[str, str]:
    header = request.headers.get("Content-MD5")
    if header is None:
        return {}
    try:
        return {"md5": base64.b64decode(header, validate=True).hex()}
    except binascii.Error:
        raise Refused(400, "The Content-MD5 is not base64: send the 16 bytes of the hash in base64, or leave the header out.") from None


def _headers(meta: files.Meta, disposition: str) -> dict[str, str]:
    headers = {
        **_CORS,
        **_SAFE,
        "Accept-Ranges": "bytes",
        "Content-Type": meta.content_type if meta.content_type.isascii() and meta.content_type.isprintable() else "application/octet-stream",
        "ETag": f'"{meta.etag}"',
        "Last-Modified": formatdate(meta.modified // 1000, usegmt=True),
    }
    if meta.content_encoding:
        headers["Content-Encoding"] = meta.content_encoding
    if disposition or meta.content_disposition:
        headers["Content-Disposition"] = disposition or meta.content_disposition
    return headers


def _span(request: web.BaseRequest, meta: files.Meta, modified: str) -> tuple[int, int] | None:
    unless = request.headers.get("If-Range")
    if unless is not None and unless not in (f'"{meta.etag}"', modified):
        return None
    return ranges.span(request.headers.get("Range"), meta.size)


def _listed(header: str | None, etag: str) -> bool:
    return header is not None and any(part.strip().removeprefix("W/") in ("*", f'"{etag}"') for part in header.split(","))


def _refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.StreamResponse:
    from aiohttp import web

    return web.Response(status=status, text=message + "\n", headers={**_CORS, **(headers or {})})
