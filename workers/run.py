"""Runs one worker, in the box's process or in one of its own."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack

from tcbox import clock as clocks
from tcbox import log
from tcbox.client.http import Credentials, Http
from tcbox.workers import ledger
from tcbox.workers.claims import Claims, Performer
from tcbox.workers.lifecycle import OnFailure, Tools
from tcbox.workers.livelog import LiveLogs
from tcbox.workers.settings import WorkerSettings

_LOG = log.get("workers")


async def run(
    settings: WorkerSettings, *, http: Http, clock: clocks.Clock, stop: asyncio.Event, live_logs: LiveLogs | None = None, demanding: bool = False,
) -> None:  # fmt: skip
    """Serve task queues until `stop` is set and what was running has ended; then clean up and return.

    Args:
        http: calls the instance with credentials that have the scopes of `scopes`.
        live_logs: where running tasks' logs are shown; without, the worker serves them itself.
        demanding: whether to end when the instance refuses the first claim, as it would each later one.

    Raises tcbox.errors.TcboxError when the worker cannot work here, such as without a Docker engine.
    """
    async with AsyncExitStack() as stack:
        performer = await make(settings, http, clock, stack, live_logs=live_logs)
        claims = Claims(settings, http, clock, performer, demanding=demanding)
        names = [*settings.task_queues, *settings.serve]
        _LOG.info("serves task queues", extra={"queues": ", ".join(names), "at": http.root_url, "as": f"{settings.worker_group}/{settings.worker_id}"})
        await claims.serve(stop)


def scopes(settings: WorkerSettings) -> list[str]:
    """The scopes that a worker's credentials need.

    With queue:claimed-list:<taskQueueId> and queue:resolve-task:* besides, a worker that was killed also hands back, when
    it starts again, tasks that it was given at the very moment of its end.
    """
    names = [*settings.task_queues, *settings.serve]
    needed = [f"queue:worker-id:{settings.worker_group}/{settings.worker_id}"]
    needed += [f"queue:claim-work:{name.partition('*')[0]}{'*' if '*' in name else ''}" for name in names]
    if settings.serve:
        needed += ["queue:list-task-queues", "queue:pending-count:*"]
    return needed + [f"purge-cache:purge-requests:{settings.task_queue_id}"] * (settings.kind != "builtin")


async def make(
    settings: WorkerSettings, http: Http, clock: clocks.Clock, stack: AsyncExitStack, *,
    live_logs: LiveLogs | None = None, on_failure: OnFailure | None = None,
) -> Performer:  # fmt: skip
    """What runs claimed tasks of a kind; it cleans up on the stack.

    Args:
        on_failure: is waited for with each job that has failed, before it is closed.

    Raises tcbox.errors.TcboxError when it cannot work here.
    """
    if settings.kind == "builtin":
        from tcbox.workers.builtin.worker import Builtin

        return Builtin()
    import aiohttp

    runs = ledger.prepared(settings.folder / "runs")
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64), auto_decompress=True))
    if live_logs is None:
        live_logs = LiveLogs(settings.live_log_host, settings.live_log_port, settings.live_log_url)
        stack.push_async_callback(live_logs.close)
    tools = Tools(settings, http, session, live_logs, runs, on_failure)
    if settings.kind == "docker":
        from tcbox.workers.docker.worker import Docker

        return await Docker.start(tools, clock, stack)
    from tcbox.workers.host.worker import Host

    return await Host.start(tools, clock, stack)


async def run_alone(settings: WorkerSettings, *, root_url: str, credentials: Credentials, clock: clocks.Clock) -> None:
    """Run one worker in this process until SIGTERM or SIGINT; a second signal ends it without grace."""
    import signal

    import aiohttp

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        http = Http(root_url, credentials, session=session, clock=clock)
        worker = asyncio.ensure_future(run(settings, http=http, clock=clock, stop=stop, demanding=True))

        def ask() -> None:
            worker.cancel() if stop.is_set() else stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ask)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await worker
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
