"""Errors of pools: kept whether or not mail can be sent, counted, and told to the owner once."""

import pytest_asyncio

from tcbox import clock as clocks
from tcbox import errors
from tests.support.databases import database  # noqa: F401
from tests.support.worker_manager import MIGRATIONS, POOL, Manager, UNAVAILABLE, started, static_pool

migrations = MIGRATIONS
REPORT = {
    "workerGroup": "g",
    "workerId": "w",
    "kind": "boot-error",
    "title": "It does not start",
    "description": "No disk.",
    "extra": {"z": 1, "a": {"b": None}},
}


@pytest_asyncio.fixture
async def manager(database, clock):
    async with started(database, clock) as made:
        await made.ok("createWorkerPool", POOL, payload=static_pool(emailOnError=True))
        await made.events()
        yield made


async def test_a_worker_reports_an_error(manager):
    """A worker's report is kept with its name, announced, and listed, latest first."""
    made = await manager.ok("reportWorkerError", POOL, payload=REPORT)
    assert made["extra"] == {"z": 1, "a": {"b": None}, "workerGroup": "g", "workerId": "w"} and "launchConfigId" not in made
    (event,) = await manager.events()
    assert event[0] == "worker-pool-error" and event[1]["errorId"] == made["errorId"] and event[1]["workerId"] == "w"
    manager.clock.advance(10)
    second = await manager.ok("reportWorkerError", POOL, payload={**REPORT, "title": "Again"})
    assert [each["errorId"] for each in await manager.errors()] == [second["errorId"], made["errorId"]]
    one = await manager.ok("listWorkerPoolErrors", POOL, errorId=made["errorId"])
    assert one == {"workerPoolErrors": [made]}
    assert await manager.ok("listWorkerPoolErrors", POOL, errorId="none") == {"workerPoolErrors": []}
    assert await manager.ok("listWorkerPoolErrors", POOL, launchConfigId="lc-1") == {"workerPoolErrors": []}
    page = await manager.ok("listWorkerPoolErrors", POOL, limit="1")
    rest = await manager.ok("listWorkerPoolErrors", POOL, limit="1", continuationToken=page["continuationToken"])
    assert rest["workerPoolErrors"] == [made] and "continuationToken" not in rest
    assert (await manager.call("reportWorkerError", "proj/none", payload=REPORT)).status == 404


async def test_reports_need_the_worker_s_scopes(manager):
    """Only who is a worker of the pool reports its errors."""
    manager.call.scopes = (f"assume:worker-pool:{POOL}", "assume:worker-id:g/other")
    assert (await manager.call("reportWorkerError", POOL, payload=REPORT)).code == "InsufficientScopes"
    manager.call.scopes = (f"assume:worker-pool:{POOL}", "assume:worker-id:g/w")
    assert (await manager.call("reportWorkerError", POOL, payload=REPORT)).status == 200


async def test_the_owner_gets_a_mail(manager, clock):
    """The owner gets a mail about an error, once a day when it stays the same, and none for a pool that wants none."""
    made = await manager.ok("reportWorkerError", POOL, payload=REPORT)
    await manager.ok("reportWorkerError", POOL, payload=REPORT)
    await manager.service.mails.send()
    await manager.service.mails.send()
    (mail,) = manager.calls.mails
    assert mail["address"] == "owner@example.com" and mail["subject"] == "Taskcluster Worker Manager Error: It does not start"
    assert POOL in mail["content"] and "No disk." in mail["content"] and made["errorId"] in mail["content"] and '"workerId": "w"' in mail["content"]
    clock.advance(clocks.DAY + 1000)
    await manager.ok("reportWorkerError", POOL, payload=REPORT)
    await manager.service.mails.send()
    assert len(manager.calls.mails) == 2
    await manager.ok("updateWorkerPool", POOL, payload=static_pool())
    await manager.ok("reportWorkerError", POOL, payload={**REPORT, "title": "Other"})
    await manager.service.mails.send()
    assert len(manager.calls.mails) == 2


async def test_an_error_is_kept_when_mail_cannot_be_sent(manager, clock):
    """While no mail can be sent the error is listed and announced nevertheless, and its mail goes out later, once."""
    manager.calls.mail_error = UNAVAILABLE
    made = await manager.ok("reportWorkerError", POOL, payload=REPORT)
    await manager.service.mails.send()
    assert [each["errorId"] for each in await manager.errors()] == [made["errorId"]]
    assert await manager.exchanges() == ["worker-pool-error"]
    manager.calls.mail_error = None
    await manager.service.mails.send()
    assert manager.calls.mails == [], "not before a pause"
    clock.advance(61_000)
    await manager.service.mails.send()
    assert len(manager.calls.mails) == 1


async def test_mail_is_given_up(manager, clock):
    """A mail that is refused for good is not tried again; one that cannot be sent is given up after a dozen times."""
    manager.calls.mail_error = errors.InputError("The address is on the deny list.")
    await manager.ok("reportWorkerError", POOL, payload=REPORT)
    await manager.service.mails.send()
    manager.calls.mail_error = UNAVAILABLE
    await manager.ok("reportWorkerError", POOL, payload={**REPORT, "title": "Other"})
    for _ in range(20):
        await manager.service.mails.send()
        clock.advance(2 * clocks.HOUR + 1000)
    manager.calls.mail_error = None
    await manager.service.mails.send()
    assert manager.calls.mails == [] and len(await manager.errors()) == 2


async def test_two_processes_send_one_mail(manager, database, clock):
    """Several processes that send what is due send each mail once."""
    import asyncio

    await manager.ok("reportWorkerError", POOL, payload=REPORT)
    other = Manager(database, clock)
    other.calls = manager.calls
    other.service.mails._caller = manager.calls
    await asyncio.gather(*(each.service.mails.send() for each in (manager, other) for _ in range(3)))
    assert len(manager.calls.mails) == 1
    await other.bus.close()


async def test_statistics(manager, clock):
    """Errors of the last seven days are counted by day, hour, title, code, pool and launch configuration; days and hours without any count 0."""
    clock.advance(clocks.DAY - clock.now() % clocks.DAY + 12 * clocks.HOUR)
    await manager.ok("createWorkerPool", "proj/other", payload=static_pool())
    await manager.ok("reportWorkerError", POOL, payload=REPORT)
    clock.advance(2 * clocks.DAY)
    await manager.ok("reportWorkerError", POOL, payload={**REPORT, "extra": {"code": "E1"}})
    await manager.ok("reportWorkerError", "proj/other", payload={**REPORT, "title": "Other", "extra": {"code": 5}})
    mine = await manager.ok("workerPoolErrorStats", workerPoolId=POOL)
    totals = mine["totals"]
    assert mine["workerPoolId"] == POOL and totals["total"] == 2
    assert list(totals["daily"].values()) == [0, 0, 0, 0, 1, 0, 1]
    assert len(totals["hourly"]) == 24 and list(totals["hourly"].values())[-1] == 1 and sum(totals["hourly"].values()) == 1
    assert totals["title"] == {"It does not start": 2} and totals["code"] == {"other": 1, "E1": 1}
    assert totals["workerPool"] == {POOL: 2} and totals["launchConfig"] == {"unknown": 2}
    every = await manager.ok("workerPoolErrorStats")
    assert every["workerPoolId"] == "" and every["totals"]["total"] == 3
    assert every["totals"]["workerPool"] == {POOL: 2, "proj/other": 1} and every["totals"]["launchConfig"] == {}
    assert every["totals"]["code"] == {"other": 1, "E1": 1, "5": 1}
    assert all(key.endswith("T00:00:00.000Z") for key in totals["daily"])
    assert (await manager.call("workerPoolErrorStats", workerPoolId="proj/none")).status == 404


async def test_errors_are_forgotten(manager, clock):
    """Errors are forgotten after a week."""
    await manager.ok("reportWorkerError", POOL, payload=REPORT)
    clock.advance(6 * clocks.DAY)
    await manager.ok("reportWorkerError", POOL, payload={**REPORT, "title": "Late"})
    clock.advance(clocks.DAY + clocks.HOUR)
    await manager.service.expire()
    assert [each["title"] for each in await manager.errors()] == ["Late"]
