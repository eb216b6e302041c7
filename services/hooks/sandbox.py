"""Where what hooks' authors wrote is carried out: in a process of its own, which is ended when it takes too long.

The process starts when it is first needed, which takes a tenth of a second, stays for a minute after its last use, and
is started anew when it ended. At most two work at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

import msgspec

from tcbox import errors, log

FLAG = "--hooks-sandbox"
"""A bundled program whose first argument is this runs `sandboxed.main`, and nothing else."""

PATIENCE = 10.0
"""Seconds that one question may take."""

IDLE = 60.0
"""Seconds after which a process that nobody needs is ended."""

AT_ONCE = 2

_log = log.get("hooks")
_encode = msgspec.json.Encoder().encode


class Fault(errors.TcboxError):
    """What was to be carried out is at fault; the message says how."""


class Sandbox:
    """Renders templates and checks payloads.

    Args:
        patience: seconds that one question may take.
        idle: seconds that a process stays after its last use.
    """

    def __init__(self, *, patience: float = PATIENCE, idle: float = IDLE) -> None:
        self._patience = patience
        self._idle_for = idle
        self._free: list[asyncio.subprocess.Process] = []
        self._places = asyncio.Semaphore(AT_ONCE)
        self._timer: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def check(self, schema: str) -> None:
        """Check that JSON text is a schema. Raises Fault with all that is wrong with it."""
        await self._ask(b'{"do":"check","schema":%b}' % schema.encode())

    async def accept(self, schema: str, payload: Any) -> Any:
        """A payload with the schema's defaults. Raises Fault when it does not satisfy the schema."""
        return (await self._ask(b'{"do":"accept","schema":%b,"payload":%b}' % (schema.encode(), _encode(payload))))["payload"]

    async def render(self, template: str, context: bytes) -> dict[str, Any] | None:
        """What a template makes with a context, both JSON text: a task, or None for none. Raises Fault."""
        made: dict[str, Any] | None = (await self._ask(b'{"do":"render","template":%b,"context":%b}' % (template.encode(), context)))["task"]
        return made

    async def close(self) -> None:
        """End the processes; may be called twice, and the next question starts one anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        free, self._free = self._free, []
        await asyncio.gather(*(_end(process) for process in free), *self._ending)

    async def _ask(self, question: bytes) -> dict[str, Any]:
        async with self._places:
            process = await self._take()
            try:
                async with asyncio.timeout(self._patience):
                    answer = await _exchange(process, question)
            except TimeoutError:
                await _end(process)
                raise Fault(f"it took more than {self._patience:g} seconds, and was given up: make it do less") from None
            except (asyncio.IncompleteReadError, OSError):
                code = await process.wait()
                _log.warning("the process that renders templates ended", extra={"code": code})
                raise Fault("it took more memory than there is for it, or made the process that carries it out fail: make it do less") from None
            except BaseException:
                await _end(process)
                raise
            self._free.append(process)
            self._wait()
        if "fault" in answer:
            raise Fault(answer["fault"])
        return answer

    async def _take(self) -> asyncio.subprocess.Process:
        while self._free:
            process = self._free.pop()
            if process.returncode is None:
                return process
        return await asyncio.create_subprocess_exec(*command(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._idle_for, self._expire)

    def _expire(self) -> None:
        free, self._free = self._free, []
        for process in free:
            task = asyncio.ensure_future(_end(process))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


def command() -> list[str]:
    """How the process is started."""
    if getattr(sys, "frozen", False):
        return [sys.executable, FLAG]
    return [sys.executable, "-P", "-m", "tcbox.services.hooks.sandboxed"]


async def _exchange(process: asyncio.subprocess.Process, question: bytes) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(len(question).to_bytes(4) + question)
    await process.stdin.drain()
    head = await process.stdout.readexactly(4)
    answer: dict[str, Any] = msgspec.json.decode(await process.stdout.readexactly(int.from_bytes(head)))
    return answer


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    assert process.stdin is not None
    process.stdin.close()
    with contextlib.suppress(OSError):
        await process.stdin.wait_closed()
