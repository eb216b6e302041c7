"""A cluster on two hosts, one of which is cut off for a minute: nobody is told, packets just vanish; and then it is back."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request

import aiohttp
import pytest
import taskcluster

from tests.support import definitions, s3_server
from tests.support import hosts as network
from tests.support import load as loads
from tests.support.cluster import Cluster
from tests.support.load import Load

pytestmark = pytest.mark.slow
CUT = 60.0  # seconds for which a host is away
NOTICED = 30.0  # seconds after which what was under way there is given up; 10 is what a connection may be silent
SETTLING = 60.0  # seconds until nobody feels it any more


@pytest.fixture(scope="module")
def hosts():
    """Two of them; the test and its clients are at the first one."""
    made = network.make()
    try:
        with made.inside(1):
            yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, hosts):
    """PostgreSQL, RabbitMQ, S3, the front door and a replica of each service at the first host, another replica of each at the second."""
    s3 = s3_server.own(hosts.addresses[1])
    made = Cluster(tmp_path_factory.mktemp("hosts"), s3.endpoint, counts={"queue": 3}, places=[hosts.place(1), hosts.place(2)])
    try:
        yield made.start()
    finally:
        made.stop()
        s3.stop()


@pytest.fixture
def listener(cluster):
    made = loads.listener(cluster)
    yield made
    made.stop()


async def _in_thread(work, *args):
    return await asyncio.get_running_loop().run_in_executor(None, work, *args)


def _taking(cluster):
    """The processes that take requests, as the front door sees it."""
    with urllib.request.urlopen(f"{cluster.root_url}/metrics") as reply:
        lines = [line for line in reply.read().decode().splitlines() if line.startswith("tcbox_front_replica_up{")]
    assert lines
    return {line.partition('url="')[2].partition('"')[0] for line in lines if line.endswith((" 1", " 1.0"))}


def _unwell(cluster):
    """What processes say is wrong with them."""
    found = {}
    for replica in cluster.all:
        with replica.place.inside():
            try:
                urllib.request.urlopen(f"{replica.url}/__heartbeat__", timeout=10).close()
            except urllib.error.HTTPError as error:
                found[replica.name] = error.read().decode()
    return found


async def _until(ready, seconds, what):
    began = time.monotonic()
    while not await _in_thread(ready):
        assert time.monotonic() - began < seconds, what()
        await asyncio.sleep(0.2)
    return time.monotonic() - began


async def test_a_host_that_is_cut_off_for_a_minute_costs_nothing(cluster, hosts, listener):
    """While a host is cut off the other one goes on, and then it works again by itself: no answer was in vain, no run given twice, no event missing."""
    there = {replica.url for replica in cluster.all if replica.place.address == hosts.addresses[2]}
    answering = {replica.url for found in cluster.replicas.values() for replica in found}
    auth = taskcluster.Auth(cluster.options)
    async with aiohttp.ClientSession() as session:
        async with Load(cluster, session) as load:
            gone = await _in_thread(_client, auth, "hosts/gone")
            await asyncio.sleep(5)
            hosts.cut(2)
            cut = time.monotonic()
            marks = []
            while time.monotonic() < cut + CUT:
                marks.append((time.monotonic() - cut, len(load.completed)))
                await asyncio.sleep(0.25)
            assert not await _in_thread(_taking, cluster) & there
            made, gone = await _in_thread(_changed_clients, auth, gone)
            hosts.heal(2)
            healed = time.monotonic()
            answers = asyncio.create_task(_in_thread(_asked, cluster.replicas["auth"][1], made, gone, 15.0))
            back = await _until(
                lambda: _taking(cluster) >= answering, SETTLING, lambda: f"not all processes take requests again: {answering - _taking(cluster)}"
            )
            well = await _until(lambda: not _unwell(cluster), SETTLING, lambda: f"not all processes are well again: {_unwell(cluster)}")
            settled = time.monotonic()
            assert await answers == {"made": {True}, "gone": {False}}, "what changed meanwhile was not known at the host that was cut off"
        refused = sorted(moment - cut for moment in load.refused_at)
        stalls = [(end[0], end[0] - begin[0]) for begin, end in _standstills(marks)]
        print(f"refused: {len(refused)} from {refused[:1]} to {refused[-1:]}; longest call {load.longest:.1f} s; standstills {stalls}")
        print(f"taking requests after {back:.1f} s, well after {well:.1f} s more, {settled - healed:.1f} s in all")
        noticed = next(count for moment, count in marks if moment > NOTICED)
        assert marks[-1][1] > noticed + 10, f"the other host did not go on: {marks[-1][1] - noticed} tasks in {CUT - NOTICED:.0f} s"
        assert not [moment for moment in refused if NOTICED < moment < CUT], "the other host refused what it could have done"
        assert load.statuses <= {503, 409}, [each for each in load.refusals if " 503 " not in each][:20]
        await load.settled()
    await _in_thread(loads.all_told, listener, load)
    assert all(replica.alive for replica in cluster.all)


def _client(auth, name):
    """A new client, as credentials."""
    made = auth.createClient(name, {"expires": definitions.wire(days=1), "description": "", "scopes": []})
    return {"clientId": name, "accessToken": made["accessToken"]}


def _changed_clients(auth, gone):
    """A client that is made, and the other one disabled."""
    auth.disableClient(gone["clientId"])
    return _client(auth, "hosts/made"), gone


def _asked(replica, made, gone, seconds):
    """Whether a process of auth takes each client, whenever it says anything, from now on for some time."""
    found = {"made": set(), "gone": set()}
    until = time.monotonic() + seconds
    with replica.place.inside():
        while time.monotonic() < until:
            for name, credentials in (("made", made), ("gone", gone)):
                client = taskcluster.Auth({"rootUrl": replica.url, "credentials": credentials, "maxRetries": 0})
                try:
                    client.currentScopes()
                    found[name].add(True)
                except taskcluster.exceptions.TaskclusterAuthFailure:
                    found[name].add(False)
                except taskcluster.exceptions.TaskclusterFailure:
                    pass  # it cannot tell yet, and says so
            time.sleep(0.1)
    return found


def _standstills(marks):
    """Stretches of more than a second in which no task was completed."""
    found, begin = [], marks[0]
    for mark in marks[1:]:
        if mark[1] != begin[1]:
            if mark[0] - begin[0] > 1:
                found.append((begin, mark))
            begin = mark
    if marks[-1][0] - begin[0] > 1:
        found.append((begin, marks[-1]))
    return found
