"""Blobs and API behind one front door, on one connection."""

import gzip
import os

import aiohttp
import pytest_asyncio

from tcbox import clock as clocks
from tcbox.api import monitoring
from tcbox.api.declare import Api
from tcbox.api.dispatch import Dispatcher
from tcbox.api.front import Front
from tcbox.api.schemas import SchemaSet
from tcbox.blobs.http import BlobFiles
from tcbox.blobs.local import PREFIX, LocalBlobs
from tcbox.blobs.signing import Signer

api = Api("sample", title="Sample", description="A service of a test.")
Monitoring = monitoring.declare(api)


@pytest_asyncio.fixture
async def blobs(tmp_path):
    clock, signer = clocks.SystemClock(), Signer(os.urandom(32))
    made = LocalBlobs(tmp_path, root_url="", signer=signer, clock=clock)
    await made.start()
    front = Front(clock)
    front.services["sample"] = Dispatcher(api, api.bind(Monitoring(lambda: 1.0, list)), SchemaSet({}), None, clock=clock)
    front.mount(PREFIX, BlobFiles(made, signer, clock).handle)
    made.root_url = f"http://127.0.0.1:{await front.listen('127.0.0.1', 0)}"
    yield made
    await front.close(1)


async def test_one_connection_for_all(blobs):
    """Over one connection API calls, uploads and downloads take turns; a gzip body is stored as it was sent."""
    packed = gzip.compress(os.urandom(300_000))
    until = clocks.SystemClock().now() + 60_000
    async with aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=1)) as session:
        for number in range(3):
            async with session.get(f"{blobs.root_url}/api/sample/v1/ping") as reply:
                assert (reply.status, (await reply.json())["alive"]) == (200, True)
            url = blobs.put_url(f"a/{number}", content_type="text/plain", expires_ms=until)
            async with session.put(url, data=packed, headers={"Content-Type": "text/plain", "Content-Encoding": "gzip"}) as reply:
                assert reply.status == 200, await reply.text()
            async with session.put(url, data=packed, headers={"Content-Type": "text/plain", "Content-Encoding": "gzip"}, expect100=True) as reply:
                assert reply.status == 200, await reply.text()
            async with session.get(blobs.get_url(f"a/{number}", expires_ms=until)) as reply:
                assert (reply.headers["Content-Encoding"], await reply.read()) == ("gzip", packed)
