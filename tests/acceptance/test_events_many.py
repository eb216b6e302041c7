"""Very many who follow `/events` at once."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
import taskcluster

from tcbox.client import sse
from tests.support import definitions

DEFINED = "exchange/taskcluster-queue/v1/task-defined"


@pytest.mark.slow
async def test_a_thousand_streams_cost_little(quiet_box):
    """With a thousand open streams the instance uses little processor time when nothing happens, and all get each event soon."""
    queue = taskcluster.Queue(quiet_box.options)
    got: list[str] = []

    async def follow(session):
        async with session.get(f"{quiet_box.root_url}/events?binding={DEFINED}") as reply:
            reader = sse.Reader()
            async for chunk in reply.content.iter_any():
                for event in reader.feed(chunk):
                    got.append(event.kind)
                    if event.kind == "message":
                        return

    def used():
        fields = Path(f"/proc/{quiet_box.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=120)) as session:
        tasks = [asyncio.create_task(follow(session)) for _ in range(1000)]
        async with asyncio.timeout(60):
            while got.count("ready") < 1000:
                await asyncio.sleep(0.1)
        before = used()
        await asyncio.sleep(5)
        idle = used() - before
        await asyncio.to_thread(queue.createTask, taskcluster.slugId(), definitions.task("stream/events"))
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
    assert got.count("message") == 1000
    assert idle < 1.0, f"{idle:.2f} s of processor time in 5 s"
