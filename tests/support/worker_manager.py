"""A worker manager for tests, beside a real queue on the same database: called as over HTTP, every message held against its schema."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

import tcbox.services
from pathlib import Path

from tcbox import clock as clocks
from tcbox import errors, events
from tcbox.api.dispatch import Dispatcher
from tcbox.api.schemas import SchemaSet
from tcbox.client.local import Local
from tcbox.credentials import Success
from tcbox.credentials.identity import LazyScopes
from tcbox.credentials.sealed import Sealer
from tcbox.events import bus as buses
from tcbox.scopes import ScopeSet
from tcbox.services.queue import store as queue_store
from tcbox.services.queue.service import Service as QueueService
from tcbox.services.worker_manager import store
from tcbox.services.worker_manager.events import exchanges
from tcbox.services.worker_manager.providers.inert import Inert
from tcbox.services.worker_manager.providers.static import Static
from tcbox.services.worker_manager.service import Service
from tests.simulators.machines import Cloud, CloudProvider
from tests.support import outbox
from tests.support.service import Caller

ROOT = Path(tcbox.services.__path__[0])
SCHEMAS = SchemaSet({name: ROOT / name.replace("-", "_") / "schemas" for name in ("worker-manager", "queue", "notify")})
MIGRATIONS = [buses.migrations, queue_store.migrations, store.migrations]
POOL = "proj/ci"
SECRET = "s" * 44
KEY = b"k" * 32


def static_pool(**changes):
    """What a pool of static workers is made of."""
    return {"providerId": "static", "description": "d", "owner": "owner@example.com", "emailOnError": False, "config": {}, **changes}


def launch_config(zone="zone-a", **own):
    """A launch configuration of the test's cloud."""
    made = {
        "workerConfig": {"z": 1, "a": {"x": None}}, "region": "r", "zone": zone, "machineType": "m", "disks": [], "networkInterfaces": [], "scheduling": {},
    }  # fmt: skip
    return {**made, "workerManager": own} if own else made


def cloud_pool(least=0, most=10, *configs, lifecycle=None, **changes):
    """What a pool of the test's cloud is made of."""
    config = {"minCapacity": least, "maxCapacity": most, "launchConfigs": list(configs) or [launch_config()]}
    if lifecycle:
        config["lifecycle"] = lifecycle
    return {"providerId": "cloud", "description": "d", "owner": "owner@example.com", "emailOnError": False, "config": config, **changes}


class Audit:
    """The record of changes."""

    def __init__(self):
        self.entries = []

    async def record(self, tx, entity_type, entity_id, action, by):
        self.entries.append((entity_type, entity_id, action, by))


class Calls:
    """Calls the queue for real, and keeps mails instead of sending them, refusing those that the notify service would."""

    def __init__(self, local):
        self._local = local
        self.mails = []
        self.mail_error = None
        self.queue_error = None

    async def call(self, service, method, /, *args, payload=None, query=None):
        if service == "queue":
            if self.queue_error:
                raise self.queue_error
            return await self._local.call(service, method, *args, payload=payload, query=query)
        assert (service, method) == ("notify", "email")
        if self.mail_error:
            raise self.mail_error
        assert SCHEMAS.validator("notify", "email-request").check(payload) == []
        self.mails.append(payload)
        return {}


class Manager:
    """The service, a caller for it, and what goes on around it."""

    def __init__(self, database, clock, **settings):
        self.database, self.clock = database, clock
        self.bus = events.Bus(database, clock)
        self.cloud = Cloud()
        self.provider = CloudProvider(self.cloud)
        self.audit = Audit()
        everything = Success("hawk", "wm", clocks.DAY * 100_000, LazyScopes(ScopeSet(("*",))))
        self.queue = QueueService(database=database, bus=self.bus, clock=clock, caller=None, client_id="static/taskcluster/queue", access_token="t" * 44)
        handlers = self.queue.api.bind(*self.queue.families(), self.queue.monitoring(lambda: 1.0, list))
        dispatcher = Dispatcher(self.queue.api, handlers, SCHEMAS, authenticator=None, clock=clock)
        self.calls = Calls(Local({"queue": dispatcher}.get, lambda: everything))
        sealer = Sealer(KEY)
        providers = {
            "static": Static("static", sealer), "cloud": self.provider,
            "aws": Inert("aws", "aws", idle="providers.aws has no credentials in tcbox.yml."),
            "azure": Inert("azure", "azure", idle="providers.azure has no credentials in tcbox.yml."),
        }  # fmt: skip
        self.service = Service(
            database=database, bus=self.bus, clock=clock, caller=self.calls, sealer=sealer, schemas=SCHEMAS,
            client_id="static/taskcluster/worker-manager", access_token="w" * 44, providers=providers, audit=self.audit, **settings,
        )  # fmt: skip
        self.call = Caller(self.service, clock)
        self._read = 0

    async def ok(self, name, *args, payload=None, **query):
        """The body of a call that succeeds."""
        answered = await self.call(name, *args, payload=payload, **query)
        assert answered.status == 200, (name, answered.body)
        return answered.body

    async def events(self):
        """The service's own messages since the last time, as (exchange, payload), each held against its schema."""
        found = []
        for event in await outbox.read(self.bus, self._read):
            self._read = event.id
            if "worker-manager" not in event.exchange:
                continue
            exchange = exchanges.entries[event.exchange.rpartition("/")[2]]
            faults = SCHEMAS.validator("worker-manager", exchange.schema).check(event.payload)
            assert not faults, (event.exchange, faults)
            assert len(event.routing_key.split(".")) == 8 and event.routing_key.startswith("primary."), event.routing_key
            found.append((exchange.exchange, event.payload))
        return found

    async def exchanges(self):
        """Their exchanges."""
        return [name for name, _ in await self.events()]

    async def pend(self, count, queue=POOL):
        """Make tasks that wait."""
        from tcbox import ids

        now = self.clock.now()
        for _ in range(count):
            definition = {
                "taskQueueId": queue, "schedulerId": "sched", "created": clocks.to_wire(now), "deadline": clocks.to_wire(now + clocks.DAY),
                "expires": clocks.to_wire(now + 2 * clocks.DAY), "payload": {},
                "metadata": {"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
            }  # fmt: skip
            await self.calls.call("queue", "createTask", ids.slugid(), payload=definition)

    async def provision(self):
        await self.service.provisioner.provision()

    async def scan(self):
        await self.service.scanner.scan()

    async def workers(self, pool=POOL, **query):
        return (await self.ok("listWorkersForWorkerPool", pool, **query))["workers"]

    async def errors(self, pool=POOL):
        return (await self.ok("listWorkerPoolErrors", pool))["workerPoolErrors"]

    async def static_worker(self, worker_id="w", group="g", pool=POOL, secret=SECRET, **changes):
        """Make a static worker known."""
        payload = {"expires": clocks.to_wire(self.clock.now() + clocks.DAY), "providerInfo": {"staticSecret": secret}, **changes}
        return await self.ok("createWorker", pool, group, worker_id, payload=payload)

    def proof(self, worker_id="w", group="g", pool=POOL, provider="static", **proof):
        """What a worker sends to register."""
        return {"workerPoolId": pool, "providerId": provider, "workerGroup": group, "workerId": worker_id, "workerIdentityProof": proof}

    async def register_machine(self, machine, pool=POOL):
        """A machine of the cloud registers."""
        return await self.ok("registerWorker", payload=self.proof(machine.name, machine.group, pool, "cloud", token=machine.secret))


@asynccontextmanager
async def started(database, clock, **settings):
    """A worker manager without its loops."""
    made = Manager(database, clock, **settings)
    async with AsyncExitStack() as stack:
        await made.queue.start(stack)
        await made.service.start(stack)
        yield made
    await made.bus.close()


UNAVAILABLE = errors.Unavailable("The service notify does not run.")
