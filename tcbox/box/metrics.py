"""What is measured of an instance, and its own monitoring pages: `/metrics`, `/__heartbeat__`, `/__version__`."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import tcbox
from tcbox.api import wire
from tcbox.api.declare import Method
from tcbox.box import events
from tcbox.runtime import Histogram, Registry
from tcbox.runtime.exposed import expose
from tcbox.runtime.metrics import CONTENT_TYPE, Sample

if TYPE_CHECKING:
    from aiohttp import web

    from tcbox.api.front import Mounted
    from tcbox.box.services import Shared


class Meter:
    """Counts calls by service, method and status, and how long they took."""

    def __init__(self, registry: Registry) -> None:
        self._calls: dict[tuple[Method, int], int] = {}
        self._seconds: Histogram = registry.histogram("tcbox_call_seconds", "How long API calls took.", ("service", "method"))
        registry.computed("tcbox_calls_total", "API calls answered.", ("service", "method", "status"), self._samples, "counter")

    def called(self, method: Method, status: int, seconds: float) -> None:
        """One call was answered."""
        key = (method, status)
        self._calls[key] = self._calls.get(key, 0) + 1
        self._seconds.observe(seconds, method.service, method.name)

    def _samples(self) -> Iterator[Sample]:
        for (method, status), count in self._calls.items():
            yield (method.service, method.name, str(status)), count


def show(registry: Registry, shared: Shared) -> None:
    """Have the registry show how services, loops and statements are doing."""
    expose(registry, shared.supervisor)
    events.show(registry, shared)
    stats = shared.database.stats
    registry.computed(
        "tcbox_queries_total", "Named statements run.", ("query",), lambda: [((name,), stat.calls) for name, stat in list(stats.items())], "counter",
    )  # fmt: skip
    registry.computed(
        "tcbox_query_seconds_total", "Time spent in named statements.", ("query",),
        lambda: [((name,), stat.seconds) for name, stat in list(stats.items())], "counter",
    )  # fmt: skip
    registry.computed("tcbox_memory_peak_bytes", "Largest resident memory so far.", (), _peak)


def _peak() -> list[Sample]:
    return [((), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)]


def handler(registry: Registry) -> Mounted:
    """What answers `/metrics`."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        return web.Response(body=registry.render().encode(), headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})

    return handle


def heartbeat(shared: Shared) -> Mounted:
    """What answers `/__heartbeat__`: 200 when every service is healthy, else 503 with what is wrong."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        faults = {name: faults for name in (*shared.apis, events.NAME) if (faults := shared.supervisor.faults(name))}
        try:
            await shared.database.ping()
        except Exception as error:
            faults["database"] = [str(error)]
        return answer({"healthy": not faults, "faults": faults}, 503 if faults else 200)

    return handle


async def lbheartbeat(request: web.BaseRequest) -> web.StreamResponse:
    """Answers as long as requests are taken."""
    return answer({}, 200)


async def version(request: web.BaseRequest) -> web.StreamResponse:
    """Which program this is, as a Dockerflow version object."""
    return answer({"version": tcbox.__version__, "commit": "", "source": "", "build": f"tcbox {tcbox.__version__}"}, 200)


def answer(value: Any, status: int) -> web.StreamResponse:
    """An answer that is not to be kept."""
    from aiohttp import web

    return web.Response(status=status, body=wire.encode(value), headers={"Content-Type": wire.JSON, "Cache-Control": "no-store"})
