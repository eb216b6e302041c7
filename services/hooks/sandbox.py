"""Where what hooks' authors wrote is carried out: in processes apart, by `sandboxed`."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from tcbox.sandbox import Limits, Pool

PATIENCE = 10.0
"""Seconds that one question may take."""

IDLE = 60.0
"""Seconds after which a process that nobody needs is ended."""

_PROGRAM = "tcbox.services.hooks.sandboxed"


class Sandbox:
    """Renders templates and checks payloads. All of it raises Fault, or Unavailable when there is too much of it.

    Args:
        patience: seconds that one question may take.
        idle: seconds that a process stays after its last use.
    """

    def __init__(self, *, patience: float = PATIENCE, idle: float = IDLE) -> None:
        self._pool = Pool(_PROGRAM, Limits(seconds=patience, idle=idle))
        self.close = self._pool.close

    async def check(self, schema: str) -> None:
        """Check that JSON text is a schema. Raises Fault with all that is wrong with it."""
        await self._pool.ask("check", of=schema, schema=Raw(schema.encode()))

    async def accept(self, schema: str, payload: Any) -> Any:
        """A payload with the schema's defaults. Raises Fault when it does not satisfy the schema."""
        return await self._pool.ask("accept", of=schema, schema=Raw(schema.encode()), payload=payload)

    async def render(self, template: str, context: bytes) -> dict[str, Any] | None:
        """What a template makes with a context, both JSON text: a task, or None for none. Raises Fault."""
        made: dict[str, Any] | None = await self._pool.ask("render", of=template, template=Raw(template.encode()), context=Raw(context))
        return made
