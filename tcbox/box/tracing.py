"""A span for each API call, sent to an OpenTelemetry collector; imported only when the environment names one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import tcbox
from tcbox.api import routes, wire
from tcbox.api.dispatch import Dispatcher
from tcbox.box.services import Shared

_propagator = TraceContextTextMapPropagator()
_FLUSH = 5.0  # seconds for the last spans to be sent


class Tracing:
    """Makes spans, and sends them where the environment says (`OTEL_EXPORTER_OTLP_ENDPOINT` and its like).

    Args:
        name: of the process, unless `OTEL_SERVICE_NAME` gives another.
    """

    def __init__(self, name: str, env: Mapping[str, str]) -> None:
        resource = Resource.create({"service.name": env.get("OTEL_SERVICE_NAME") or name, "service.version": tcbox.__version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer = self._provider.get_tracer("tcbox", tcbox.__version__)

    def dispatcher(self, shared: Shared, api: Any, handlers: Mapping[str, Any]) -> Dispatcher:
        """What answers the calls of a service's methods, each in a span."""
        return Traced(self.tracer, api, handlers, shared.schemas, shared, clock=shared.clock, meter=shared.meter)

    def headers(self) -> dict[str, str]:
        """What a call of another service says of the span that it belongs to."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        return carrier

    async def close(self) -> None:
        """Send what is left, if that is soon done."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH):
                await asyncio.to_thread(self._provider.shutdown)


class Traced(Dispatcher):
    """A dispatcher with a span around each answer, below the caller's own if it says one."""

    def __init__(self, tracer: Tracer, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._tracer = tracer

    async def answer(self, request: wire.Request, match: routes.Match, query: str) -> wire.Answer:
        """Answer one request."""
        if asyncio.current_task() is None:
            await asyncio.sleep(0)  # goes on in a task, to which the span belongs
        method = match.method
        attributes = {
            "rpc.system": "taskcluster", "rpc.service": method.service, "rpc.method": method.name,
            "http.request.method": request.method, "http.route": method.route, "tcbox.request_id": request.request_id,
        }  # fmt: skip
        above = _propagator.extract(request.headers)
        with self._tracer.start_as_current_span(f"{method.service}.{method.name}", above, SpanKind.SERVER, attributes) as span:
            answer = await super().answer(request, match, query)
            span.set_attribute("http.response.status_code", answer.status)
            if answer.status >= 500:
                span.set_status(StatusCode.ERROR)
        return answer
