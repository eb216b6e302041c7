"""Firing hooks: what was decided is carried out once, whatever ends in between.

A firing is written down before its task is created, and struck off when it is known what came of it. Whoever works on
one has it for half a minute; when the process ends, the next one takes it up after that, with the same task id, the
same template and the same context, so that the queue sees one task.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from tcbox import clock as clocks
from tcbox import db, errors, log
from tcbox.client import LimitableCaller
from tcbox.sandbox import Fault
from tcbox.services.hooks import model
from tcbox.services.hooks.mail import Mail
from tcbox.services.hooks.model import Firing, Hook
from tcbox.services.hooks.sandbox import Sandbox
from tcbox.services.hooks.store import sql

LEASE = 30 * clocks.SECOND
"""For how long whoever works on a firing has it."""

STALE = 10 * clocks.MINUTE
"""How old the time in a task may be, since the queue refuses tasks created longer ago than a quarter of an hour."""

GIVE_UP = 1 * clocks.DAY
"""How long a task is tried to be created while the queue does not answer."""

_FIRST_PAUSE, _LONGEST_PAUSE = 2 * clocks.SECOND, 5 * clocks.MINUTE
_DOUBLED = 12
_log = log.get("hooks")
_encode = msgspec.json.Encoder().encode


class Outcome(NamedTuple):
    """What came of a firing.

    Attributes:
        created: whether there is a task now. It is neither created nor an error when the template made none.
        error: why there is none; None without an error.
        again: whether trying again may help.
    """

    created: bool = False
    error: errors.TcboxError | None = None
    again: bool = False

    @property
    def word(self) -> str:
        """What the log says of it."""
        return "failure" if self.error is not None else "success" if self.created else "declined"


class Firings:
    """Fires hooks.

    Args:
        caller: calls the queue; a hook's task is created with the scopes of the hook's role alone.
    """

    def __init__(self, *, database: db.Database, clock: clocks.Clock, caller: LimitableCaller, sandbox: Sandbox, mail: Mail) -> None:
        self._db = database
        self._clock = clock
        self._caller = caller
        self._sandbox = sandbox
        self._mail = mail

    async def at_once(self, hook: Hook, fired_by: str, context: dict[str, Any], task_id: str) -> Outcome:
        """Fire a hook for someone who waits for what comes of it.

        Raises RequestConflict when a firing with this task id is under way.
        """
        now = self._clock.now()
        firing = decided(hook, fired_by, context, task_id, now, due=now + LEASE, attempts=1)

        async def begin(tx: db.Tx) -> int:
            return await add(tx, firing)

        if not await self._db.transaction(begin):
            raise errors.RequestConflict("The hook is being fired with the taskId {taskId} already: wait for that, or use another.", taskId=task_id)
        outcome = await self._attempt(firing)
        await self._finish(firing, outcome)
        return outcome

    async def resume(self, firing: Firing) -> None:
        """Take up a firing whose time has come, unless someone else does."""
        now = self._clock.now()
        stamp = now if now - firing.stamp > STALE else firing.stamp

        async def claim(tx: db.Tx) -> int:
            return await tx.execute(sql.claim_firing, **firing.key, was=firing.due, until=now + LEASE, stamp=stamp)

        if not await self._db.transaction(claim):
            return
        taken = firing._replace(stamp=stamp, due=now + LEASE, attempts=firing.attempts + 1)
        outcome = await self._attempt(taken)
        if outcome.again and now - firing.fired < GIVE_UP:
            await self._defer(taken, outcome)
            return
        if await self._finish(taken, outcome) and outcome.error is not None:
            await self._mail.send(taken.name, outcome.error, taken.fired_by)

    async def _attempt(self, firing: Firing) -> Outcome:
        context = msgspec.json.decode(firing.context)
        context.setdefault("now", clocks.to_wire(firing.stamp))
        context.setdefault("taskId", firing.task_id)
        try:
            task = await self._sandbox.render(firing.task, _encode(context))
        except Fault as error:
            return Outcome(error=error)
        except errors.Unavailable as error:
            return Outcome(error=error, again=True)
        if task is None:
            return Outcome()
        caller = self._caller.limited([f"assume:{firing.name.role}"])
        try:
            await caller.call("queue", "createTask", firing.task_id, payload=model.completed(task, firing.task_id, firing.stamp))
        except errors.ApiError as error:
            if isinstance(error, errors.RequestConflict) and firing.attempts > 1 and await self._exists(firing.task_id):
                return Outcome(created=True)  # by an attempt that did not live to tell
            return Outcome(error=error, again=error.status >= 500)
        return Outcome(created=True)

    async def _exists(self, task_id: str) -> bool:
        """Whether the queue has a task of this id, which nobody but the hook knew before it was created."""
        try:
            await self._caller.call("queue", "status", task_id)
        except errors.ApiError:
            return False
        return True

    async def _finish(self, firing: Firing, outcome: Outcome) -> bool:
        """Record what came of a firing, and strike it off; whether it was still there to be struck off."""

        async def finish(tx: db.Tx) -> bool:
            if not await tx.execute(sql.remove_firing, **firing.key):
                return False  # someone else was faster, or the hook is gone
            await _record(tx, firing, outcome)
            return True

        finished = await self._db.transaction(finish)
        if finished:
            _tell(firing, outcome)
        return finished

    async def _defer(self, firing: Firing, outcome: Outcome) -> None:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE << min(firing.attempts - 1, _DOUBLED))

        async def defer(tx: db.Tx) -> None:
            if await tx.execute(sql.defer_firing, **firing.key, due=tx.now + pause):
                await _record(tx, firing, outcome)

        await self._db.transaction(defer)
        _tell(firing, outcome)


def decided(hook: Hook, fired_by: str, context: dict[str, Any], task_id: str, now: int, *, due: int, attempts: int = 0) -> Firing:
    """The decision that a hook fires."""
    told = _encode({"firedBy": fired_by, **context}).decode()
    return Firing(hook.name, task_id, fired_by, now, now, due, attempts, told, hook.definition.task)


async def add(tx: db.Tx, firing: Firing) -> int:
    """Write down that a hook is to fire; 1, or 0 when that stands there already."""
    return await tx.execute(
        sql.add_firing, **firing.key, fired_by=firing.fired_by, fired=firing.fired, due=firing.due,
        attempts=firing.attempts, context=firing.context, task=firing.task,
    )  # fmt: skip


async def _record(tx: db.Tx, firing: Firing, outcome: Outcome) -> None:
    if outcome.created or outcome.error is not None:
        result = model.SUCCESS if outcome.created else model.ERROR
        error = "" if outcome.error is None else kept(outcome.error)
        await tx.execute(sql.record_fire, **firing.key, fired_by=firing.fired_by, fired=firing.fired, result=result, error=error)


def kept(error: errors.TcboxError) -> str:
    """An error as it is kept: that of a call as JSON, any other as its words."""
    words = str(error).replace("\0", "\ufffd")
    if not isinstance(error, errors.ApiError):
        return words[: model.MOST_ERROR]
    said = words[: model.MOST_ERROR // 5]  # twice, and letters that JSON writes as two
    body = {"code": error.code, "message": said}  # what the queue answered, where programs look for it
    told = {"name": type(error).__name__, "message": said, "code": error.code, "statusCode": error.status, "body": body}
    return msgspec.json.format(_encode(told), indent=2).decode()[: model.MOST_ERROR]


def _tell(firing: Firing, outcome: Outcome) -> None:
    fields = {**firing.name.words, "firedBy": firing.fired_by, "taskId": firing.task_id, "result": outcome.word}
    _log.info("a hook fired" if outcome.error is None else "a hook could not fire", extra=fields)
