"""The loops: machines are asked for as there is work, once though several ask, looked at, and never left running for nothing."""

import asyncio

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox import errors
from tcbox.services.worker_manager.providers.interface import Trouble
from tests.support.databases import database  # noqa: F401
from tests.support.worker_manager import MIGRATIONS, POOL, Manager, cloud_pool, launch_config, started, static_pool

migrations = MIGRATIONS
MINUTE = clocks.MINUTE


@pytest_asyncio.fixture
async def manager(database, clock):
    async with started(database, clock) as made:
        yield made


async def pool(manager, *args, name=POOL, **kwargs):
    await manager.ok("createWorkerPool", name, payload=cloud_pool(*args, **kwargs))
    await manager.events()


async def states(manager, name=POOL):
    return sorted(worker["state"] for worker in await manager.workers(name))


async def test_machines_are_asked_for_as_there_is_work(manager):
    """For each waiting task a machine is asked for, up to the pool's most; those that are coming are not asked for again."""
    await pool(manager, 1, 4)
    await manager.provision()
    assert len(manager.cloud.live()) == 1
    await manager.pend(3)
    await manager.provision()
    await manager.provision()
    assert len(manager.cloud.live()) == 3, "the one that is coming will take one of the three tasks"
    found = await manager.events()
    assert [name for name, _ in found] == ["worker-requested"] * 3
    assert found[0][1]["launchConfigId"].startswith("lc-") and found[0][1]["providerId"] == "cloud"
    await manager.pend(10)
    await manager.provision()
    assert len(manager.cloud.live()) == 4
    stats = (await manager.ok("workerPoolStats", POOL))["launchConfigStats"]
    assert [(each["requestedCount"], each["currentCapacity"], each["runningCount"]) for each in stats] == [(4, 4, 0)]
    assert (await manager.ok("workerPool", POOL))["requestedCapacity"] == 4


async def test_weights_and_limits_of_launch_configs(manager):
    """Machines are launched within each launch configuration's own limit, none by one whose weight is 0, and capacity counts per machine."""
    configs = (
        launch_config("a", maxCapacity=2), launch_config("b", maxCapacity=3, capacityPerInstance=3), launch_config("c", initialWeight=0), launch_config("d", maxCapacity=0),
    )  # fmt: skip
    await pool(manager, 5, 10, *configs)
    await manager.provision()
    zones = sorted(machine.group for machine in manager.cloud.live())
    assert zones == ["a", "a", "b"]
    assert (await manager.ok("workerPool", POOL))["requestedCapacity"] == 5


async def test_errors_take_weight(manager, clock):
    """A launch configuration that fails is chosen no more while another works, and again after an hour."""
    await pool(manager, 0, 50, launch_config("bad", launchConfigId="bad"), launch_config("good", launchConfigId="good"))
    for _ in range(3):
        record = await manager.service.pools.get(POOL)
        await manager.service.reports.add(record, Trouble("creation-error", "t", "d"), launch_config_id="bad")
    await manager.pend(10)
    await manager.provision()
    assert {machine.group for machine in manager.cloud.live()} == {"good"}


async def test_a_lost_reply_makes_no_second_machine(manager, clock):
    """When the cloud's reply is lost, the same order is repeated under its token, and meanwhile counts as capacity that is coming."""
    await pool(manager, 2, 5)
    manager.cloud.lose_replies = 2
    for _ in range(3):
        await manager.provision()
    assert manager.cloud.calls["launch"] == 3 and len(manager.cloud.machines) == 2
    assert await states(manager) == ["requested", "requested"]
    assert await manager.exchanges() == ["worker-requested", "worker-requested"]


async def test_an_order_whose_outcome_stays_unknown(manager, clock):
    """After ten minutes without an answer the order is given up, and its pool has an error."""
    await pool(manager, 1, 5)
    manager.cloud.broken = ConnectionResetError("gone away")
    await manager.provision()
    clock.advance(11 * MINUTE)
    await manager.provision()
    (error,) = await manager.errors()
    assert error["kind"] == "creation-error" and "did not say within 10 minutes" in error["description"]
    manager.cloud.broken = None
    await manager.provision()
    assert len(manager.cloud.live()) == 1


async def test_what_the_cloud_refuses_is_an_error_of_the_pool(manager):
    """A refusal of the cloud is an error of the pool, with the launch configuration and its code, is announced, and is tried again."""
    await pool(manager, 1, 5, launch_config("a", launchConfigId="mine"))
    manager.cloud.broken = Trouble("creation-error", "Instance Creation Error", "No such image.", {"code": "NoImage"})
    await manager.provision()
    (error,) = await manager.errors()
    assert (error["title"], error["description"], error["launchConfigId"], error["extra"]) == (
        "Instance Creation Error",
        "No such image.",
        "mine",
        {"code": "NoImage"},
    )
    (event,) = await manager.events()
    assert event[0] == "worker-pool-error" and event[1]["errorId"] == error["errorId"] and event[1]["launchConfigId"] == "mine"
    manager.cloud.broken = None
    await manager.provision()
    assert await states(manager) == ["requested"]


async def test_one_pool_or_provider_that_fails_stops_no_other(manager, monkeypatch):
    """A pool that cannot be provisioned, and a provider that does not work, keep none of the others from their machines."""
    await pool(manager, 1, 5, name="proj/a")
    await pool(manager, 1, 5, name="proj/b")
    demand = manager.service.provisioner._queue.demand

    async def failing(name):
        if name == "proj/a":
            raise RuntimeError("boom")
        return await demand(name)

    monkeypatch.setattr(manager.service.provisioner._queue, "demand", failing)
    await manager.provision()
    assert (await states(manager, "proj/a"), await states(manager, "proj/b")) == ([], ["requested"])
    manager.provider.sick = RuntimeError("no")
    monkeypatch.undo()
    await manager.provision()
    assert await states(manager, "proj/a") == []
    manager.provider.sick = None
    await manager.provision()
    assert await states(manager, "proj/a") == ["requested"]


async def test_two_provisioners_ask_once(manager, database, clock):
    """Several processes that provision one database at the same time ask for each machine once."""
    await pool(manager, 4, 10)
    others = [Manager(database, clock) for _ in range(3)]
    for other in others:
        other.cloud = other.provider.cloud = manager.cloud
    manager.cloud.delay = 0.05
    await manager.pend(6)
    for _ in range(3):
        await asyncio.gather(*(one.provision() for one in [manager, *others]))
    assert len(manager.cloud.machines) == 6
    assert await states(manager) == ["requested"] * 6
    assert await manager.exchanges() == ["worker-requested"] * 6
    for other in others:
        await other.bus.close()


async def test_a_lease_of_the_dead_ends(manager, clock):
    """A process that died while it provisioned a pool holds the others up for five minutes, and its order is settled then."""
    await pool(manager, 1, 5)
    async with manager.service._leases.take(f"pool/{POOL}") as lease:
        other = Manager(manager.database, clock)
        other.cloud = other.provider.cloud = manager.cloud
        await other.provision()
        assert manager.cloud.machines == {}
        record = await manager.service.pools.get(POOL)
        (config,) = await manager.service.pools.every_launch_config(POOL)
        await manager.service.provisioner._orders.place(lease, record, [(config.launch_config_id, 1, 1)])
        clock.advance(5 * MINUTE + 1000)
        await other.provision()
        assert len(manager.cloud.machines) == 1 and await states(manager) == ["requested"]
        assert await manager.service.provisioner._orders.place(lease, record, [(config.launch_config_id, 1, 1)]) == [], (
            "a lease that has ended places no orders"
        )
        await other.bus.close()


class Crash(BaseException):
    """The process ends here."""


def crash_at(manager, number, after):
    """Have a process end at one of the steps that leave a trace: ahead of it, or when it is done but nothing more."""
    steps = 0

    def wrapped(step):
        async def run(*args, **kwargs):
            nonlocal steps
            steps += 1
            if steps > number or (steps == number and not after):
                raise Crash
            made = await step(*args, **kwargs)
            if steps == number:
                raise Crash
            return made

        return run

    manager.database.transaction = wrapped(manager.database.transaction)
    manager.cloud.launch = wrapped(manager.cloud.launch)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_step_loses_and_doubles_no_machine(manager, database, clock, after):
    """Wherever a process ends while it asks for machines, another one comes to as many machines as were wanted, each with its worker."""
    for number in range(1, 20):
        name = f"proj/p{number}"
        await pool(manager, 2, 5, launch_config(f"zone-{number}"), name=name)
        dead = Manager(database, clock)
        dead.cloud = dead.provider.cloud = manager.cloud
        original = database.transaction, manager.cloud.launch
        crash_at(dead, number, after)
        try:
            await dead.provision()
            crashed = False
        except Crash:
            crashed = True
        finally:
            database.transaction, manager.cloud.launch = original
        await dead.bus.close()
        clock.advance(5 * MINUTE + 1000)
        for _ in range(2):
            await manager.provision()
        mine = [machine.name for machine in manager.cloud.live() if machine.group == f"zone-{number}"]
        assert sorted(worker["workerId"] for worker in await manager.workers(name)) == sorted(mine) and len(mine) == 2, number
        assert await manager.errors(name) == []
        await manager.ok("deleteWorkerPool", name)
        for machine in manager.cloud.machines.values():
            machine.state = "gone"
        await manager.scan()
        await manager.provision()
        if not crashed:
            break
    assert number > 4 and not crashed


async def test_a_worker_that_never_registers(manager, clock):
    """A machine that never registers is removed after the registrationTimeout; it is an error of its pool, and seen in the statistics till then."""
    await pool(manager, 1, 1, launch_config("a", launchConfigId="mine"), lifecycle={"registrationTimeout": 600})
    await manager.provision()
    await manager.scan()
    assert await states(manager) == ["requested"] and (await manager.ok("workerPool", POOL))["requestedCount"] == 1
    clock.advance(601 * 1000)
    await manager.events()
    await manager.scan()
    assert await states(manager) == ["stopping"] and manager.cloud.live() == []
    (error,) = await manager.errors()
    assert (error["kind"], error["title"], error["launchConfigId"]) == ("registration-timeout", "Worker never registered", "mine")
    assert error["extra"]["workerId"] == "i-0" and "registrationTimeout" in error["description"]
    assert await manager.exchanges() == ["worker-removed", "worker-pool-error"]
    manager.cloud.machines["i-0"].state = "gone"
    await manager.scan()
    assert await states(manager) == ["stopped"] and await manager.exchanges() == ["worker-stopped"]
    await manager.provision()
    assert await states(manager) == ["requested", "stopped"], "another is asked for in its place"


async def test_a_machine_that_dies_before_it_registers(manager):
    """A machine that is gone before it has registered is an error of its pool too."""
    await pool(manager, 1, 1)
    await manager.provision()
    manager.cloud.machines.clear()
    await manager.scan()
    assert await states(manager) == ["stopped"]
    assert (await manager.errors())[0]["title"] == "Worker never registered"


async def test_a_worker_that_does_not_register_again(manager, clock):
    """A running worker lives for as long as it registers again in time, and is then removed, which is no error."""
    await pool(manager, 1, 1, lifecycle={"reregistrationTimeout": 3600, "queueInactivityTimeout": 86400})
    await manager.provision()
    (machine,) = manager.cloud.live()
    got = await manager.register_machine(machine)
    await manager.pend(1)
    clock.advance(3000 * 1000)
    await manager.ok("reregisterWorker", payload={"workerPoolId": POOL, "workerGroup": machine.group, "workerId": machine.name, "secret": got["secret"]})
    clock.advance(3000 * 1000)
    await manager.scan()
    assert await states(manager) == ["running"]
    clock.advance(601 * 1000)
    await manager.events()
    await manager.scan()
    assert await states(manager) == ["stopping"] and await manager.errors() == []
    (event,) = await manager.events()
    assert "did not register in time again" in event[1]["reason"]


async def test_a_worker_that_asks_for_no_work(manager, clock):
    """A worker that has not asked for work for the queueInactivityTimeout is removed; one that asks, or that the queue says nothing of for now, stays."""
    await pool(manager, 2, 2, lifecycle={"queueInactivityTimeout": 1800})
    await manager.provision()
    busy, lazy = manager.cloud.live()
    for machine in (busy, lazy):
        await manager.register_machine(machine)
    for _ in range(4):
        clock.advance(10 * MINUTE)
        await manager.queue.sightings.declare(POOL, busy.group, busy.name, clock.now() + clocks.DAY)
    manager.calls.queue_error = errors.Unavailable("not now")
    await manager.scan()
    assert await states(manager) == ["running", "running"]
    manager.calls.queue_error = None
    await manager.scan()
    assert (busy.state, lazy.state) == ("there", "going")
    assert await manager.errors() == [], "it had registered"


async def test_a_removal_that_fails_is_tried_until_it_works(manager, clock):
    """A machine that could not be removed is an error of its pool, and is tried again in every round until it is gone."""
    await pool(manager, 1, 1)
    await manager.provision()
    (machine,) = manager.cloud.live()
    await manager.register_machine(machine)
    manager.cloud.refuse_removal = True
    await manager.events()
    await manager.ok("removeWorker", POOL, machine.group, machine.name)
    await manager.scan()
    assert manager.cloud.calls["remove"] == 2 and machine.state == "there"
    (error,) = await manager.errors()
    assert (error["kind"], error["extra"]["code"], error["extra"]["workerId"]) == ("termination-error", "busy", machine.name)
    assert await manager.exchanges() == ["worker-removed", "worker-pool-error"], "it is removed once, however often that is tried"
    manager.cloud.refuse_removal = False
    await manager.scan()
    assert machine.state == "going"


async def test_a_cloud_that_does_not_answer_loses_no_worker(manager, clock):
    """While the cloud does not answer, its workers are let be, and none is forgotten though it expires meanwhile."""
    await pool(manager, 1, 1)
    await manager.provision()
    await manager.register_machine(manager.cloud.live()[0])
    manager.cloud.broken = ConnectionResetError("away")
    await manager.scan()
    clock.advance(10 * clocks.DAY)
    await manager.scan()
    await manager.service.expire()
    assert await states(manager) == ["running"]


async def test_a_worker_whose_machine_is_there_does_not_expire(manager, clock):
    """A worker is kept for as long as its machine is there, and forgotten some days after that has gone."""
    await pool(manager, 1, 1, lifecycle={"queueInactivityTimeout": 10**8, "reregistrationTimeout": 2592000})
    await manager.provision()
    await manager.register_machine(manager.cloud.live()[0])
    for _ in range(4):
        clock.advance(6 * clocks.DAY)
        await manager.scan()
        await manager.service.expire()
    assert await states(manager) == ["running"]
    manager.cloud.machines.clear()
    await manager.scan()
    clock.advance(9 * clocks.DAY)
    await manager.service.expire()
    assert await states(manager) == []


async def test_machines_without_a_worker_are_removed(manager):
    """A machine that stands for no worker, as a crash may leave behind, is removed; others are not."""
    await pool(manager, 1, 1)
    await manager.provision()
    await manager.cloud.launch("lost", 1, "zone-a")
    await manager.scan()
    assert [machine.name for machine in manager.cloud.live()] == ["i-0"]


async def test_who_is_needed(manager, clock):
    """Of running workers the newest are needed, as many as there is work for; those of an archived launch configuration are not; quarantine counts out."""
    await pool(manager, 0, 10, launch_config("a", launchConfigId="old"))
    await manager.pend(3)
    for _ in range(3):
        await manager.provision()
    machines = manager.cloud.live()
    for machine in machines:
        await manager.register_machine(machine)
    await manager.scan()
    name = (POOL, machines[0].group, machines[0].name)
    assert await manager.ok("shouldWorkerTerminate", *name) == {"terminate": False, "reason": "needed"}
    await manager.ok("updateWorkerPool", POOL, payload=cloud_pool(0, 10, launch_config("b", launchConfigId="new")))
    await manager.scan()
    assert await manager.ok("shouldWorkerTerminate", *name) == {"terminate": True, "reason": "launch config archived"}
    await manager.ok("updateWorkerPool", POOL, payload=cloud_pool(0, 1, launch_config("a", launchConfigId="old")))
    await manager.scan()
    decided = [await manager.ok("shouldWorkerTerminate", POOL, machine.group, machine.name) for machine in machines]
    assert sorted(each["reason"] for each in decided) == ["needed", "over capacity", "over capacity"]


async def test_archived_launch_configs_stay_while_they_are_needed(manager):
    """An archived launch configuration is kept for as long as there is a worker that was launched by it."""
    await pool(manager, 1, 1, launch_config("a", launchConfigId="old"))
    await manager.provision()
    await manager.ok("updateWorkerPool", POOL, payload=cloud_pool(0, 1, launch_config("b", launchConfigId="new")))
    await manager.service.expire()
    listed = (await manager.ok("listWorkerPoolLaunchConfigs", POOL, includeArchived="true"))["workerPoolLaunchConfigs"]
    assert [each["launchConfigId"] for each in listed] == ["new", "old"]


async def test_a_pool_changes_its_provider(manager):
    """A pool's former provider is asked to let go in each round until it has no workers there; a pool that was given up goes after that."""
    await pool(manager, 1, 1)
    await manager.provision()
    (machine,) = manager.cloud.live()
    await manager.ok("deleteWorkerPool", POOL)
    await manager.provision()
    await manager.service.expire()
    assert manager.provider.deprovisioned == [POOL] and (await manager.call("workerPool", POOL)).status == 200
    await manager.ok("removeWorker", POOL, machine.group, machine.name)
    machine.state = "gone"
    await manager.scan()
    await manager.provision()
    await manager.service.expire()
    assert (await manager.call("workerPool", POOL)).status == 404


async def test_quarantined_workers_are_replaced(manager, clock):
    """A worker in quarantine gives no capacity: another machine is asked for."""
    await pool(manager, 1, 2)
    await manager.provision()
    (machine,) = manager.cloud.live()
    await manager.register_machine(machine)
    await manager.queue.sightings.declare(POOL, machine.group, machine.name, clock.now() + clocks.DAY)
    payload = {"quarantineUntil": clocks.to_wire(clock.now() + clocks.DAY), "quarantineInfo": "x"}
    await manager.calls.call("queue", "quarantineWorker", "proj", "ci", machine.group, machine.name, payload=payload)
    await manager.provision()
    assert len(manager.cloud.live()) == 2


async def test_a_pool_of_a_provider_that_is_no_more(manager, database, clock):
    """A pool whose provider was taken out of the configuration says so among its errors, and others go on."""
    await pool(manager, 1, 1)
    del manager.service.providers._providers["cloud"]
    await manager.provision()
    (error,) = await manager.errors()
    assert "has no provider cloud" in error["description"]
    await manager.scan()
