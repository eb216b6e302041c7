"""Workers: made by hand, registered with a proof, registered again with a secret, shown with what the queue knows, removed."""

import asyncio
import json
import logging

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api.references import reference
from tcbox.credentials import temporary
from tcbox.services.worker_manager.store import sql
from tests.support.databases import database  # noqa: F401
from tests.support.worker_manager import MIGRATIONS, POOL, SECRET, cloud_pool, launch_config, started, static_pool

migrations = MIGRATIONS
OTHER = "o" * 44


@pytest_asyncio.fixture
async def manager(database, clock):
    async with started(database, clock) as made:
        await made.ok("createWorkerPool", POOL, payload=static_pool(config={"workerConfig": {"b": 1, "a": None}, "lifecycle": {"reregistrationTimeout": 3600}}))
        await made.events()
        yield made


async def test_a_static_worker_registers(manager, clock):
    """Who has a static worker's secret gets its credentials, its configuration and a secret for the next time; it is announced, and the worker is running."""
    made = await manager.static_worker(capacity=2)
    assert (made["state"], made["capacity"], made["providerId"]) == ("running", 2, "static")
    assert "launchConfigId" not in made
    got = await manager.ok("registerWorker", payload=manager.proof(staticSecret=SECRET))
    assert clocks.from_wire(got["expires"]) == pytest.approx(clock.now() + clocks.HOUR, abs=5000)
    assert got["workerConfig"] == {"b": 1, "a": None} and len(got["secret"]) == 44
    assert got["credentials"]["clientId"] == f"worker/static/{POOL}/g/w"
    certificate = temporary.parse_certificate(json.loads(got["credentials"]["certificate"]))
    assert certificate.issuer == "static/taskcluster/worker-manager"
    assert certificate.expiry == clocks.from_wire(got["expires"]) and certificate.start == pytest.approx(clock.now() - 15 * clocks.MINUTE, abs=5000)
    temporary.check_signature(certificate, f"worker/static/{POOL}/g/w", "w" * 44)
    assert set(certificate.scopes) == {
        f"assume:worker-type:{POOL}", f"assume:worker-pool:{POOL}", "assume:worker-id:g/w", "queue:worker-id:g/w", f"secrets:get:worker-type:{POOL}",
        f"secrets:get:worker-pool:{POOL}", f"queue:claim-work:{POOL}", f"worker-manager:remove-worker:{POOL}/g/w",
        f"worker-manager:reregister-worker:{POOL}/g/w", f"worker-manager:should-worker-terminate:{POOL}/g/w",
    }  # fmt: skip
    assert await manager.exchanges() == ["worker-requested", "worker-running"]
    assert (await manager.call("registerWorker", payload=manager.proof(staticSecret=SECRET))).status == 200, "after a restart it registers anew"


async def test_credentials_end_with_the_worker(manager, clock):
    """Credentials of a static worker hold no longer than the worker is known."""
    await manager.static_worker(expires=clocks.to_wire(clock.now() + 60_000))
    got = await manager.ok("registerWorker", payload=manager.proof(staticSecret=SECRET))
    assert clocks.from_wire(got["expires"]) == pytest.approx(clock.now() + 60_000, abs=5000)


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"workerIdentityProof": {"staticSecret": OTHER}}, 400, "bad staticSecret"),
        ({"workerIdentityProof": {"token": SECRET}}, 400, "missing staticSecret"),
        ({"workerPoolId": "proj/none"}, 404, "Worker pool does not exist"),
        ({"providerId": "none"}, 404, "Provider none does not exist"),
        ({"providerId": "cloud"}, 400, "not associated with provider cloud"),
        ({"workerId": "none"}, 404, "Worker not found"),
        ({"workerGroup": "none"}, 404, "Worker not found"),
    ],
)
async def test_who_is_not_that_worker_gets_nothing(manager, change, status, told):
    """Each thing that is wrong with a registration is refused in words, and nothing is announced."""
    await manager.static_worker()
    await manager.events()
    refused = await manager.call("registerWorker", payload={**manager.proof(staticSecret=SECRET), **change})
    assert refused.status == status and told in refused.message
    assert "credentials" not in refused.body and await manager.events() == []


async def test_a_stopped_or_expired_worker_cannot_register(manager, clock):
    """A static worker that was removed, or has expired, gets no credentials any more."""
    await manager.static_worker("w1")
    await manager.static_worker("w2", expires=clocks.to_wire(clock.now() + 1000))
    assert await manager.ok("removeWorker", POOL, "g", "w1") == {}
    clock.advance(2000)
    stopped = await manager.call("registerWorker", payload=manager.proof("w1", staticSecret=SECRET))
    assert stopped.code == "InputError" and "not running" in stopped.message
    expired = await manager.call("registerWorker", payload=manager.proof("w2", staticSecret=SECRET))
    assert expired.code == "InputError" and "has expired" in expired.message


async def test_register_again(manager, clock):
    """A worker gets fresh credentials with the secret from the last time, which works once; the pool's reregistrationTimeout holds for them."""
    await manager.static_worker(expires=clocks.to_wire(clock.now() + 10 * clocks.DAY))
    who = {"workerPoolId": POOL, "workerGroup": "g", "workerId": "w"}
    early = await manager.call("reregisterWorker", payload={**who, "secret": SECRET})
    assert early.code == "InputError" and "Could not generate credentials" in early.message
    first = await manager.ok("registerWorker", payload=manager.proof(staticSecret=SECRET))
    clock.advance(clocks.HOUR)
    second = await manager.ok("reregisterWorker", payload={**who, "secret": first["secret"]})
    assert set(second) == {"expires", "credentials", "secret"} and second["secret"] != first["secret"]
    assert clocks.from_wire(second["expires"]) == pytest.approx(clock.now() + clocks.HOUR, abs=5000)
    again = await manager.call("reregisterWorker", payload={**who, "secret": first["secret"]})
    assert again.code == "InputError" and first["secret"] not in again.raw.decode()
    answers = await asyncio.gather(*(manager.call("reregisterWorker", payload={**who, "secret": second["secret"]}) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 400, 400, 400, 400], "of many at once one gets credentials"
    manager.call.scopes = (f"worker-manager:reregister-worker:{POOL}/g/other",)
    assert (await manager.call("reregisterWorker", payload={**who, "secret": second["secret"]})).status == 403


async def test_register_again_after_removal(manager):
    """A worker that was removed gets no fresh credentials."""
    await manager.static_worker()
    first = await manager.ok("registerWorker", payload=manager.proof(staticSecret=SECRET))
    await manager.ok("removeWorker", POOL, "g", "w")
    refused = await manager.call("reregisterWorker", payload={"workerPoolId": POOL, "workerGroup": "g", "workerId": "w", "secret": first["secret"]})
    assert refused.code == "InputError" and "not running" in refused.message


async def test_create_and_update(manager, clock):
    """A worker is made once; the same request is answered alike, another one is a conflict; its secret, capacity and end can be changed."""
    made = await manager.static_worker()
    assert await manager.static_worker() == made
    for change in ({"secret": OTHER}, {"capacity": 3}):
        payload = {"expires": made["expires"], "capacity": change.get("capacity", 1), "providerInfo": {"staticSecret": change.get("secret", SECRET)}}
        other = await manager.call("createWorker", POOL, "g", "w", payload=payload)
        assert (other.status, other.code) == (409, "RequestConflict") and other.message.startswith("Worker already exists")
    expires = clocks.to_wire(clock.now() + 5 * clocks.DAY)
    changed = await manager.ok("updateWorker", POOL, "g", "w", payload={"expires": expires, "capacity": 4, "providerInfo": {"staticSecret": OTHER}})
    assert (changed["capacity"], changed["expires"]) == (4, expires)
    assert (await manager.call("registerWorker", payload=manager.proof(staticSecret=SECRET))).status == 400
    assert (await manager.call("registerWorker", payload=manager.proof(staticSecret=OTHER))).status == 200
    kept = await manager.ok("updateWorker", POOL, "g", "w", payload={"expires": expires})
    assert kept["capacity"] == 1
    assert (await manager.call("registerWorker", payload=manager.proof(staticSecret=OTHER))).status == 200
    missing = await manager.call("updateWorker", POOL, "g", "none", payload={"expires": expires})
    assert missing.status == 404


async def test_what_cannot_be_made(manager, clock):
    """Without a secret, in the past, or in a pool of a cloud, no worker is made by hand, and each refusal says why."""
    soon = clocks.to_wire(clock.now() + 60_000)
    await manager.ok("createWorkerPool", "proj/cloud", payload=cloud_pool())
    cases = [
        (POOL, {"expires": soon}, "InputError", "no worker staticSecret provided: give providerInfo.staticSecret"),
        (POOL, {"expires": "2001-01-01T00:00:00Z", "providerInfo": {"staticSecret": SECRET}}, "InputError", "must be in the future"),
        ("proj/cloud", {"expires": soon, "providerInfo": {"staticSecret": SECRET}}, "InputError", "only providers of the type static"),
        ("proj/none", {"expires": soon}, "ResourceNotFound", "Worker pool does not exist"),
        (POOL, {"expires": soon, "providerInfo": {"staticSecret": "short"}}, "InputValidationError", "/providerInfo/staticSecret"),
    ]
    for pool, payload, code, told in cases:
        refused = await manager.call("createWorker", pool, "g", "w", payload=payload)
        assert refused.code == code and told in refused.message, refused.message
    assert (await manager.call("updateWorker", "proj/cloud", "g", "w", payload={"expires": soon})).code == "InputError"


@pytest.mark.parametrize("method", ["createWorker", "updateWorker"])
async def test_who_writes_provider_data_learns_of_provider_info(manager, method):
    """`providerData`, which some pages name, is refused with a word about `providerInfo`, which works."""
    refused = await manager.call(method, POOL, "g", "w", payload={"expires": "2099-01-01T00:00:00Z", "providerData": {"staticSecret": SECRET}})
    assert refused.code == "InputValidationError"
    assert "/providerData: is not known here" in refused.message and "goes into `providerInfo`" in refused.message
    assert SECRET not in refused.raw.decode()


async def test_secrets_are_never_shown(manager, caplog, database):
    """No reply, refusal, log or row of a table has a worker's secrets in it."""
    caplog.set_level(logging.DEBUG)
    await manager.static_worker()
    got = await manager.ok("registerWorker", payload=manager.proof(staticSecret=SECRET))
    shown = [await manager.call("worker", POOL, "g", "w"), await manager.call("listWorkersForWorkerPool", POOL)]
    shown.append(await manager.call("registerWorker", payload=manager.proof("none", staticSecret=SECRET)))
    shown.append(await manager.call("createWorker", POOL, "g", "w", payload={"expires": "soon", "providerInfo": {"staticSecret": SECRET}}))
    shown.append(await manager.call("reregisterWorker", payload={"workerPoolId": POOL, "workerGroup": "g", "workerId": "none", "secret": got["secret"]}))
    row = await database.point(sql.get_worker, worker_pool_id=POOL, worker_group="g", worker_id="w")
    stored = b"".join(bytes(row[name]) for name in ("secret", "static_secret"))
    for secret in (SECRET, got["secret"]):
        assert all(secret not in answer.raw.decode() for answer in shown)
        assert secret not in caplog.text and secret.encode() not in stored


async def test_removal_is_announced_once(manager):
    """Removing a static worker stops it at once, is announced once, and may be repeated."""
    await manager.static_worker()
    await manager.events()
    await manager.ok("removeWorker", POOL, "g", "w")
    found = await manager.events()
    assert [name for name, _ in found] == ["worker-removed", "worker-stopped"]
    assert found[0][1]["reason"] == "workerManager.removeWorker API call"
    assert (await manager.ok("worker", POOL, "g", "w"))["state"] == "stopped"
    await manager.ok("removeWorker", POOL, "g", "w")
    assert await manager.events() == []
    assert (await manager.call("removeWorker", POOL, "g", "none")).status == 404


async def test_expiry(manager, clock):
    """A static worker is forgotten when it expires, which is announced if it had not been removed; one that should not expire yet stays."""
    await manager.static_worker("w1", expires=clocks.to_wire(clock.now() + 1000))
    await manager.static_worker("w2", expires=clocks.to_wire(clock.now() + 1000))
    await manager.static_worker("w3")
    await manager.ok("removeWorker", POOL, "g", "w2")
    await manager.events()
    clock.advance(2000)
    await manager.service.expire()
    found = await manager.events()
    assert [(name, payload["workerId"]) for name, payload in found] == [("worker-removed", "w1"), ("worker-stopped", "w1")]
    assert [worker["workerId"] for worker in await manager.workers()] == ["w3"]


async def test_should_terminate_of_a_static_worker(manager):
    """Nobody decides about static workers."""
    await manager.static_worker()
    assert await manager.ok("shouldWorkerTerminate", POOL, "g", "w") == {"terminate": False, "reason": "none"}
    assert (await manager.call("shouldWorkerTerminate", POOL, "g", "none")).status == 404


async def test_lists(manager, clock):
    """A pool's workers are listed latest first, a group's by id, in pages, and by state."""
    for number in range(5):
        await manager.static_worker(f"w{number}", group=f"g{number % 2}")
        clock.advance(10)
    await manager.ok("removeWorker", POOL, "g0", "w0")

    async def every(method, *args, **query):
        found, token = [], {}
        while True:
            page = await manager.ok(method, *args, limit="2", **query, **token)
            found += [worker["workerId"] for worker in page["workers"]]
            if "continuationToken" not in page:
                return found
            token = {"continuationToken": page["continuationToken"]}

    assert await every("listWorkersForWorkerPool", POOL) == ["w4", "w3", "w2", "w1", "w0"]
    assert await every("listWorkersForWorkerPool", POOL, state="stopped") == ["w0"]
    assert await every("listWorkersForWorkerPool", POOL, state="standalone") == []
    assert await every("listWorkersForWorkerPool", POOL, launchConfigId="lc-x") == []
    assert await every("listWorkersForWorkerGroup", POOL, "g0") == ["w0", "w2", "w4"]
    assert (await manager.call("listWorkersForWorkerPool", POOL, state="other")).code == "InvalidRequestArguments"


async def test_old_clients_send_a_colon_too_many(manager, clock):
    """Paths that were published once by mistake lead to the same methods, with the same scopes, and stand in no reference."""
    manager.call.scopes = tuple(f"worker-manager:{verb}:{POOL}/g*" for verb in ("create-worker", "update-worker", "get-worker", "list-workers"))
    path, body = "/workers/proj%2Fci:/g", {"expires": clocks.to_wire(clock.now() + clocks.HOUR), "providerInfo": {"staticSecret": SECRET}}
    made = await manager.call.request("PUT", f"{path}/w", body)
    assert (made.status, made.body["workerPoolId"], made.body["workerId"]) == (200, POOL, "w")
    assert (await manager.call.request("POST", f"{path}/w", {**body, "capacity": 3})).body["capacity"] == 3
    assert (await manager.call.request("GET", f"{path}/w")).body == await manager.ok("worker", POOL, "g", "w")
    assert (await manager.call.request("GET", path)).body == await manager.ok("listWorkersForWorkerGroup", POOL, "g")
    assert (await manager.call.request("GET", path.replace("/g", "/h"))).status == 403
    assert ":/" not in json.dumps([entry["route"] for entry in reference(manager.service.api)["entries"]])


async def test_with_what_the_queue_knows(manager, clock):
    """Workers are listed with what they claimed and their quarantine: those of the queue alone, of the pool alone, and of both, each once, in pages."""
    for number in range(0, 6, 2):
        await manager.static_worker(f"w{number}")
    await manager.pend(3)
    for number in range(3, 6):
        name = {"workerGroup": "g", "workerId": f"w{number}"}
        await manager.calls.call("queue", "claimWork", POOL, payload={**name, "tasks": 1})
    until = clocks.to_wire(clock.now() + clocks.DAY)
    await manager.calls.call("queue", "quarantineWorker", "proj", "ci", "g", "w4", payload={"quarantineUntil": until, "quarantineInfo": "broken"})

    async def every(**query):
        found, token = [], {}
        while True:
            page = await manager.ok("listWorkers", "proj", "ci", limit="2", **query, **token)
            assert len(page["workers"]) <= 2
            found += page["workers"]
            if "continuationToken" not in page:
                return found
            token = {"continuationToken": page["continuationToken"]}

    found = {worker["workerId"]: worker for worker in await every()}
    assert list(found) == ["w0", "w2", "w3", "w4", "w5"]
    assert found["w0"] == {"workerPoolId": POOL, "workerGroup": "g", "workerId": "w0", "state": "running", "capacity": 1, "providerId": "static"}
    assert (found["w3"]["state"], found["w3"]["providerId"]) == ("standalone", "none") and found["w3"]["latestTask"]["runId"] == 0
    assert found["w4"]["state"] == "running" and found["w4"]["quarantineUntil"] == until
    assert [worker["workerId"] for worker in await every(quarantined="true")] == ["w4"]
    assert [worker["workerId"] for worker in await every(quarantined="false")] == ["w0", "w2", "w3", "w5"]
    assert [worker["workerId"] for worker in await every(workerState="running")] == ["w0", "w2", "w4"]
    assert await every(launchConfigId="lc-x") == []
    one = await manager.ok("getWorker", "proj", "ci", "g", "w4")
    assert (one["provisionerId"], one["workerType"], one["state"], one["capacity"]) == ("proj", "ci", "running", 1)
    assert len(one["recentTasks"]) == 1 and one["quarantineDetails"][0]["quarantineInfo"] == "broken"
    alone = await manager.ok("getWorker", "proj", "ci", "g", "w5")
    assert (alone["state"], alone["quarantineDetails"]) == ("standalone", [])
    waiting = await manager.call("getWorker", "proj", "ci", "g", "w0")
    assert waiting.status == 404 and "has not asked for work yet" in waiting.message
    assert "Are you sure it was created?" in (await manager.call("getWorker", "proj", "ci", "g", "none")).message


async def test_long_lists_are_merged_whole(manager, monkeypatch):
    """Lists of many pages on both sides are merged without losing or doubling a worker."""
    from tcbox.services.worker_manager import merging

    monkeypatch.setattr(merging, "_PAGE", 3)
    ours = [f"w{number:02}" for number in range(0, 40, 3)]
    theirs = [f"w{number:02}" for number in range(0, 40, 2)]
    for name in ours:
        await manager.static_worker(name)
    for name in theirs:
        await manager.queue.sightings.declare(POOL, "g", name, manager.clock.now() + clocks.DAY)
    for limit in ("1", "2", "7", "1000"):
        found, token = [], {}
        while True:
            page = await manager.ok("listWorkers", "proj", "ci", limit=limit, **token)
            found += [worker["workerId"] for worker in page["workers"]]
            if "continuationToken" not in page:
                break
            token = {"continuationToken": page["continuationToken"]}
        assert found == sorted({*ours, *theirs})


async def test_when_the_queue_does_not_answer(manager):
    """Without the queue its view cannot be shown, and the refusal is its own."""
    manager.calls.queue_error = errors.Unavailable("The queue is not there.")
    assert (await manager.call("listWorkers", "proj", "ci")).status == 503


async def test_a_machine_registers_once(manager):
    """A machine of a cloud registers once with its cloud's word, gets the launch configuration's workerConfig, and is then running."""
    await manager.ok("createWorkerPool", "proj/cloud", payload=cloud_pool(1, 5, launch_config(), lifecycle={"reregistrationTimeout": 7200}))
    await manager.provision()
    (machine,) = manager.cloud.live()
    await manager.events()
    proof = manager.proof(machine.name, machine.group, "proj/cloud", "cloud", token="forged")
    forged = await manager.call("registerWorker", payload=proof)
    assert forged.code == "InputError" and manager.cloud.calls["remove"] == 0, "who forges a proof does not end a machine"
    got = await manager.register_machine(machine, "proj/cloud")
    assert got["workerConfig"] == {"z": 1, "a": {"x": None}}
    assert list(got["workerConfig"]) == ["z", "a"]
    assert clocks.from_wire(got["expires"]) == pytest.approx(manager.clock.now() + 2 * clocks.HOUR, abs=5000)
    (worker,) = await manager.workers("proj/cloud")
    assert worker["state"] == "running" and worker["launchConfigId"].startswith("lc-")
    assert await manager.exchanges() == ["worker-running"]
    again = await manager.call("registerWorker", payload=manager.proof(machine.name, machine.group, "proj/cloud", "cloud", token=machine.secret))
    assert again.code == "InputError" and "No need to register" in again.message
    assert manager.cloud.live() == [machine], "who comes a second time does not end the machine"


async def test_a_failed_registration_leaves_no_machine_running(manager, monkeypatch):
    """When a machine has proved itself and cannot be registered after all, its machine is removed."""
    await manager.ok("createWorkerPool", "proj/cloud", payload=cloud_pool(2))
    await manager.provision()
    one, two = manager.cloud.live()
    await manager.ok("removeWorker", "proj/cloud", one.group, one.name)
    one.state = "there"  # the cloud has forgotten that it was to go
    late = await manager.call("registerWorker", payload=manager.proof(one.name, one.group, "proj/cloud", "cloud", token=one.secret))
    assert late.status == 400 and one.state == "going"
    from tcbox.services.worker_manager.credentials import WorkerCredentials

    monkeypatch.setattr(WorkerCredentials, "issue", lambda *_: 1 / 0)
    failed = await manager.call("registerWorker", payload=manager.proof(two.name, two.group, "proj/cloud", "cloud", token=two.secret))
    assert failed.status == 500 and two.state == "going"
    assert {worker["state"] for worker in await manager.workers("proj/cloud")} == {"stopping"}


async def test_a_former_provider_s_workers_still_register(manager):
    """A worker of a pool's former provider may register for as long as the pool has not been let go."""
    await manager.static_worker()
    await manager.ok("updateWorkerPool", POOL, payload=cloud_pool())
    assert (await manager.call("registerWorker", payload=manager.proof(staticSecret=SECRET))).status == 200
    await manager.provision()
    assert (await manager.call("registerWorker", payload=manager.proof(staticSecret=SECRET))).status == 200
    await manager.ok("removeWorker", POOL, "g", "w")
    await manager.provision()
    refused = await manager.call("registerWorker", payload=manager.proof(staticSecret=SECRET))
    assert "not associated with provider static" in refused.message
