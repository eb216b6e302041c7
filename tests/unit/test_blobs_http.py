"""The URLs of blobs in local files, as HTTP clients see them."""

import asyncio
import base64
import errno
import hashlib
import os
import subprocess
import sys
import textwrap

import aiohttp
import psutil
import pytest
import pytest_asyncio
from yarl import URL

from tcbox.blobs import files
from tests.support.blobs import served

KEY = "artifact/x/0/public/page.html"
TYPE = {"Content-Type": "text/html"}
LARGE = os.urandom(700_000)


@pytest_asyncio.fixture
async def blobs(tmp_path, clock):
    async with served(tmp_path / "blobs", clock) as made:
        yield made


@pytest_asyncio.fixture
async def session():
    async with aiohttp.ClientSession(auto_decompress=False) as made:
        yield made


async def put(blobs, data, key=KEY, content_type="text/html"):
    async def chunks():
        yield data

    return await blobs.put_stream(key, chunks(), content_type=content_type)


async def get_url(blobs, key=KEY):
    return blobs.get_url(key, expires_ms=blobs._clock.now() + 60_000)


async def put_url(blobs, **conditions):
    return blobs.put_url(KEY, content_type="text/html", expires_ms=blobs._clock.now() + 60_000, **conditions)


@pytest.mark.parametrize("data", [b"0123456789", LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    ("header", "status", "span", "shown"),
    [
        (None, 200, slice(None), None),
        ("bytes=0-3", 206, slice(0, 4), "bytes 0-3/{size}"),
        ("bytes=4-", 206, slice(4, None), "bytes 4-{last}/{size}"),
        ("bytes=-3", 206, slice(-3, None), "bytes {third}-{last}/{size}"),
        ("bytes=0-1,3-4", 200, slice(None), None),
        ("bytes=800000-", 416, None, "bytes */{size}"),
    ],
)
async def test_ranges(blobs, session, data, header, status, span, shown):
    """A range gives 206 and the part, one behind the end 416, several ranges the whole; HEAD gives the same without bytes."""
    await put(blobs, data)
    for method in ("GET", "HEAD"):
        async with session.request(method, await get_url(blobs), headers={"Range": header} if header else {}) as reply:
            assert reply.status == status
            size = len(data)
            expected = shown and shown.format(size=size, last=size - 1, third=size - 3)
            assert reply.headers.get("Content-Range") == expected
            if span is not None:
                assert int(reply.headers["Content-Length"]) == len(data[span])
                assert await reply.read() == (data[span] if method == "GET" else b"")


async def test_conditions_of_a_get(blobs, session):
    """What a client has already is not sent again; a range of bytes that have changed is answered with all of them."""
    await put(blobs, b"0123456789")
    url = await get_url(blobs)
    async with session.get(url) as reply:
        etag, modified = reply.headers["ETag"], reply.headers["Last-Modified"]
    for header in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        async with session.get(url, headers={"If-None-Match": header}) as reply:
            assert (reply.status, await reply.read(), reply.headers["ETag"]) == (304, b"", etag)
    for condition, status in [(etag, 206), (modified, 206), ('"other"', 200)]:
        async with session.get(url, headers={"Range": "bytes=0-1", "If-Range": condition}) as reply:
            assert reply.status == status
    await put(blobs, b"9876543210")
    async with session.get(url, headers={"If-None-Match": etag}) as reply:
        assert (reply.status, await reply.read()) == (200, b"9876543210")


async def test_pages_are_sandboxed_and_readable_across_origins(blobs, session):
    """A browser keeps a stored page from acting as this instance's, and lets other origins' pages read bytes."""
    await put(blobs, b"<script>steal()</script>")
    async with session.get(await get_url(blobs), headers={"Origin": "https://treeherder.example.com"}) as reply:
        assert reply.headers["Content-Security-Policy"].startswith("sandbox ")
        assert "allow-same-origin" not in reply.headers["Content-Security-Policy"]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
    async with session.options(await get_url(blobs)) as reply:
        assert reply.status == 204 and "GET" in reply.headers["Access-Control-Allow-Methods"]


async def test_urls_expire(blobs, session, clock):
    """After its time a URL neither reads nor writes, and the answer says what to do."""
    await put(blobs, b"x")
    reading, writing = await get_url(blobs), await put_url(blobs)
    clock.advance(61_000)
    for method, url in (("GET", reading), ("PUT", writing)):
        async with session.request(method, url, data=b"y" if method == "PUT" else None, headers=TYPE) as reply:
            assert reply.status == 403
            assert "expired: ask for a new one" in await reply.text()
    async with session.get(await get_url(blobs)) as reply:
        assert await reply.read() == b"x"


async def test_a_url_permits_nothing_else(blobs, session):
    """A URL for one method, name, type, length or disposition does not serve for another, and nothing is stored."""
    reading, writing = await get_url(blobs), await put_url(blobs, content_length=3, content_disposition="attachment")
    right = {**TYPE, "Content-Disposition": "attachment"}
    for method, url, headers, body in [
        ("GET", writing, {}, None),
        ("PUT", reading, right, b"abc"),
        ("PUT", writing.replace("page", "other"), right, b"abc"),
        ("PUT", writing, {**right, "Content-Type": "text/plain"}, b"abc"),
        ("PUT", writing, right, b"abcd"),
        ("PUT", writing, TYPE, b"abc"),
        ("PUT", writing.partition("?")[0], right, b"abc"),
    ]:
        async with session.request(method, URL(url, encoded=True), headers=headers, data=body) as reply:
            assert reply.status == 403, (method, url, headers)
    async with session.post(writing, data=b"abc", headers=right) as reply:
        assert reply.status == 405
    assert await blobs.stat(KEY) is None
    async with session.put(writing, data=b"abc", headers=right) as reply:
        assert reply.status == 200
    async with session.get(await get_url(blobs)) as reply:
        assert reply.headers["Content-Disposition"] == "attachment"


async def test_a_put_needs_a_length(blobs, session):
    """A body of unannounced length is refused with 411, as S3 does."""

    async def parts():
        yield b"abc"

    async with session.put(await put_url(blobs), data=parts(), headers=TYPE) as reply:
        assert reply.status == 411
        assert "Content-Length" in await reply.text()


@pytest.mark.parametrize(("sent", "status"), [(b"abc", 200), (b"ab", 400), (b"abcd", 400), (b"x" * 3_000_000, 400)])
async def test_a_url_that_tells_the_length_takes_chunks(blobs, session, sent, status):
    """Where the URL was signed for a length, a chunked body of just that length is stored, and any other is not."""

    async def parts():
        for start in range(0, len(sent), 1000):
            yield sent[start : start + 1000]

    async with session.put(await put_url(blobs, content_length=3), data=parts(), headers=TYPE) as reply:
        assert reply.status == status
    assert (await blobs.stat(KEY) is not None) == (status == 200)


async def test_content_md5(blobs, session):
    """A body that does not have the MD5 that its header gives is refused."""
    for data, status in ((b"abd", 400), (b"abc", 200)):
        headers = {**TYPE, "Content-MD5": base64.b64encode(hashlib.md5(b"abc").digest()).decode()}
        async with session.put(await put_url(blobs), data=data, headers=headers) as reply:
            assert reply.status == status
    async with session.put(await put_url(blobs), data=b"abc", headers={**TYPE, "Content-MD5": "?"}) as reply:
        assert reply.status == 400


async def test_expect_continue(blobs):
    """A client that asks before it sends is told to go on, or refused before it has sent anything."""
    right = URL(await put_url(blobs), encoded=True)
    for target, answer in ((right.raw_path_qs, b"HTTP/1.1 100 Continue"), (right.raw_path_qs + "x", b"HTTP/1.1 403")):
        reader, writer = await asyncio.open_connection(right.host, right.port)
        writer.write(f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Type: text/html\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n".encode())
        assert (await reader.readline()).startswith(answer)
        if b"100" in answer:
            await reader.readline()
            writer.write(b"abc")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
    assert (await blobs.stat(KEY)).size == 3


async def test_a_put_that_breaks_off(blobs, tmp_path):
    """When a client goes away in the middle, nothing is stored and nothing is left behind."""
    url = URL(await put_url(blobs), encoded=True)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"PUT {url.raw_path_qs} HTTP/1.1\r\nHost: x\r\nContent-Type: text/html\r\nContent-Length: 9000000\r\n\r\n".encode() + bytes(3_000_000))
    await writer.drain()
    unfinished = tmp_path / "blobs" / "unfinished"
    for _ in range(2000):
        if list(unfinished.iterdir()):
            break
        await asyncio.sleep(0.01)
    writer.transport.abort()
    for _ in range(2000):
        if not list(unfinished.iterdir()):
            break
        await asyncio.sleep(0.01)
    assert list(unfinished.iterdir()) == []
    assert await blobs.stat(KEY) is None


async def test_a_reader_that_goes_away(blobs, session):
    """When a reader breaks off, its file is let go of."""
    await put(blobs, bytes(30_000_000))
    process = psutil.Process()
    before = process.num_fds()
    for _ in range(5):
        reply = await session.get(await get_url(blobs))
        await reply.content.read(10)
        reply.close()
    for _ in range(2000):
        if process.num_fds() <= before:
            break
        await asyncio.sleep(0.01)
    assert process.num_fds() <= before


async def test_sealed(blobs, session):
    """Sealed bytes are not replaced, by whatever way, until unsealed; they can be deleted."""
    await put(blobs, b"final")
    writing = await put_url(blobs)
    await blobs.seal(KEY)
    async with session.put(writing, data=b"other", headers=TYPE) as reply:
        assert reply.status == 409
        assert "final" in await reply.text()
    async with session.get(await get_url(blobs)) as reply:
        assert await reply.read() == b"final"
    await blobs.unseal(KEY)
    async with session.put(writing, data=b"other", headers=TYPE) as reply:
        assert reply.status == 200
    await blobs.seal(KEY)
    await blobs.delete([KEY])
    assert await blobs.stat(KEY) is None


async def test_full_disk(blobs, session, monkeypatch, tmp_path):
    """When the disk is full a PUT is answered 507 with what to do, and leaves nothing behind."""

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.Upload, "_write", full)
    async with session.put(await put_url(blobs), data=b"abc", headers=TYPE) as reply:
        assert reply.status == 507
        assert f"The disk that holds {tmp_path}" in await reply.text()
    assert list((tmp_path / "blobs" / "unfinished").iterdir()) == []


async def test_damaged_file(blobs, session):
    """A file that was cut on disk gives an error, never wrong bytes."""
    await put(blobs, b"0123456789")
    path = blobs.path(KEY)
    path.write_bytes(path.read_bytes()[3:])
    async with session.get(await get_url(blobs)) as reply:
        assert reply.status == 500


async def test_start_clears_what_was_cut_off(blobs, tmp_path):
    """What an upload left behind when the process was killed is removed at the next start."""
    (tmp_path / "blobs" / "unfinished" / "abc").write_bytes(b"half")
    await put(blobs, b"whole")
    await blobs.start()
    assert list((tmp_path / "blobs" / "unfinished").iterdir()) == []
    assert (await blobs.stat(KEY)).size == 5


def test_one_file_a_blob(tmp_path):
    """A blob's file begins with its bytes, exactly, so that it can be rescued without this program."""
    from tcbox.blobs import hashing

    upload = files.Upload(tmp_path, hashing.Hashes([]))
    upload.write([b"hello"])
    upload.finish(tmp_path / "a" / "b", files.Meta("k" * 9000, 5, "x/y", 1, "e"))
    assert (tmp_path / "a" / "b").read_bytes().startswith(b"hello{")
    stored = files.open_blob(tmp_path / "a" / "b")
    assert stored.read(0, 100) == b"hello" and len(stored.meta.key) == 9000
    stored.close()


CLIENT = """
    import hashlib, http.client, sys, urllib.parse
    put, get, size = urllib.parse.urlsplit(sys.argv[1]), urllib.parse.urlsplit(sys.argv[2]), int(sys.argv[3])
    block, sent, got = bytes(range(256)) * 4096, hashlib.sha256(), hashlib.sha256()
    connection = http.client.HTTPConnection(put.hostname, put.port)
    def body():
        for _ in range(size // len(block)):
            sent.update(block)
            yield block
    connection.request("PUT", put.path + "?" + put.query, body(), {"Content-Type": "text/html", "Content-Length": str(size)})
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    reply.read()
    connection.request("GET", get.path + "?" + get.query)
    reply = connection.getresponse()
    assert reply.status == 200
    while chunk := reply.read(1 << 20):
        got.update(chunk)
    assert got.digest() == sent.digest()
"""


async def test_memory_stays_bounded(blobs):
    """Half a GiB passes in and out with less than 64 MiB of growth in memory (TCBOX_TEST_LARGE=<bytes> for another size)."""
    size = int(os.environ.get("TCBOX_TEST_LARGE", 512 * 1024**2))
    process = psutil.Process()
    await put(blobs, b"warm")
    before = highest = process.memory_info().rss
    arguments = [textwrap.dedent(CLIENT), await put_url(blobs), await get_url(blobs), str(size)]
    client = await asyncio.create_subprocess_exec(sys.executable, "-c", *arguments, stderr=subprocess.PIPE)
    waiting = asyncio.ensure_future(client.communicate())
    while not waiting.done():
        highest = max(highest, process.memory_info().rss)
        await asyncio.sleep(0.02)
    _, complaint = await waiting
    assert client.returncode == 0, complaint.decode()
    print(f"{size} bytes each way, memory grew by {(highest - before) / 1024**2:.1f} MiB")
    assert highest - before < 64 * 1024**2
