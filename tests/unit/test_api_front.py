"""What is mounted beside the APIs: which paths it answers, and for whom."""

from __future__ import annotations

import pytest
from aiohttp import web

from tcbox.box import metrics, mounting
from tcbox.runtime import Registry
from tests.support import demo


def saying(name):
    async def handler(request):
        return web.Response(text=name)

    return handler


async def get(d, path, *headers):
    lines = "".join(f"{line}\r\n" for line in headers)
    ((status, _, body),) = await d.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
    return body.decode() if status == 200 else status


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/events", "events"),
        ("/events?after=1", "events"),
        ("/events/x", "events"),
        ("/eventsx", "page"),
        ("/login/", "login"),
        ("/login/x?y=/", "login"),
        ("/login", "page"),
        ("/login/deep/x", "deep"),
        ("/login/deeper", "login"),
        ("/", "page"),
        ("/tasks/x", "page"),
        ("/metrics", "metrics"),
        ("/metrics?x=1", "metrics"),
        ("/metricsfoo", "page"),
        ("/api/none/v1/ping", 404),
    ],
)
async def test_a_mount_answers_its_path_and_what_is_below(path, wanted):
    """A mount answers its own path and those below it, whatever the query, not those that only begin alike; the longest wins."""
    async with demo.running() as d:
        for prefix, name in (("/", "page"), ("/events", "events"), ("/login/", "login"), ("/login/deep", "deep"), ("/metrics", "metrics")):
            d.front.mount(prefix, saying(name))
        assert await get(d, path) == wanted


@pytest.mark.parametrize("header", ["X-Forwarded-For: 1.2.3.4", "x-forwarded-host: x", "X-Real-IP: 1.2.3.4", "Forwarded: for=1.2.3.4", "Via: 1.1 google"])
async def test_metrics_are_hidden_behind_a_proxy(header, monkeypatch):
    """Metrics are there for who asks the process itself, also by a mesh's sidecar, and not for who comes through a proxy; all else is."""
    monkeypatch.setattr(metrics, "handler", lambda _: saying("metrics"))
    async with demo.running() as d:
        d.front.mount("/", saying("page"))
        mounting.monitoring(d.front, Registry(), heartbeat=saying(""), lbheartbeat=saying(""))
        assert await get(d, "/metrics", "X-Forwarded-Proto: http") == "metrics"
        assert [await get(d, path, header) for path in ("/metrics", "/metrics/", "/metrics?x", "/tasks")] == [404, 404, 404, "page"]
