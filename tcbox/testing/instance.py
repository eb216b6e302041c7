"""A throwaway instance, and what a test does with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox import config as configs
from tcbox import credentials as creds
from tcbox import errors, ids
from tcbox.box import Box, seeding
from tcbox.client.local import Local
from tcbox.config.guesses import meant
from tcbox.config.instance import Instance
from tcbox.scopes import ScopeSet
from tcbox.state.tokens import Tokens
from tcbox.testing.recorder import Events
from tcbox.testing.thread import background

KINDS = ("builtin", "host", "docker")
QUEUE = "test/worker"
"""The task queue of tasks that say none; no worker inside serves it, so that the test can play the worker."""
WORKER = {"workerGroup": "test", "workerId": "test"}
_RESOLVED = ("completed", "failed", "exception")
_STATES = ("unscheduled", "pending", "running", *_RESOLVED)
_REPORTS = {"completed": "reportCompleted", "failed": "reportFailed", "exception": "reportException"}
_FOREVER = 2**52
_QUIET = 3  # looks in a row between which no statement ran, until nothing more is on its way
_LOOK = 0.002  # seconds between two of them


class NotReached(AssertionError):
    """A task did not come into the state that was waited for."""


@contextlib.contextmanager
def start(
    *, folder: Path | None = None, workers: Iterable[str] = (), config: str | Mapping[str, Any] | None = None, seed: str | Path | None = None,
) -> Iterator[Taskcluster]:  # fmt: skip
    """A running instance, until the end of the block; nothing of it is left then.

    Args:
        folder: where its data is; a temporary one when not given. What it holds is removed at the end.
        workers: the workers inside that run: "builtin", "host", "docker".
        config: settings as in `tcbox.yml`, as text or as a dict.
        seed: a file of `tcbox state export`, or the root URL of an instance, that it begins with.

    Raises TcboxError when it cannot start, with every mistake in the settings or in the seed.
    """
    with contextlib.ExitStack() as stack:
        place = folder if folder is not None else Path(tempfile.mkdtemp(prefix="tcbox-"))
        stack.callback(shutil.rmtree, place / "data" if folder is not None else place, ignore_errors=True)
        settings = _settings(place, tuple(workers), config, seed)
        instance = Instance(settings.data)
        instance.create()
        clock = clocks.VirtualClock()
        box = background().run(_started(settings, instance, clock))
        stack.callback(lambda: background().run(box.stop()))
        assert box.shared is not None
        yield Taskcluster(box, clock, begun=background().run(box.shared.bus.last_id()))


async def _started(settings: configs.Settings, folder: Instance, clock: clocks.VirtualClock) -> Box:
    box = Box(settings, folder, clock=clock, token=ids.access_token(), ephemeral=True)
    await box.start()
    box.start_workers()
    return box


def _settings(place: Path, workers: tuple[str, ...], given: str | Mapping[str, Any] | None, seed: str | Path | None) -> configs.Settings:
    unknown = [kind for kind in workers if kind not in KINDS]
    if unknown:
        raise errors.TcboxError(f"there is no worker {', '.join(unknown)}; the workers inside are {', '.join(KINDS)}")
    overrides: dict[str, Any] = {"port": 0, "data": place / "data", "seed": None if seed is None else str(seed)}
    overrides |= {f"workers.{kind}.enabled": kind in workers for kind in KINDS}
    path = None
    if given is not None:
        import yaml

        path = place / "tcbox.yml"
        path.write_text(given if isinstance(given, str) else yaml.safe_dump(dict(given)))
    return configs.load(path, overrides)


class Taskcluster:
    """A running instance.

    What a helper is refused is raised as `tcbox.errors.ApiError`, with `code`, `status` and `message`. Clients from
    `client` are those of the package `taskcluster`, and raise its errors.

    Attributes:
        root_url: under which every client reaches it.
        events: what it has announced since it was ready.
        data: its data folder.
    """

    def __init__(self, box: Box, clock: clocks.VirtualClock, *, begun: int = 0) -> None:
        self.root_url = box.root_url
        self.data = box.folder.data
        self.events = Events(lambda after: self._run(_events(box, after)), begun, _announced(box))
        self._box = box
        self._clock = clock
        own = box.root_client
        self._root = creds.Credentials(own.client_id, own.access_token)
        self._credentials = self._root
        self._scopes: tuple[str, ...] = ("*",)
        self._clients: dict[tuple[str, creds.Credentials], Any] = {}

    # -- connecting

    @property
    def credentials(self) -> dict[str, str]:
        """What signs requests: clientId, accessToken, and a certificate within `scopes`."""
        made = self._credentials
        found = {"clientId": made.client_id, "accessToken": made.access_token}
        return {**found, "certificate": made.certificate} if made.certificate else found

    @property
    def options(self) -> dict[str, Any]:
        """What the constructors of the package `taskcluster` take: `taskcluster.Queue(taskcluster_fixture.options)`."""
        return {"rootUrl": self.root_url, "credentials": self.credentials}

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which other programs find the instance: TASKCLUSTER_ROOT_URL and so on."""
        made = self._credentials
        found = {"TASKCLUSTER_ROOT_URL": self.root_url, "TASKCLUSTER_CLIENT_ID": made.client_id, "TASKCLUSTER_ACCESS_TOKEN": made.access_token}
        return {**found, "TASKCLUSTER_CERTIFICATE": made.certificate} if made.certificate else found

    def client(self, service: str) -> Any:
        """A client of the package `taskcluster` for a service, such as "queue" or "worker-manager".

        Raises TcboxError when that package is not installed, or has no such service.
        """
        key = (service, self._credentials)
        if key not in self._clients:
            try:
                import taskcluster
            except ImportError as error:
                raise errors.TcboxError("the package taskcluster is not installed, which has the clients: pip install taskcluster") from error
            name = "".join(word.capitalize() for word in service.replace("_", "-").split("-"))
            kind = getattr(taskcluster, name, None)
            if kind is None:
                raise errors.TcboxError(f"the package taskcluster has no client {name} for the service {service!r}")
            self._clients[key] = kind(self.options)
        return self._clients[key]

    @property
    def queue(self) -> Any:
        """A client of the queue."""
        return self.client("queue")

    @property
    def auth(self) -> Any:
        """A client of auth."""
        return self.client("auth")

    def call(self, service: str, method: str, *args: str, payload: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """Call a method without any client's help, with the same checks as over HTTP.

        Raises ApiError.
        """
        caller = Local(self._box.front.services.get, self._identity)
        return self._run(caller.call(service, method, *args, payload=payload, query=query))

    @contextlib.contextmanager
    def scopes(self, *scopes: str) -> Iterator[Taskcluster]:
        """Within the block have these scopes alone: `credentials`, `client` and all helpers are limited to them."""
        before = (self._credentials, self._scopes)
        now = self._clock.now()
        self._credentials = creds.create(
            self._root.client_id, self._root.access_token, scopes=scopes, start_ms=now - clocks.MINUTE, expiry_ms=now + 30 * clocks.DAY
        )
        self._scopes = scopes
        try:
            yield self
        finally:
            self._credentials, self._scopes = before

    def seed(self, source: str | Path) -> dict[str, str]:
        """Put in a file of `tcbox state export`, or the state of an instance at a root URL; the access tokens of new clients by id.

        Hooks' schedules and worker pools' minimum capacities stay off. Raises TcboxError with all that cannot be put in.
        """
        made: dict[str, str] = self._run(_seeded(self._box, str(source)))
        return made

    # -- tasks

    def definition(self, **changes: Any) -> dict[str, Any]:
        """A task definition that is accepted, with these keys instead: for `test/worker`, created now, with a day to its deadline."""
        now = self._clock.now()
        return {
            "taskQueueId": QUEUE,
            "created": clocks.to_wire(now),
            "deadline": clocks.to_wire(now + clocks.DAY),
            "payload": {},
            "metadata": {"name": "test", "description": "A task of a test.", "owner": "test@example.com", "source": "https://example.com/"},
            **changes,
        }

    def create_task(self, task_id: str | None = None, **changes: Any) -> str:
        """Create a task, with these keys in its definition; its taskId."""
        task_id = task_id or ids.slugid()
        self.call("queue", "createTask", task_id, payload=self.definition(**changes))
        return task_id

    def status(self, task_id: str) -> dict[str, Any]:
        """A task's status."""
        found: dict[str, Any] = self.call("queue", "status", task_id)["status"]
        return found

    def wait_for(self, task_id: str, *states: str, timeout: float = 30.0) -> dict[str, Any]:
        """Wait, in real time, until a task is in one of these states, or resolved when none is given; its status then.

        Raises NotReached after so many seconds, or as soon as it is resolved otherwise; TcboxError at once for a state that there is not.
        """
        if unknown := [state for state in states if state not in _STATES]:
            hint = meant(unknown[0], _STATES)
            raise errors.TcboxError(f"{unknown[0]!r} is no state of a task{f': {hint}' if hint else ''} (states are {', '.join(_STATES)})")
        wanted = states or _RESOLVED
        until = time.monotonic() + timeout
        while True:
            status = self.status(task_id)
            if status["state"] in wanted:
                return status
            if status["state"] in _RESOLVED or time.monotonic() >= until:
                why = f" ({status['runs'][-1].get('reasonResolved', 'not resolved')})" if status["runs"] else ""
                raise NotReached(f"task {task_id} is {status['state']}{why}, not {' or '.join(wanted)}, after {timeout:g} s at most")
            time.sleep(_LOOK * 5)

    def claim(self, task_queue_id: str = QUEUE, *, tasks: int = 1, worker_group: str = "test", worker_id: str = "test") -> list[dict[str, Any]]:
        """Claim pending tasks as a worker does; waits up to 20 s for one, which `advance` shortens."""
        payload = {"workerGroup": worker_group, "workerId": worker_id, "tasks": tasks}
        found: list[dict[str, Any]] = self.call("queue", "claimWork", task_queue_id, payload=payload)["tasks"]
        return found

    def resolve_as(self, task_id: str, state: str, reason: str = "internal-error") -> dict[str, Any]:
        """Have a task's last run end as "completed", "failed" or "exception", claimed first if it is pending; its status then.

        Args:
            reason: for an exception: "worker-shutdown", "malformed-payload" and so on.
        """
        if state not in _REPORTS:
            raise errors.TcboxError(f"a task can be resolved as {', '.join(_REPORTS)}, and not as {state!r}")
        status = self.status(task_id)
        if not status["runs"]:
            raise errors.TcboxError(f"task {task_id} has no run yet, it is {status['state']}: resolve its dependencies first")
        run = status["runs"][-1]
        if run["state"] == "pending":
            self.call("queue", "claimTask", task_id, str(run["runId"]), payload=WORKER)
        payload = {"reason": reason} if state == "exception" else None
        found: dict[str, Any] = self.call("queue", _REPORTS[state], task_id, str(run["runId"]), payload=payload)["status"]
        return found

    # -- time

    @property
    def now(self) -> datetime:
        """The instance's time."""
        return datetime.fromtimestamp(self._clock.now() / 1000, UTC)

    def from_now(self, **time: float) -> str:
        """A time to put into a definition: `from_now(hours=2)`, by the instance's clock."""
        return clocks.to_wire(self._clock.now() + int(timedelta(**time).total_seconds() * 1000))

    def advance(self, **time: float) -> datetime:
        """Move the clock on, such as `advance(hours=5)`; returns when what is due by then has happened. The new time.

        Claims end, deadlines pass, hooks fire. What is signed by the machine's own time stays valid.
        """
        milliseconds = int(timedelta(**time).total_seconds() * 1000)
        self._run(_advanced(self._box, self._clock, milliseconds))
        return self.now

    def _identity(self) -> creds.Success:
        assert self._box.shared is not None
        directory = self._box.shared.directory
        return creds.Success("hawk", self._root.client_id, _FOREVER, creds.LazyScopes(ScopeSet(self._scopes), directory.expand))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return background().run(work)


async def _seeded(box: Box, source: str) -> dict[str, str]:
    assert box.shared is not None
    from tcbox.state import sources

    found = await sources.read(source, sources.from_environment(source, os.environ))
    tokens = Tokens(None)
    plan, left = await seeding.put(box.shared, found.state, tokens)
    passed = [*found.left_out, *left, *seeding.left_out(plan)]
    if passed:
        raise errors.TcboxError(f"of {source} all is put in but:\n" + "\n".join(f"  {each}" for each in passed))
    return tokens.made


def _announced(box: Box) -> frozenset[str]:
    """The names of all events that its services may announce."""
    declared = box.shared.exchanges.values() if box.shared is not None else ()
    return frozenset(entry.exchange for exchanges in declared for entry in exchanges.entries.values())


async def _events(box: Box, after: int) -> list[Any]:
    assert box.shared is not None
    found: list[Any] = []
    while batch := await box.shared.bus.read(found[-1].id if found else after):
        found += batch
    return found


async def _advanced(box: Box, clock: clocks.VirtualClock, milliseconds: int) -> None:
    assert box.shared is not None
    stats = box.shared.database.stats
    clock.advance(milliseconds)
    await _quiet(lambda: sum(stat.calls for stat in stats.values()))


async def _quiet(work_done: Callable[[], int], *, most: float = 2.0) -> None:
    """Return when nothing more is done, by a count of it, or after so many seconds."""
    until, seen, same = time.monotonic() + most, -1, 0
    while same < _QUIET and time.monotonic() < until:
        count = work_done()
        same = same + 1 if count == seen else 0
        seen = count
        await asyncio.sleep(_LOOK)
