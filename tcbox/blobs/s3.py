"""Blobs in S3, or in any server that speaks its protocol; clients read and write there directly, over pre-signed URLs.

The client library blocks and takes long to import: it is loaded by `start`, and called in threads; signing a URL, which
sends nothing, takes half a millisecond and is not.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

from tcbox import clock as clocks
from tcbox import errors
from tcbox.blobs import hashing, keys
from tcbox.blobs.interface import Incomplete, Interrupted, NoSuchBlob, Stat

_PART = 8 * 1024 * 1024
"""Bytes of the first parts of a large upload."""
_MOST_PARTS = 10_000
_PARTS_OF_A_SIZE = 1000
"""Where nobody knows how much will come, parts are twice as large after so many."""
PAGE = 1000
"""Names that one answer lists; S3 gives no more."""
_READ = 256 * 1024
_UNKNOWN = "application/octet-stream"
_ORIGIN = "tcbox-origin"
"""The name, among an object's own metadata, of what it is a copy of."""
_LARGEST_PUT = 5 * 1024**3
"""Bytes that one PUT may have."""
_LONGEST_URL = 7 * 86400
"""Seconds that a pre-signed URL may be valid."""


class S3Blobs:
    """Blobs in a bucket.

    Args:
        prefix: what the names of all objects start with, without slashes at its ends; may be empty.
        endpoint: the server's URL, when it is not Amazon's.
        access_key_id, secret_access_key: when left out, those of the environment or of the machine.
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        endpoint: str | None = None,
        region: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        clock: clocks.Clock,
    ) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.endpoint = endpoint
        self._region = region
        self._credentials = (access_key_id, secret_access_key)
        self._clock = clock
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def backend(self) -> str:
        """The place's name in records."""
        return f"s3:{self.bucket}/{self.prefix}".rstrip("/")

    async def start(self) -> None:
        """Load the client, so that no URL has to wait for it; the bucket is not asked for until it is used."""
        await asyncio.to_thread(self._client)

    async def close(self) -> None:
        """Let go of connections."""
        client, self._made = self._made, None
        if client is not None:
            await asyncio.to_thread(client.close)

    async def check(self) -> None:
        """See `Blobs.check`; lists, as whoever copies must be allowed to."""
        await self._call("list_objects_v2", Prefix=self.prefix, MaxKeys=1)

    async def listing(self, damaged: Callable[[str], None]) -> AsyncIterator[str]:
        """See `Blobs.listing`; what else is in the bucket is passed over, and nothing counts as damaged before it is read."""
        for area in keys.AREAS:
            after: dict[str, str] | None = {}
            while after is not None:
                reply = await self._call("list_objects_v2", Prefix=self.prefix + area, MaxKeys=PAGE, **after)
                for each in reply.get("Contents", []):
                    key = each["Key"].removeprefix(self.prefix)
                    if keys.location(key) == key:
                        yield key
                after = {"ContinuationToken": reply["NextContinuationToken"]} if reply.get("IsTruncated") else None

    def name(self, key: str) -> str:
        """The name of a key's object in the bucket."""
        return self.prefix + keys.location(key)

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._connect()
            return self._made

    def _connect(self) -> Any:
        try:
            import boto3
            from botocore.config import Config
        except ModuleNotFoundError as error:
            raise errors.TcboxError(
                "blobs are in S3, and its client boto3 is not installed, which tcbox's extra `aws` brings: pip install 'tcbox[aws]'"
            ) from error
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if self.endpoint else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=32,
        )
        key_id, secret = self._credentials
        session = boto3.session.Session(aws_access_key_id=key_id, aws_secret_access_key=secret, region_name=self._region or "us-east-1")
        return session.client("s3", endpoint_url=self.endpoint, config=config)

    async def _call(self, operation: str, /, **params: Any) -> Any:
        return await asyncio.to_thread(self._now, operation, params)

    def _now(self, operation: str, params: dict[str, Any]) -> Any:
        client = self._client()
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(client, operation)(Bucket=self.bucket, **params)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in ("NoSuchKey", "404", "NotFound"):
                raise NoSuchBlob(f"there are no bytes for {params.get('Key')} in the bucket {self.bucket}") from None
            raise self._failure(operation, f"{code} {error.response.get('Error', {}).get('Message', '')}") from error
        except BotoCoreError as error:
            raise self._failure(operation, str(error)) from error

    def _failure(self, operation: str, reason: str) -> errors.Unavailable:
        return errors.Unavailable(
            "S3 refuses {operation} on the bucket {bucket}: {reason}. See that the bucket is there, and that the credentials may use it.",
            operation=operation, bucket=self.bucket, reason=reason.strip().rstrip("."),
        )  # fmt: skip

    async def put_stream(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str,
        content_encoding: str = "",
        content_disposition: str = "",
        length: int | None = None,
        expected_hashes: Mapping[str, str] | None = None,
        origin: str = "",
    ) -> Stat:
        """See `Blobs.put_stream`; more than 8 MiB go up in parts, and appear when the last one is there.

        What comes with an origin is a copy, of which parts may be there from one that was broken off: they are removed.
        """
        headers = _headers(content_type, content_encoding, content_disposition)
        if origin:
            headers["Metadata"] = {_ORIGIN: origin}
        if origin and (length is None or length >= _PART):
            await self._abandon_others(self.name(key))
        upload = _Upload(self._call, self.name(key), headers, hashing.Hashes(expected_hashes or {}), length)
        try:
            async for chunk in chunks:
                await upload.write(chunk)
            if length is not None and upload.size != length:
                raise Incomplete(f"{key} should have {length} bytes, and {upload.size} came: send it again, whole")
            await upload.settle()
            hashing.compare(key, expected_hashes or {}, upload.hashes.hexdigests())
            etag = await upload.finish()
        except BaseException:
            await asyncio.shield(upload.abandon())
            raise
        return Stat(upload.size, content_type, content_encoding, content_disposition, etag.strip('"'), self._clock.now(), origin=origin)

    async def _abandon_others(self, name: str) -> None:
        with contextlib.suppress(errors.Unavailable):  # who may not do that has them removed by a rule of the bucket
            for each in (await self._call("list_multipart_uploads", Prefix=name)).get("Uploads", []):
                if each["Key"] == name:
                    await self._call("abort_multipart_upload", Key=name, UploadId=each["UploadId"])

    async def open(self, key: str, span: tuple[int, int] | None = None) -> tuple[Stat, AsyncIterator[bytes]]:
        """See `Blobs.open`."""
        if span is not None and span[0] >= span[1]:
            found = await self.stat(key)
            if found is None:
                raise NoSuchBlob(f"there are no bytes for {key} in the bucket {self.bucket}")
            return found, _nothing()
        asked = {} if span is None else {"Range": f"bytes={span[0]}-{span[1] - 1}"}
        reply = await self._call("get_object", Key=self.name(key), **asked)
        return _stat(reply), _read(reply["Body"], key)

    async def stat(self, key: str) -> Stat | None:
        """See `Blobs.stat`."""
        try:
            return _stat(await self._call("head_object", Key=self.name(key)))
        except NoSuchBlob:
            return None

    async def hashes(self, key: str, algorithms: Iterable[str]) -> dict[str, str]:
        """See `Blobs.hashes`; reads all of the object."""
        hashes = hashing.Hashes(algorithms)
        if hashes:
            reply = await self._call("get_object", Key=self.name(key))
            await asyncio.to_thread(_hash, reply["Body"], hashes)
        return hashes.hexdigests()

    async def delete(self, keys: Iterable[str]) -> None:
        """See `Blobs.delete`."""
        names = [self.name(key) for key in keys]
        for start in range(0, len(names), 1000):
            batch = [{"Key": name} for name in names[start : start + 1000]]
            reply = await self._call("delete_objects", Delete={"Objects": batch, "Quiet": True})
            failed = [fault for fault in reply.get("Errors", []) if fault.get("Code") != "NoSuchKey"]
            if failed:
                raise self._failure("delete_objects", f"{failed[0].get('Key')}: {failed[0].get('Code')} {failed[0].get('Message', '')}")

    async def seal(self, key: str) -> None:
        """Nothing: S3 has no such thing; its PUT URLs end by themselves."""

    async def unseal(self, key: str) -> None:
        """Nothing: see `seal`."""

    def put_url(self, key: str, *, content_type: str, content_length: int | None = None, content_disposition: str = "", expires_ms: int) -> str:
        """See `Blobs.put_url`.

        Raises InputError when there are more bytes than one PUT may have.
        """
        if content_length is not None and content_length > _LARGEST_PUT:
            raise errors.InputError("S3 takes at most {most} bytes in one PUT, not {given}: store it in pieces.", most=_LARGEST_PUT, given=content_length)
        params: dict[str, Any] = _headers(content_type, "", content_disposition)
        if content_length is not None:
            params["ContentLength"] = content_length
        return self._presign("put_object", key, params, expires_ms)

    def get_url(self, key: str, *, expires_ms: int, disposition: str = "", content_type: str = "") -> str:
        """See `Blobs.get_url`; SeaweedFS, for one, takes `application/octet-stream` for no type, and guesses one from the name."""
        params = {"ResponseContentDisposition": disposition} if disposition else {}
        if content_type == _UNKNOWN:
            params["ResponseContentType"] = content_type
        return self._presign("get_object", key, params, expires_ms)

    def _presign(self, operation: str, key: str, params: dict[str, Any], expires_ms: int) -> str:
        seconds = max(1, min((expires_ms - self._clock.now()) // 1000, _LONGEST_URL))
        params = {"Bucket": self.bucket, "Key": self.name(key), **params}
        return str(self._client().generate_presigned_url(operation, Params=params, ExpiresIn=seconds))


class _Upload:
    """Bytes on their way: one PUT when there are few, parts when there are many; the server refuses what has not their MD5."""

    def __init__(self, call: Callable[..., Awaitable[Any]], name: str, headers: dict[str, Any], hashes: hashing.Hashes, length: int | None) -> None:
        self._call = call
        self._name = name
        self._headers = headers
        self._gathered = bytearray()
        self._id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._part = None if length is None else max(_PART, -(-length // _MOST_PARTS))
        self.hashes = hashes
        self.size = 0

    async def write(self, chunk: bytes) -> None:
        self._gathered += chunk
        self.size += len(chunk)
        if len(self._gathered) >= (self._part or _PART << (len(self._parts) // _PARTS_OF_A_SIZE)):
            await self._send()

    async def _send(self) -> None:
        if self._id is None:
            self._id = str((await self._call("create_multipart_upload", Key=self._name, **self._headers))["UploadId"])
        part, self._gathered = self._gathered, bytearray()
        number = len(self._parts) + 1
        await self._hash(part)
        reply = await self._call("upload_part", Key=self._name, UploadId=self._id, PartNumber=number, Body=part, ContentMD5=await _md5(part))
        self._parts.append({"PartNumber": number, "ETag": reply["ETag"]})

    async def _hash(self, data: bytearray) -> None:
        if self.hashes:
            await asyncio.to_thread(self.hashes.update, bytes(data))

    async def settle(self) -> None:
        """Send or hash what has been gathered, so that hashes cover all bytes."""
        if self._id is not None:
            if self._gathered:
                await self._send()
        else:
            await self._hash(self._gathered)

    async def finish(self) -> str:
        if self._id is None:
            data = self._gathered
            reply = await self._call("put_object", Key=self._name, Body=bytes(data), ContentMD5=await _md5(data), **self._headers)
            return str(reply["ETag"])
        listed = {"Parts": self._parts}
        reply = await self._call("complete_multipart_upload", Key=self._name, UploadId=self._id, MultipartUpload=listed)
        self._id = None
        return str(reply["ETag"])

    async def abandon(self) -> None:
        if self._id is not None:
            upload, self._id = self._id, None
            await self._call("abort_multipart_upload", Key=self._name, UploadId=upload)


def _headers(content_type: str, content_encoding: str, content_disposition: str) -> dict[str, Any]:
    headers = {"ContentType": content_type, "ContentEncoding": content_encoding, "ContentDisposition": content_disposition}
    return {name: value for name, value in headers.items() if value}


def _stat(reply: Mapping[str, Any]) -> Stat:
    whole = str(reply.get("ContentRange", "")).rpartition("/")[2]
    encoding = reply.get("ContentEncoding", "")
    return Stat(
        int(whole) if whole.isdigit() else reply["ContentLength"],
        reply.get("ContentType", ""),
        "" if encoding == "identity" else encoding,
        reply.get("ContentDisposition", ""),
        reply["ETag"].strip('"'),
        int(reply["LastModified"].timestamp() * 1000),
        origin=reply.get("Metadata", {}).get(_ORIGIN, ""),
    )


async def _md5(data: bytearray) -> str:
    digest = await asyncio.to_thread(hashlib.md5, data, usedforsecurity=False)
    return base64.b64encode(digest.digest()).decode()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _read(body: Any, key: str) -> AsyncIterator[bytes]:
    from botocore.exceptions import BotoCoreError
    from urllib3.exceptions import HTTPError

    try:
        while chunk := await asyncio.to_thread(body.read, _READ):
            yield chunk
    except (BotoCoreError, HTTPError) as error:
        raise Interrupted("S3 broke off in the middle of {key}: {reason}. Try again.", key=key, reason=str(error)) from error
    finally:
        body.close()


def _hash(body: Any, hashes: hashing.Hashes) -> None:
    try:
        while chunk := body.read(4 * _READ):
            hashes.update(chunk)
    finally:
        body.close()
