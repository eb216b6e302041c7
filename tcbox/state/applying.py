"""Carries out a plan over the API: what others stand on first, and everything that can be done though something is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

from tcbox import errors, log
from tcbox.client import Caller
from tcbox.state import collecting, needs, planning, wire
from tcbox.state.model import CLIENTS, HOOKS, KINDS, ROLES, SECRETS, WORKER_POOLS, State
from tcbox.state.planning import Plan, Step, Wishes, turns
from tcbox.state.tokens import Tokens

_AT_ONCE = 8
_METHODS = {
    ROLES: ("auth", "createRole", "updateRole", "deleteRole"),
    CLIENTS: ("auth", "createClient", "updateClient", "deleteClient"),
    HOOKS: ("hooks", "createHook", "updateHook", "removeHook"),
    WORKER_POOLS: ("worker-manager", "createWorkerPool", "updateWorkerPool", "deleteWorkerPool"),
    SECRETS: ("secrets", "set", "set", "remove"),
}
_VERBS = ("create", "update", "delete")
Refusals = list[tuple[Step, str]]


class Refused(errors.TcboxError):
    """Some of a plan was refused.

    Attributes:
        refusals: each step with the reason.
    """

    def __init__(self, where: str, refusals: Sequence[tuple[Step, str]], outcome: str) -> None:
        self.refusals = tuple(refusals)
        count = "a change" if len(refusals) == 1 else f"{len(refusals)} changes"
        lines = "\n".join(log.plain(f"  {step.action} {step}: {why}") for step, why in refusals)
        super().__init__(f"{where} refuses {count}; {outcome}:\n{lines}")


async def plan(wanted: State, caller: Caller, where: str, wishes: Wishes, now: int) -> Plan:
    """What is to be done to an instance so that it has a state.

    Args:
        where: the instance, in words.
        now: ms since the epoch.

    Raises TcboxError when the caller may not read what is there.
    """
    there = await collecting.collect(caller, where, wanted.kinds, asked=wanted.kinds, prefixes=wanted.prefixes)
    providers = await collecting.providers(caller) if wanted.workerPools else None
    return planning.plan(wanted, there.state, providers, wishes, now)


async def apply(plan: Plan, caller: Caller, where: str, tokens: Tokens, told: Callable[[int], object] = int) -> None:
    """Carry out a plan.

    Args:
        where: the instance, in words.
        tokens: take those of new clients.
        told: hears how many steps are done.

    Raises Refused when the caller lacks scopes, before anything is changed; or when the instance refused some, after all else is
    done. Raises ApiError when it does not answer any more, or does not know the caller.
    """
    if missing := await needs.lacking(plan, caller):
        refusals = [(step, f"it takes the scopes {', '.join(scopes)}") for step, scopes in missing]
        raise Refused(where, refusals, "nothing was changed, since the caller lacks scopes")
    if any(step.kind is CLIENTS and step.action == "create" for step in plan.steps):
        tokens.prepare()
    refusals = await _Work(caller, tokens, told).all(plan.steps)
    if refusals:
        done = len(plan.steps) - len(refusals)
        others = "the other is done" if done == 1 else f"the other {done} are done"
        raise Refused(where, refusals, f"{others}, and will not be done again" if done else "nothing was changed")


class _Work:
    def __init__(self, caller: Caller, tokens: Tokens, told: Callable[[int], object]) -> None:
        self._caller = caller
        self._tokens = tokens
        self._told = told
        self._done = 0
        self._broken: errors.ApiError | None = None

    async def all(self, steps: Iterable[Step]) -> Refusals:
        """Do them, those that were refused for what others were about to change once more; what was refused in the end."""
        refused: Refusals = []
        for group in _groups(list(steps)):
            refused += await self._group(group)
        while refused:
            again: Refusals = []
            for group in _groups([step for step, _ in refused]):
                again += await self._group(group)
            if len(again) == len(refused):
                break
            refused = again
        return refused

    async def _group(self, group: Sequence[Step]) -> Refusals:
        """Steps of one kind; roles one after another, since each change is checked against all roles."""
        gate = asyncio.Semaphore(1 if group[0].kind is ROLES else _AT_ONCE)

        async def one(step: Step) -> str:
            async with gate:
                if self._broken is not None:
                    return ""
                try:
                    await self._step(step)
                except (errors.AuthenticationFailed, errors.Unavailable) as error:
                    self._broken = error
                except errors.ApiError as error:
                    return str(error)
                self._done += 1
                self._told(self._done)
                return ""

        said = await asyncio.gather(*map(one, group))
        if self._broken is not None:
            raise self._broken
        return [(step, why) for step, why in zip(group, said, strict=True) if why]

    async def _step(self, step: Step) -> None:
        service, *methods = _METHODS[step.kind]
        method = methods[_VERBS.index(step.action)]
        args = step.name.split("/", 1) if step.kind is HOOKS else [step.name]
        payload = None if step.action == "delete" else wire.payload(step.thing)
        try:
            reply = await self._caller.call(service, method, *args, payload=payload)
        except errors.RequestConflict:
            if method != "createWorkerPool":
                raise
            reply = await self._caller.call(service, "updateWorkerPool", *args, payload=payload)  # one that was deleted stays until its workers are gone
        if method == "createClient":
            self._tokens.add(step.name, reply["accessToken"])
        if turn := turns(step):
            await self._caller.call("auth", turn, step.name)


def _groups(steps: list[Step]) -> Iterator[list[Step]]:
    """What is made in the order of kinds, then what goes in the reverse one."""
    for gone, kinds in ((False, KINDS), (True, KINDS[::-1])):
        for kind in kinds:
            if group := [step for step in steps if step.kind is kind and (step.action == "delete") is gone]:
                yield group
