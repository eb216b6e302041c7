"""Processes apart that answer questions: started when first needed, ended when nobody needs them, replaced when they end.

A pool is one service's, so that what strangers to one of them wrote never runs where another's is seen.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from tcbox import errors, log
from tcbox.sandbox import child, process
from tcbox.sandbox.faults import Exhausted, Fault, Late, Oversized
from tcbox.sandbox.process import BrokenOffError, Process

MIB = 1024 * 1024
_START = 60.0
"""Seconds that a process may take until it is ready; more than it ever takes, as machines are slow at times."""
_OVER_TIME = {-getattr(signal, name) for name in ("SIGXCPU", "SIGALRM") if hasattr(signal, name)}
_MOST_SLOW = 1000
_log = log.get("sandbox")


@dataclass(frozen=True, slots=True)
class Limits:
    """What there is for strangers.

    Attributes:
        seconds: for one question, the start of a process apart.
        memory: bytes of a process.
        question, answer: bytes.
        at_once: processes, and thus questions that are worked on at the same time.
        waiting: questions that wait for their turn; a further one is refused.
        patience: seconds for which one waits for its turn.
        idle: seconds after its last use at which a process is ended.
        uses: questions after which a process is ended, lest it grow.
        penalty: seconds for which nothing is carried out again that took too long, lest it keep all others waiting.
    """

    seconds: float = 10.0
    memory: int = 1024 * MIB
    question: int = 32 * MIB
    answer: int = 16 * MIB
    at_once: int = 2
    waiting: int = 1000
    patience: float = 60.0
    idle: float = 60.0
    uses: int = 1000
    penalty: float = 60.0


class Pool:
    """Has questions answered.

    Args:
        program: the module that has the table of what is done; see `child`.
    """

    def __init__(self, program: str, limits: Limits | None = None) -> None:
        self._program = program
        self.limits = limits = limits or Limits()
        self._bounds = child.Bounds(limits.memory, math.ceil(limits.seconds), limits.answer)
        self._free: list[Process] = []
        self._busy: set[Process] = set()
        self._places = asyncio.Semaphore(limits.at_once)
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[int]] = set()
        self._slow: dict[bytes, float] = {}

    async def ask(self, do: str, /, of: str = "", **question: Any) -> Any:
        """What comes of a question.

        Args:
            do: what is to be done, by the program's table.
            of: what of the question its author wrote. When that takes too long, it is refused at once for a while.
            question: the arguments; a msgspec.Raw is taken for JSON as it stands.

        Raises Fault when it, or what it asks to be carried out, is at fault; Unavailable when there is no turn to be had.
        """
        text = msgspec.json.encode({"do": do, **question})
        if len(text) > self.limits.question:
            raise Oversized(f"it is larger than {_size(self.limits.question)}: make it smaller")
        author = hashlib.sha256(of.encode("utf-8", "surrogatepass")).digest() if of else b""
        async with self._turn():
            self._refuse_slow(author)
            try:
                answer = await self._answer(text)
            except Late:
                self._note_slow(author)
                raise
        if "value" in answer:
            return answer["value"]
        if answer["fault"] is None:
            raise Oversized(f"what comes of it is larger than {_size(self.limits.answer)}: make it smaller")
        raise Fault(answer["fault"])

    async def close(self) -> None:
        """End the processes; may be called twice, and the next question starts one anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        free, self._free = self._free, []
        await asyncio.gather(*(each.end() for each in (*free, *self._busy)), *self._ending)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= self.limits.waiting:
            raise errors.Unavailable("Too much is being rendered just now: try again.")
        self._waiting += 1
        try:
            async with asyncio.timeout(self.limits.patience):
                await self._places.acquire()
        except TimeoutError:
            raise errors.Unavailable("Too much is being rendered just now, and this was not its turn in time: try again.") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    async def _answer(self, question: bytes) -> dict[str, Any]:
        taken = await self._take()
        self._busy.add(taken)
        try:
            async with asyncio.timeout(self.limits.seconds):
                answer: dict[str, Any] = msgspec.json.decode(await taken.ask(question, self.limits.answer))
        except TimeoutError:
            await taken.end()
            raise self._late() from None
        except (BrokenOffError, msgspec.DecodeError, RecursionError):
            raise self._fault(await taken.ended()) from None
        except BaseException:
            await taken.end()
            raise
        finally:
            self._busy.discard(taken)
        if taken.uses < self.limits.uses:
            self._free.append(taken)
            self._rest()
        else:
            self._end(taken)
        return answer

    def _refuse_slow(self, author: bytes) -> None:
        until = self._slow.get(author, 0.0)
        if until > asyncio.get_running_loop().time():
            raise Late(f"it took more than {self.limits.seconds:g} seconds just before, and is not tried again within {self.limits.penalty:g}: make it do less")
        self._slow.pop(author, None)

    def _note_slow(self, author: bytes) -> None:
        if author:
            self._slow.pop(author, None)
            self._slow[author] = asyncio.get_running_loop().time() + self.limits.penalty
            if len(self._slow) > _MOST_SLOW:
                del self._slow[next(iter(self._slow))]

    def _fault(self, code: int) -> Fault:
        if code in _OVER_TIME:
            return self._late()
        _log.warning("a process that carries out what others wrote ended", extra={"program": self._program, "code": code})
        return Exhausted("it took more memory than there is for it, or made the process that carries it out fail: make it do less")

    def _late(self) -> Late:
        return Late(f"it took more than {self.limits.seconds:g} seconds, and was given up: make it do less")

    async def _take(self) -> Process:
        while self._free:
            taken = self._free.pop()
            if taken.code is None:
                return taken
            self._end(taken)
        try:
            async with asyncio.timeout(_START):
                return await process.start(self._program, self._bounds)
        except (BrokenOffError, OSError, TimeoutError) as error:
            _log.error("no process for what others wrote can be started", extra={"program": self._program, "reason": str(error) or type(error).__name__})
            raise errors.Unavailable("What renders templates cannot be started just now: try again.") from None

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self.limits.idle, self._expire)

    def _expire(self) -> None:
        free, self._free = self._free, []
        for each in free:
            self._end(each)

    def _end(self, ended: Process) -> None:
        task = asyncio.ensure_future(ended.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count} bytes"
