"""All clients and roles in memory, so that a request's signature is checked without a query.

The picture is loaded at start, changed after each commit of this process, and kept up with other processes by
`refresh`. Tokens are unsealed when a client is first seen. Each change has a number: of two versions of a client
the one with the larger number stays, in whatever order they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tcbox import clock as clocks
from tcbox import credentials, db, errors, log
from tcbox import scopes as scope_sets
from tcbox.credentials.sealed import Sealer, SealError
from tcbox.services.auth import model, static, store
from tcbox.services.auth.model import Client
from tcbox.services.auth.static import StaticClient
from tcbox.services.auth.store import sql
from tcbox.services.auth.usage import Usage

if TYPE_CHECKING:
    from tcbox.credentials import ClientRecord, Failure, SignedRequest, Success

CHANGED = "auth.changed"
"""The topic of signals between processes: that there are changes to look up."""
CHANGES_KEPT = 1 * clocks.HOUR
"""A process that has not looked for longer loads everything anew."""

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """What of a client is needed to check signatures; `scopes` is still JSON, `version` the change that made it so."""

    token: bytes
    expires: int
    disabled: bool
    scopes: str
    version: int


class Directory:
    """Knows all clients and roles, and tells who signed a request.

    Args:
        sealer: opens the access tokens, which stand sealed in the database.
        static_clients: the clients of the configuration and of tcbox's services.
        usage: where uses of clients are noted.

    Attributes:
        roles: all roles, compiled.
        roles_version: the number of the change that made the roles so.
    """

    def __init__(
        self, database: db.Database, sealer: Sealer, clock: clocks.Clock, *, static_clients: Iterable[StaticClient] = (), usage: Usage | None = None
    ) -> None:
        self.roles = scope_sets.Roles()
        self.roles_version = 0
        self.usage = usage or Usage(clock)
        self._db = database
        self._sealer = sealer
        self._now = clock.now
        self._log = log.get("auth")
        self._static = static.checked(static_clients)
        self._entries: dict[str, Entry] = {}
        self._gone: dict[str, int] = {}  # the change that removed a client, while an older picture of it may still come
        self._records: dict[str, ClientRecord] = {}
        self._version = 0
        self._ahead: set[int] = set()
        self._looking = asyncio.Lock()
        self._next_look: asyncio.Task[None] | None = None  # the one that has not begun yet
        validator = credentials.SignatureValidator(self._record, self.expand, wall=clock.wall)
        self._validate = validator.validate

    def authenticate(self, request: SignedRequest) -> Success | Failure:
        """Who signed a request, as far as is known in this process."""
        return self._validate(request, self._now())

    async def authenticate_anew(self, request: SignedRequest) -> Success | Failure:
        """Who signed a request, by all that any process had changed when it came.

        Raises errors.Unavailable when that cannot be seen from here.
        """
        if self._db.shared:
            await self._catch_up()
        return self.authenticate(request)

    def expand(self, scopes: Iterable[str]) -> scope_sets.ScopeSet:
        """The scopes, and all that follow from the roles they assume.

        Raises errors.InputError when roles multiply so that this would be too much.
        """
        try:
            return self.roles.expand(scopes)
        except scope_sets.RoleGrowth as error:
            raise errors.InputError("{reason}", reason=str(error), roleId=error.role_id) from None

    def as_far(self, scopes: Iterable[str]) -> scope_sets.ScopeSet:
        """The scopes with what follows from them, or alone where that would be too much, so that such roles can be seen and mended."""
        given = tuple(scopes)
        try:
            return self.roles.expand(given)
        except scope_sets.RoleGrowth:
            return scope_sets.ScopeSet(given)

    # -- keeping up

    async def load(self) -> None:
        """Bring static clients into the database, and everything from it into memory."""
        await static.sync(self._db, self._sealer, self._static)
        await self._reload()

    async def refresh(self) -> None:
        """Take over what changed in the database since the last look; cheap when nothing did."""
        row = await self._db.point(sql.get_version)
        assert row is not None
        version = int(row["version"])
        if version <= self._version:
            return
        changes = await self._db.all(sql.changes_after, version=self._version, limit=_PAGE)
        if len(changes) >= _PAGE or not changes or changes[0]["version"] != self._version + 1:
            await self._reload()
            return
        for name, number in {c["name"]: c["version"] for c in changes if c["kind"] == "client"}.items():
            found = await self._db.point(sql.get_client, client_id=name)
            self._take_client(number, name, store.client(found) if found is not None else None)
        # by the changes, and not by the row that was read before them: a change in between would else be passed over for ever
        role_changes = [change["version"] for change in changes if change["kind"] == "role"]
        if role_changes and role_changes[-1] > self.roles_version:
            await self._load_roles(role_changes[-1])
        self._reach(changes[-1]["version"])

    async def _catch_up(self) -> None:
        """Return after a look that began no earlier than now; those who wait meanwhile share the next one."""
        if asyncio.current_task() is None:
            await asyncio.sleep(0)
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().create_task(self._look_for_all(), name="auth changes")
        await asyncio.shield(self._next_look)

    async def _look_for_all(self) -> None:
        async with self._looking:
            self._next_look = None
            await self.refresh()

    def client_changed(self, version: int, client_id: str, client: Client | None) -> None:
        """A client as this process has just committed it, None when it was removed."""
        self._take_client(version, client_id, client)
        self._passed(version)
        self._db.signal(CHANGED, "")

    def role_changed(self, version: int, roles: scope_sets.Roles) -> None:
        """All roles, as they are after this process has just committed the change of one."""
        if version > self.roles_version:
            self._take_roles(version, roles)
        self._passed(version)
        self._db.signal(CHANGED, "")

    async def _reload(self) -> None:
        row = await self._db.point(sql.get_version)
        assert row is not None
        version, roles_version = int(row["version"]), int(row["roles_version"])
        seen: set[str] = set()
        after = ""
        while True:
            rows = await self._db.all(sql.list_clients, after=after, first="", beyond=store.CEILING, limit=_PAGE)
            for found in rows:
                seen.add(found["client_id"])
                self._take_row(version, found)
            if len(rows) < _PAGE:
                break
            after = rows[-1]["client_id"]
        for client_id in [name for name, entry in self._entries.items() if name not in seen and entry.version <= version]:
            self._take_client(version, client_id, None)
        await self._load_roles(roles_version)
        self._reach(version)

    async def _load_roles(self, version: int) -> None:
        rows = await self._db.all(sql.list_roles, after="", limit=store.ALL)
        if version >= self.roles_version:
            self._take_roles(version, scope_sets.Roles({row["role_id"]: store.strings(row["scopes"]) for row in rows}))

    def _take_row(self, version: int, row: db.Row) -> None:
        entry = Entry(bytes(row["token"]), row["expires"], row["disabled"] == 1, row["scopes"], version)
        self._take_entry(row["client_id"], entry, row["last_date_used"])

    def _take_client(self, version: int, client_id: str, client: Client | None) -> None:
        if client is not None:
            entry = Entry(client.token, client.expires, client.disabled, store.as_json(client.scopes), version)
            self._take_entry(client_id, entry, client.last_date_used)
            return
        known = self._entries.get(client_id)
        if known is None or known.version <= version:
            self._entries.pop(client_id, None)
            self._records.pop(client_id, None)
            self._gone[client_id] = version
            self.usage.forget(client_id)

    def _take_entry(self, client_id: str, entry: Entry, last_used: int) -> None:
        known = self._entries.get(client_id)
        if entry.version < max(known.version if known else 0, self._gone.get(client_id, 0)):
            return
        self._gone.pop(client_id, None)
        self._entries[client_id] = entry
        self._records.pop(client_id, None)
        self.usage.known(client_id, last_used)

    def _take_roles(self, version: int, roles: scope_sets.Roles) -> None:
        self.roles = roles
        self.roles_version = version
        self._records.clear()

    def _passed(self, version: int) -> None:
        self._ahead.add(version)
        while self._version + 1 in self._ahead:
            self._ahead.discard(self._version + 1)
            self._version += 1
        if self._gone:
            self._gone = {name: number for name, number in self._gone.items() if number > self._version}

    def _reach(self, version: int) -> None:
        self._version = max(self._version, version)
        self._ahead = {number for number in self._ahead if number > self._version}
        self._passed(self._version)

    # -- looking up

    def _record(self, client_id: str) -> ClientRecord | None:
        record = self._records.get(client_id) or self._make(client_id)
        if record is not None and client_id in self.usage.due and not record.disabled and record.expires_ms > self._now():
            self.usage.note(client_id)
        return record

    def _make(self, client_id: str) -> ClientRecord | None:
        entry = self._entries.get(client_id)
        if entry is None:
            return None
        configured = self._static.get(client_id)
        if configured is not None:
            token, scopes = configured.access_token, tuple(configured.scopes)
        elif client_id.startswith(model.STATIC):
            return None  # of another process, whose configuration has it
        else:
            opened = self._open(client_id, entry)
            if opened is None:
                return None
            token, scopes = opened, store.strings(entry.scopes)
        record = credentials.ClientRecord(
            client_id=client_id, access_token=token, scopes=self.as_far(scopes), expires_ms=entry.expires, disabled=entry.disabled
        )
        self._records[client_id] = record
        return record

    def _open(self, client_id: str, entry: Entry) -> str | None:
        try:
            return self._sealer.open(entry.token, context=token_context(client_id)).decode()
        except SealError as error:
            self._log.error("the access token of client %s cannot be read, so it is refused: %s", client_id, error)
            return None


def token_context(client_id: str) -> str:
    """What the sealed token of a client is bound to."""
    return f"auth/clients/{client_id}"
