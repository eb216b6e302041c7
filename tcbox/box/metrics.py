"""Counts of calls, and the instance's own monitoring pages: `/metrics`, `/__heartbeat__`, `/__version__`."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

import tcbox
from tcbox.api import wire
from tcbox.api.declare import Method

if TYPE_CHECKING:
    from aiohttp import web

    from tcbox.api.front import Mounted
    from tcbox.box.services import Shared

_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


class Meter:
    """Counts calls by service, method and status, with their duration."""

    def __init__(self) -> None:
        self.calls: dict[tuple[Method, int], int] = {}
        self.seconds: dict[Method, list[float]] = {}

    def called(self, method: Method, status: int, seconds: float) -> None:
        """One call was answered."""
        key = (method, status)
        self.calls[key] = self.calls.get(key, 0) + 1
        row = self.seconds.get(method)
        if row is None:
            row = self.seconds[method] = [0.0] * (len(_BUCKETS) + 2)
        row[-1] += seconds
        for index, bound in enumerate(_BUCKETS):
            if seconds <= bound:
                row[index] += 1
                return
        row[len(_BUCKETS)] += 1

    def lines(self) -> list[str]:
        """In Prometheus' text format."""
        made = ["# HELP tcbox_calls_total API calls answered.", "# TYPE tcbox_calls_total counter"]
        made += [f'tcbox_calls_total{{service="{m.service}",method="{m.name}",status="{status}"}} {count}' for (m, status), count in self.calls.items()]
        made += ["# HELP tcbox_call_seconds How long API calls took.", "# TYPE tcbox_call_seconds histogram"]
        for method, row in self.seconds.items():
            labels, total = f'service="{method.service}",method="{method.name}"', 0.0
            for bound, count in zip((*map(str, _BUCKETS), "+Inf"), row[:-1], strict=True):
                total += count
                made.append(f'tcbox_call_seconds_bucket{{{labels},le="{bound}"}} {total:.0f}')
            made += [f"tcbox_call_seconds_sum{{{labels}}} {row[-1]:.6f}", f"tcbox_call_seconds_count{{{labels}}} {total:.0f}"]
        return made


def handler(shared: Shared) -> Mounted:
    """What answers `/metrics`."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        lines = shared.meter.lines() if isinstance(shared.meter, Meter) else []
        lines += ["# HELP tcbox_service_healthy Whether a service is healthy.", "# TYPE tcbox_service_healthy gauge"]
        lines += [f'tcbox_service_healthy{{service="{name}"}} {int(not shared.supervisor.faults(name))}' for name in shared.apis]
        lines += ["# HELP tcbox_memory_peak_bytes Largest resident memory so far.", "# TYPE tcbox_memory_peak_bytes gauge"]
        lines += [f"tcbox_memory_peak_bytes {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}"]
        return web.Response(text="\n".join(lines) + "\n", content_type="text/plain", headers={"Cache-Control": "no-store"})

    return handle


def heartbeat(shared: Shared) -> Mounted:
    """What answers `/__heartbeat__`: 200 when every service is healthy, else 503 with what is wrong."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        faults = {name: faults for name in shared.apis if (faults := shared.supervisor.faults(name))}
        try:
            await shared.database.ping()
        except Exception as error:
            faults["database"] = [str(error)]
        return _json({"healthy": not faults, "faults": faults}, 503 if faults else 200)

    return handle


async def lbheartbeat(request: web.BaseRequest) -> web.StreamResponse:
    """Answers as long as requests are taken."""
    return _json({}, 200)


async def version(request: web.BaseRequest) -> web.StreamResponse:
    """Which program this is, as a Dockerflow version object."""
    return _json({"version": tcbox.__version__, "commit": "", "source": "", "build": f"tcbox {tcbox.__version__}"}, 200)


def _json(value: Any, status: int) -> web.StreamResponse:
    from aiohttp import web

    return web.Response(status=status, body=wire.encode(value), headers={"Content-Type": wire.JSON, "Cache-Control": "no-store"})
