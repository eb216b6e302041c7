"""What a new instance begins with that was set up elsewhere: a saved state, or that of another instance, put in at the first start.

The seed is read before anything is opened, so that one that cannot be read leaves nothing behind. What was put in, and by which
seed, is kept in `seed.json` of the data folder: a later start puts in nothing, and has the same providers of machines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast, get_args, get_type_hints

import msgspec

from tcbox import errors, log
from tcbox.box import seed
from tcbox.box.services import FOREVER, Shared
from tcbox.client.local import Local
from tcbox.config.instance import Instance, write_private
from tcbox.config.services.worker_manager import Provider
from tcbox.config.values import masked
from tcbox.credentials import LazyScopes, Success
from tcbox.scopes import ScopeSet
from tcbox.state.tokens import FILE as TOKENS
from tcbox.state.tokens import Tokens

if TYPE_CHECKING:
    from tcbox.config import Settings
    from tcbox.services.auth.roles import Roles
    from tcbox.state.model import State
    from tcbox.state.planning import Plan

FILE = "seed.json"
MARK = "state seeded"
"""What the database notes, so that an instance is not seeded anew by a data folder that was lost."""
_SERVICES = {"hooks": "hooks", "workerPools": "worker-manager", "secrets": "secrets"}
"""The services without which a kind cannot be put in."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of the seed of an instance.

    Attributes:
        source: the file or the root URL.
        finished: whether all of it was put in.
        providers: the types of providers that the worker pools in it name.
        said: what became of it, in words.
        notes: what was left out, in words.
        numbers: how many things were created, and so on.
    """

    source: str
    finished: bool = False
    providers: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)


class Seed:
    """The seed of an instance, over one start of it.

    Attributes:
        record: None for an instance that has none.
        state: what is to be put in by this start; None when nothing is.
    """

    def __init__(self, folder: Instance, record: Record | None, state: State | None = None, *, other: str = "", again: bool = False) -> None:
        self.record = record
        self.state = state
        self._path = folder.data / FILE
        self._folder = folder
        self._other = other
        self._again = again

    def settings(self, settings: Settings) -> Settings:
        """The settings with the providers that the seed's worker pools name; they launch no machines."""
        if self.record is None:
            return settings
        known = get_args(get_type_hints(Provider)["type"])
        missing = {name: kind for name, kind in self.record.providers.items() if kind in known and kind != "null" and name not in settings.providers}
        made = {name: Provider(type=cast("Any", kind)) for name, kind in missing.items() if name != "static"}
        return dataclasses.replace(settings, providers={**settings.providers, **made}) if made else settings

    async def begin(self, roles: Roles) -> None:
        """Note that it is about to be put in, before the instance has anything.

        Raises TcboxError when the database is that of an instance that was begun without it.
        """
        if self.state is None or self.record is None:
            return
        if not self._again and await roles.marked(seed.DONE) and not await roles.marked(MARK):
            raise _late(self._folder, self.record.source)
        self._keep(self.record)

    async def plant(self, shared: Shared) -> None:
        """Put it in, unless the database has it.

        Raises TcboxError with all that was refused, and how to go on.
        """
        if self.state is None or self.record is None:
            return
        roles = shared.running["auth"].roles
        if await roles.marked(MARK):  # the data folder is a new one, the database is not
            self._keep(dataclasses.replace(self.record, finished=True, said="put in before, as the database says"))
            return
        try:
            plan, left = await put(shared, self.state, Tokens(self._folder.data / TOKENS))
        except errors.TcboxError as error:
            raise errors.TcboxError(f"the seed {masked(self.record.source)} cannot be put in: {error}\n{self._how_to_go_on(shared)}") from error
        self._finish(plan, left)
        await roles.mark(MARK)

    def _finish(self, plan: Plan, left: tuple[str, ...]) -> None:
        from tcbox.state import text

        assert self.record is not None
        notes = [*self.record.notes, *left, *left_out(plan)]
        self._keep(dataclasses.replace(self.record, finished=True, said=text.counted(plan, done=True), notes=tuple(notes), numbers=text.as_numbers(plan)))

    def _keep(self, record: Record) -> None:
        self.record = record
        write_private(self._path, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")

    def _how_to_go_on(self, shared: Shared) -> str:
        if shared.ephemeral:
            return "Mend that, or take it out of the seed."
        return f"Mend that, or take it out of the seed, and start again in the same way, which makes what is missing; or remove {self._folder.data}."

    def describe(self) -> dict[str, Any] | None:
        """What is told of it; None when there is none."""
        if self.record is None:
            return None
        tokens = self._folder.data / TOKENS
        return {
            "source": masked(self.record.source),
            "now": self.state is not None,
            "finished": self.record.finished,
            "said": self.record.said,
            "numbers": dict(self.record.numbers),
            "notes": list(self.record.notes),
            "tokens": str(tokens) if tokens.exists() else "",
            "unused": masked(self._other),
        }


async def prepare(settings: Settings, folder: Instance, *, begun: bool) -> Seed:
    """The seed of an instance that is about to start, read if it is to be put in.

    Args:
        begun: whether the instance was started before.

    Raises TcboxError when it cannot be read, or comes too late.
    """
    record = _record(folder)
    given = str(settings.seed)
    if record is not None and record.finished:
        return Seed(folder, record, other=given if given != record.source else "")
    if not given:
        return Seed(folder, record)
    if begun and record is None:
        raise _late(folder, given)
    from tcbox.state import sources

    found = await sources.read(given, sources.from_environment(given, os.environ))
    return Seed(folder, Record(given, providers=found.state.providers, notes=found.left_out), found.state, again=record is not None)


async def put(shared: Shared, state: State, tokens: Tokens) -> tuple[Plan, tuple[str, ...]]:
    """Put a state into a running instance as its owner, schedules and minimum capacities off; what was done, and in words what was left out.

    Raises TcboxError with all that was refused.
    """
    from tcbox.state import applying
    from tcbox.state.planning import Wishes

    kinds = [kind for kind in state.kinds if _SERVICES.get(kind.key, "auth") in shared.running]
    left = tuple(f"{kind.name}: the service is switched off here" for kind in state.kinds if kind not in kinds)
    part = state.part(kinds)
    caller = owner(shared)
    plan = await applying.plan(part, caller, "the instance", Wishes(), shared.clock.now())
    await applying.apply(plan, caller, "the instance", tokens)
    return plan, left


def left_out(plan: Plan) -> list[str]:
    """What a plan left out, in words."""
    from tcbox.state import text

    return [*(log.plain(f"{each.kind.word} {each.name}: {each.why}") for each in plan.left_out), *([text.how_to_have(plan)] if plan.missing_providers else [])]


def owner(shared: Shared) -> Local:
    """Calls the services of this process as the instance's owner."""

    def identity() -> Success:
        return Success("hawk", shared.root_client.client_id, FOREVER, LazyScopes(ScopeSet(shared.root_client.scopes), shared.directory.expand))

    return Local(shared.front.services.get, identity)


def _late(folder: Instance, given: str) -> errors.TcboxError:
    where = shlex.quote(str(folder.data))
    return errors.TcboxError(
        f"the instance on {folder.data} was begun without a seed, and is not seeded afterwards: start it without --seed or the key seed, and "
        f"put in what you want by 'tcbox state import {shlex.quote(masked(given))} --data {where}'; or take another folder with --data, and another database"
    )


def _record(folder: Instance) -> Record | None:
    with contextlib.suppress(FileNotFoundError):
        try:
            return msgspec.json.decode((folder.data / FILE).read_bytes(), type=Record)
        except msgspec.DecodeError as error:
            raise errors.TcboxError(f"{folder.data / FILE} cannot be read ({error}): restore it from a backup, or remove it to go on without a seed") from error
    return None
