"""Reads and renders `.taskcluster.yml` in processes apart, by `sandboxed`."""

from __future__ import annotations

from typing import Any

from tcbox import sandbox

SECONDS = 20.0
"""For one answer."""
WAITING = 1000
_PROGRAM = "tcbox.services.github.sandboxed"


class RenderError(sandbox.Fault):
    """A file cannot be read or rendered; the message is for its author."""


class Renderer:
    """Renders files. All of it raises RenderError, or Unavailable when there is too much of it.

    Args:
        waiting: how many questions may wait for their turn; a further one is refused.
        seconds: for one answer.
    """

    def __init__(self, *, waiting: int = WAITING, seconds: float = SECONDS) -> None:
        self._pool = sandbox.Pool(_PROGRAM, sandbox.Limits(seconds=seconds, waiting=waiting))
        self.close = self._pool.close

    async def load(self, text: str) -> Any:
        """The value of a YAML text."""
        return await self._ask("load", text=text)

    async def parameters(self, config: Any, params: dict[str, Any], now: str) -> Any:
        """A file of version 0 with its parameters in place."""
        return await self._ask("parameters", config=config, params=params, now=now)

    async def template(self, config: Any, context: dict[str, Any], *, seed: str, now: str) -> Any:
        """A file of version 1, rendered."""
        return await self._ask("template", config=config, context=context, seed=seed, now=now)

    async def _ask(self, do: str, **question: Any) -> Any:
        limits = self._pool.limits
        try:
            return await self._pool.ask(do, **question)
        except sandbox.Late:
            raise RenderError(f"Rendering takes longer than {limits.seconds:g} seconds: make the file simpler.") from None
        except sandbox.Oversized:
            raise RenderError(f"The file, or what it renders to, is larger than {limits.answer // 1024 // 1024} MiB: make it smaller.") from None
        except sandbox.Exhausted:
            raise RenderError("Rendering takes more memory or time than there is for it: make the file simpler.") from None
        except sandbox.Fault as fault:
            raise RenderError(str(fault)) from None
