"""One run after the other of the same project: says what it is, sees to its scopes, and runs it."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tcbox import errors
from tcbox.client.http import Http
from tcbox.run import explaining, graph, plan, scopes
from tcbox.run.faults import CannotRun
from tcbox.run.hands import Hands
from tcbox.run.instance import Target
from tcbox.run.kinds import Unserved
from tcbox.run.once import Once
from tcbox.run.plan import Plan
from tcbox.run.preparing import Prepared
from tcbox.run.screen import Screen
from tcbox.run.wishes import Wishes
from tcbox.scopes import ScopeSet

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True, slots=True)
class Tools:
    """What all turns share.

    Attributes:
        nudged: is set when something has happened that the queue should be asked about.
        no_docker: why there can be no containers, empty when there can.
    """

    wishes: Wishes
    screen: Screen
    target: Target
    hands: Hands
    nudged: asyncio.Event
    no_docker: str


class Turn:
    """Runs plans."""

    def __init__(self, tools: Tools, http: Http, session: aiohttp.ClientSession) -> None:
        self.http = http
        self._tools, self._session = tools, session
        self._roles: dict[str, set[str]] = {}

    async def take(self, prepared: Prepared) -> int:
        """Run a plan, or say what it is; gives the exit code.

        Raises CannotRun, WrongUsage.
        """
        tools, wishes, screen = self._tools, self._tools.wishes, self._tools.screen
        made = prepared.plan.only(wishes.only) if wishes.only else prepared.plan
        self._introduce(prepared)
        if wishes.list:
            explaining.listed(made, self._unserved, screen)
            return 0
        held = ScopeSet(await self._expanded(made))
        if wishes.dry_run:
            missing = explaining.explained(made, held, self._unserved, screen, ours=tools.target.ours)
            return 1 if missing and not tools.target.ours else 0
        if not made.entries:
            screen.say("there are no tasks for this event")
            return 0
        if made.scopes is not None:
            await self._allow(made, held)
        for hook in made.hooks:
            screen.say(screen.dim(explaining.HOOK.format(hook)))
        tools.hands.lead = prepared.lead
        tools.hands.lacking.clear()
        return await self._run(made)

    async def _run(self, made: Plan) -> int:
        tools, wishes = self._tools, self._tools.wishes
        once = Once(
            self.http, self._session, tools.screen, tools.hands, made=made, nudged=tools.nudged, unserved=self._unserved, served=self._served,
            only=wishes.only, tidy=not tools.target.ours or tools.target.kept or wishes.watch,
        )  # fmt: skip
        green = await once.run()
        if once.graph.unknown:
            raise plan.unknown(once.graph.unknown, [node.label for node in once.graph.nodes.values()])
        return 0 if green or (wishes.allow_skipped and once.skipped_alone) else 1

    # -- scopes

    async def _expanded(self, made: Plan) -> list[str]:
        if made.scopes is None:
            return ["*"]
        reply = await self.http.call("auth", "expandScopes", payload={"scopes": list(made.scopes)})
        found: list[str] = reply["scopes"]
        return found

    async def _allow(self, made: Plan, held: ScopeSet) -> None:
        if self._tools.target.ours:
            for name, granted in scopes.grants(made).items():
                await self._grant(name, granted)
            return
        missing = scopes.lacking(made.entries, held)
        if missing:
            raise CannotRun(explaining.refusal(made, missing, self._tools.target, await self._role(made.role) if made.role else None))

    async def _role(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self.http.call("auth", "role", name)
        except errors.ResourceNotFound:
            return None
        return found

    async def _grant(self, name: str, granted: tuple[str, ...]) -> None:
        """Make a role, or add to one that was made before, and say it; one that is there already is left as it is."""
        before = self._roles.get(name)
        if before is not None and before.issuperset(granted):
            return
        union = sorted({*granted, *(before or ())})
        payload = {"description": "Made by `tcbox run` with what the tasks of this repository need.", "scopes": union}
        try:
            await self.http.call("auth", "createRole" if before is None else "updateRole", name, payload=payload)
        except errors.RequestConflict:
            return
        self._roles[name] = set(union)
        screen = self._tools.screen
        for line in (f"made the role {name} with {len(union)} scopes:", *(f"  {scope}" for scope in union)):
            screen.say(screen.dim(line))

    # -- what there is

    def _introduce(self, prepared: Prepared) -> None:
        screen, target = self._tools.screen, self._tools.target
        screen.say(f"{screen.bold('run')}       {prepared.about}")
        what = f"a throwaway one at {target.root_url}" if target.ours else f"the one at {target.root_url}, whose state is in {target.data}"
        screen.say(f"{screen.bold('instance')}  {what}" + (", kept afterwards" if target.kept else ""))

    def _served(self, queue: str) -> bool:
        return any(fnmatch.fnmatchcase(queue, pattern) for pattern in self._tools.target.served)

    def _unserved(self, task: Mapping[str, Any]) -> Unserved | None:
        return graph.unserved(task, served=self._served, docker=self._tools.no_docker)
