"""Places for bytes: what both keep, with clients that use their URLs."""

import asyncio
import gzip
import hashlib
import os

import aiohttp
import pytest
from yarl import URL

from tcbox import blobs as blobs_module
from tcbox import clock as clocks
from tcbox import errors
from tcbox.blobs import connect
from tcbox.blobs.artifacts import ArtifactStore
from tcbox.blobs.signing import Signer
from tests.support.blobs import blobs, s3_endpoint  # noqa: F401

KEY = "object/x/public/build/a b+c%2F.txt"
BIG = os.urandom(1024 * 1024) * 19 + b"end"


def soon():
    return clocks.SystemClock().now() + 60_000


async def chunks(data, size=300_000):
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def content(blobs, key, span=None):
    stat, parts = await blobs.open(key, span)
    return stat, b"".join([part async for part in parts])


@pytest.mark.parametrize("data", [b"", b"hello", BIG], ids=["empty", "small", "big"])
async def test_written_and_read(blobs, data):
    """Bytes of any size come back as they were written, with what was said of them."""
    stat = await blobs.put_stream(KEY, chunks(data), content_type="text/plain", content_encoding="gzip", content_disposition="attachment", length=len(data))
    found, read = await content(blobs, KEY)
    assert read == data
    assert (found.size, found.content_type, found.content_encoding, found.content_disposition) == (len(data), "text/plain", "gzip", "attachment")
    assert found.etag == stat.etag
    assert (await blobs.stat(KEY)).size == len(data)


async def test_spans(blobs):
    """Any stretch of the bytes can be read by itself."""
    await blobs.put_stream(KEY, chunks(BIG), content_type="x/y")
    for span in [(0, 1), (5, 600_000), (len(BIG) - 3, len(BIG)), (7, 7)]:
        stat, read = await content(blobs, KEY, span)
        assert read == BIG[span[0] : span[1]]
        assert stat.size == len(BIG)


async def test_nothing_there(blobs):
    """Reading what is not there says so; removing it is no error."""
    assert await blobs.stat(KEY) is None
    with pytest.raises(blobs_module.NoSuchBlob):
        await blobs.open(KEY)
    with pytest.raises(blobs_module.NoSuchBlob):
        await blobs.hashes(KEY, ["sha256"])
    await blobs.delete([KEY])


async def test_refused_bytes_leave_what_was_there(blobs):
    """Bytes of another length or hash than announced are refused, and the old ones stay."""
    await blobs.put_stream(KEY, chunks(b"old"), content_type="x/y")
    for data in (b"new", BIG):
        with pytest.raises(blobs_module.HashMismatch, match=r"sha256.*should have"):
            await blobs.put_stream(KEY, chunks(data), content_type="x/y", expected_hashes={"sha256": "0" * 64})
        for length in (len(data) - 1, len(data) + 1):
            with pytest.raises(blobs_module.Incomplete):
                await blobs.put_stream(KEY, chunks(data), content_type="x/y", length=length)
    assert (await content(blobs, KEY))[1] == b"old"


async def test_refused_parts_are_not_kept(blobs):
    """Of an upload in parts that is refused at its end, S3 keeps no parts that somebody would pay for."""
    if not blobs.backend.startswith("s3:"):
        pytest.skip("files have no parts")
    with pytest.raises(blobs_module.Incomplete):
        await blobs.put_stream(KEY, chunks(BIG), content_type="x/y", length=1)
    assert "Uploads" not in blobs._client().list_multipart_uploads(Bucket=blobs.bucket)


async def test_hashes(blobs):
    """Hashes are those of the bytes, whether they were checked at the upload or not; unknown algorithms are passed over."""
    for data in (b"abc", BIG):
        right = {"sha256": hashlib.sha256(data).hexdigest(), "sha512": hashlib.sha512(data).hexdigest()}
        await blobs.put_stream(KEY, chunks(data), content_type="x/y", expected_hashes={"sha256": right["sha256"], "rot13": "x"})
        assert await blobs.hashes(KEY, ["sha256", "sha512", "rot13"]) == right


async def test_replaced_and_deleted(blobs):
    """New bytes replace old ones, also while those are read; deleted ones are gone, and others stay."""
    other = KEY + "2"
    await blobs.put_stream(other, chunks(b"other"), content_type="x/y")
    first = await blobs.put_stream(KEY, chunks(b"one"), content_type="x/y")
    _, reading = await blobs.open(KEY)
    second = await blobs.put_stream(KEY, chunks(b"two!"), content_type="x/z")
    assert first.etag != second.etag
    assert b"".join([part async for part in reading]) == b"one"
    assert (await content(blobs, KEY))[1] == b"two!"
    await blobs.delete([KEY, "nothing"])
    assert await blobs.stat(KEY) is None
    assert (await content(blobs, other))[1] == b"other"


@pytest.mark.parametrize("key", ["..", "../../etc/passwd", "/etc/passwd", "a/../b", "a//b", "a/./b", "a\\b", "C:\\x", "x" * 3000, "a\x00b", "…/ü", "a?b#c&d=e"])
async def test_any_key(blobs, key):
    """Whatever the key, its bytes are its own, over URLs too."""
    await blobs.put_stream(key, chunks(b"direct"), content_type="x/y")
    assert (await content(blobs, key))[1] == b"direct"
    async with aiohttp.ClientSession() as session:
        async with session.get(blobs.get_url(key, expires_ms=soon())) as reply:
            assert reply.status == 200
            assert await reply.read() == b"direct"
        put = blobs.put_url(key, content_type="x/z", content_length=3, expires_ms=soon())
        async with session.put(put, data=b"put", headers={"Content-Type": "x/z"}) as reply:
            assert reply.status == 200
    assert (await content(blobs, key))[1] == b"put"


async def test_urls(blobs):
    """A client uploads to one URL and downloads from another; a gzip body stays as it was sent."""
    packed = gzip.compress(b"log\n" * 1000)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        url = blobs.put_url(KEY, content_type="text/plain; charset=utf-8", expires_ms=soon())
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"}
        async with session.put(url, data=packed, headers=headers, skip_auto_headers=["Accept-Encoding"]) as reply:
            assert reply.status == 200
        async with session.get(blobs.get_url(KEY, expires_ms=soon())) as reply:
            assert await reply.read() == packed
            assert reply.headers["Content-Encoding"] == "gzip"
            assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
        async with session.get(blobs.get_url(KEY, expires_ms=soon(), disposition="attachment; filename=a.log")) as reply:
            assert reply.headers["Content-Disposition"] == "attachment; filename=a.log"


async def test_urls_give_ranges(blobs):
    """A download that broke off goes on from where it was, over the same URL."""
    await blobs.put_stream(KEY, chunks(BIG), content_type="x/y")
    url = blobs.get_url(KEY, expires_ms=soon())
    async with aiohttp.ClientSession() as session:
        for asked, first, last in (("bytes=9000000-", 9_000_000, len(BIG) - 1), ("bytes=5-5", 5, 5), ("bytes=-3", len(BIG) - 3, len(BIG) - 1)):
            async with session.get(url, headers={"Range": asked}) as reply:
                assert reply.status == 206
                assert reply.headers["Content-Range"] == f"bytes {first}-{last}/{len(BIG)}"
                assert await reply.read() == BIG[first : last + 1]


async def test_urls_take_nothing_else(blobs, request):
    """A URL for a PUT takes no other type than it was made for, and neither URL does the other's work or lasts beyond its time."""
    if request.node.callspec.id == "moto":
        pytest.skip("moto looks at no signature")
    await blobs.put_stream(KEY, chunks(b"here"), content_type="x/y")
    put, get = blobs.put_url(KEY, content_type="x/y", expires_ms=soon()), blobs.get_url(KEY, expires_ms=soon())
    async with aiohttp.ClientSession() as session:
        for verb, url, kind in (("PUT", put, "text/html"), ("PUT", get, "x/y"), ("GET", put, "x/y"), ("DELETE", get, "x/y")):
            async with session.request(verb, url, data=b"new" if verb == "PUT" else None, headers={"Content-Type": kind}) as reply:
                assert reply.status in (400, 403, 405), f"{verb} {kind}: {reply.status}"
        short = blobs.get_url(KEY, expires_ms=soon() - 59_500)
        await asyncio.sleep(2.5)
        async with session.get(short) as reply:
            assert reply.status in (400, 403)
    assert (await content(blobs, KEY))[1] == b"here"


async def test_artifacts(blobs):
    """An artifact goes up and comes down by its URLs, public or not, and is gone when deleted."""
    store = ArtifactStore(blobs)
    key = "V3SVIuxDTAWJ2_4d71Q4dw/0/public/logs/live.log"
    async with aiohttp.ClientSession() as session:
        async with session.put(
            store.put_url(key, content_type="text/plain", content_length=None, expires_ms=soon()), data=b"x", headers={"Content-Type": "text/plain"}
        ) as reply:
            assert reply.status == 200
        for public in (True, False):
            async with session.get(store.get_url(key, public=public, expires_ms=soon(), content_type="text/plain", filename="live.log")) as reply:
                assert await reply.read() == b"x"
        await store.delete([key])
        async with session.get(store.get_url(key, public=True, expires_ms=soon(), content_type="text/plain", filename="live.log")) as reply:
            assert reply.status == 404
    fronted = ArtifactStore(blobs, public_url="https://cdn.example.com/")
    assert fronted.get_url("a/b c", public=True, expires_ms=0, content_type="x/y", filename="b c") == "https://cdn.example.com/artifact/a/b%20c"
    assert not fronted.get_url("a/b c", public=False, expires_ms=soon(), content_type="x/y", filename="b c").startswith("https://cdn")


@pytest.mark.parametrize("kind", ["application/octet-stream", "text/html; charset=utf-8"])
async def test_artifacts_keep_their_type(blobs, kind):
    """An artifact comes down with the type that it went up with, whatever its name suggests."""
    store, key = ArtifactStore(blobs), "V3SVIuxDTAWJ2_4d71Q4dw/0/public/notes.txt"
    async with aiohttp.ClientSession() as session:
        url = store.put_url(key, content_type=kind, content_length=None, expires_ms=soon())
        async with session.put(url, data=b"x", headers={"Content-Type": kind}) as reply:
            assert reply.status == 200
        async with session.get(store.get_url(key, public=True, expires_ms=soon(), content_type=kind, filename="notes.txt")) as reply:
            assert reply.headers["Content-Type"] == kind


async def test_bucket_that_is_not_there(s3_endpoint):
    """An S3 error names the operation, the bucket and what to look at."""
    url = f"s3://nowhere?endpoint={s3_endpoint}&access_key_id=a&secret_access_key=b"
    blobs = connect(url, root_url="", signer=Signer(bytes(32)), clock=clocks.SystemClock())
    with pytest.raises(errors.Unavailable) as raised:
        await blobs.put_stream(KEY, chunks(b"x"), content_type="x/y")
    assert raised.value.details["bucket"] == "nowhere"
    await blobs.close()


async def test_s3_takes_no_put_above_its_limit(s3_endpoint):
    """A PUT that S3 would refuse is refused before it begins."""
    blobs = connect(f"s3://b?endpoint={s3_endpoint}", root_url="", signer=Signer(bytes(32)), clock=clocks.SystemClock())
    with pytest.raises(errors.InputError):
        blobs.put_url(KEY, content_type="x/y", content_length=6 * 1024**3, expires_ms=soon())


async def test_s3_urls_are_signed_for_their_headers(s3_endpoint):
    """The URL for a PUT is signed for the length, type and disposition that were agreed on, until its time."""
    blobs = connect(f"s3://b/p?endpoint={s3_endpoint}&access_key_id=a&secret_access_key=b", root_url="", signer=Signer(bytes(32)), clock=clocks.SystemClock())
    url = URL(blobs.put_url(KEY, content_type="x/y", content_length=5, content_disposition="attachment", expires_ms=soon()))
    assert url.query["X-Amz-SignedHeaders"] == "content-disposition;content-length;content-type;host"
    assert 58 <= int(url.query["X-Amz-Expires"]) <= 60
    assert url.path == f"/b/p/{KEY}"
    assert not [name for name in url.query if "checksum" in name.lower()]


@pytest.mark.parametrize("url", ["file://relative", "file:relative", "ftp://x", "s3:///x", "s3://b/p?colour=red", ""])
def test_settings_that_name_no_place(url):
    """A setting that names no place is refused with what to write."""
    with pytest.raises(errors.TcboxError, match=r"s3://|known are"):
        connect(url, root_url="", signer=Signer(bytes(32)), clock=clocks.SystemClock())


async def test_s3_that_breaks_off(tmp_path):
    """A connection that ends before all bytes have come is told as such, and not taken for their end."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: "x"\r\nLast-Modified: Sat, 31 Jan 2026 12:00:00 GMT\r\n\r\n'
        writer.write(head + b"half")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"s3://bucket?endpoint=http://127.0.0.1:{port}&access_key_id=a&secret_access_key=b"
        blobs = connect(url, root_url="", signer=Signer(bytes(32)), clock=clocks.SystemClock())
        stat, parts = await blobs.open(KEY)
        assert stat.size == 100
        with pytest.raises(blobs_module.Interrupted, match="broke off in the middle"):
            async for _ in parts:
                pass
        await blobs.close()
