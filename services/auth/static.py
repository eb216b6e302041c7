"""Clients that come from the configuration, or are derived by tcbox for its own services.

Their tokens are never written: a row keeps a keyed digest, which tells when a token was changed. At start the rows
are brought in line with the configuration; what it no longer names is removed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tcbox import clock as clocks
from tcbox import db, errors, scopes
from tcbox.credentials.sealed import Sealer
from tcbox.services.auth import model, store
from tcbox.services.auth.declarations import CLIENT_ID
from tcbox.services.auth.model import Client
from tcbox.services.auth.store import sql

LIFETIME = 1000 * 365 * clocks.DAY
"""Static clients end with the configuration, not with time; the API asks for a time all the same."""

NOTE = (
    "\n---\nThis is a **static client**: it comes from the configuration of this instance, "
    "and can be changed only there."
)  # fmt: skip
_TOKEN = re.compile(r"[a-zA-Z0-9_-]{22,66}")


class StaticClientError(errors.TcboxError):
    """A static client of the configuration cannot be used."""


@dataclass(frozen=True, slots=True)
class StaticClient:
    """A client of the configuration.

    Attributes:
        client_id: begins with "static/".
        access_token: 22 to 66 letters, digits, dashes and underscores.
        scopes: what it may do, roles not expanded.
    """

    client_id: str
    access_token: str
    scopes: tuple[str, ...]
    description: str


def checked(clients: Iterable[StaticClient]) -> dict[str, StaticClient]:
    """The clients by id.

    Raises StaticClientError, which says which client is wrong and how to mend it.
    """
    found: dict[str, StaticClient] = {}
    for client in clients:
        fault = _fault(client, found)
        if fault:
            raise StaticClientError(f"the static client {client.client_id!r} {fault}")
        found[client.client_id] = client
    return found


def _fault(client: StaticClient, others: dict[str, StaticClient]) -> str:
    if not client.client_id.startswith(model.STATIC):
        return f"must have an id that begins with 'static/': name it 'static/{client.client_id}'"
    if re.fullmatch(CLIENT_ID, client.client_id) is None:
        return "has an id with other characters than letters, digits and !@/:.+|_-: leave them out"
    if client.client_id in others:
        return "is there twice: remove one of them, or give it another id"
    if _TOKEN.fullmatch(client.access_token) is None:
        return "has an access token that is not 22 to 66 letters, digits, dashes and underscores: make one with `openssl rand -hex 32`"
    wrong = [scope for scope in client.scopes if not scopes.valid_scope(scope)]
    if wrong:
        return f"has a scope with other characters than printable ASCII, {wrong[0]!r}: remove them"
    return ""


async def sync(database: db.Database, sealer: Sealer, clients: dict[str, StaticClient]) -> None:
    """Bring the rows of static clients in line with these; writes nothing where nothing changed."""
    key = sealer.derive("digests of static clients' tokens")
    wanted = {name: _Row.of(key, client) for name, client in clients.items()}

    async def apply(tx: db.Tx) -> None:
        rows = await tx.all(sql.list_clients, after="", first=model.STATIC, beyond=model.STATIC + store.CEILING, limit=store.ALL)
        there = {row["client_id"]: store.client(row) for row in rows}
        for name in sorted(there.keys() - wanted.keys()):
            await tx.execute(sql.delete_client, client_id=name)
            await _note(tx, name)
        for name, row in sorted(wanted.items(), key=lambda item: item[0]):
            if name not in there:
                await _add(tx, name, row)
            elif not row.fits(there[name]):
                await _change(tx, there[name], row)

    await database.transaction(apply)


@dataclass(frozen=True, slots=True)
class _Row:
    digest: bytes
    scopes: tuple[str, ...]
    description: str

    @classmethod
    def of(cls, key: bytes, client: StaticClient) -> _Row:
        digest = hmac.digest(key, client.access_token.encode(), "sha256")
        return cls(digest, tuple(client.scopes), client.description + NOTE)

    def fits(self, there: Client) -> bool:
        return (self.digest, self.scopes, self.description) == (there.token, there.scopes, there.description)


async def _add(tx: db.Tx, name: str, row: _Row) -> None:
    added = await tx.execute(
        sql.add_client, client_id=name, description=row.description, token=row.digest, expires=tx.now + LIFETIME,
        scopes=store.as_json(row.scopes), delete_on_expiration=0, now=tx.now,
    )  # fmt: skip
    if added:
        await _note(tx, name)


async def _change(tx: db.Tx, there: Client, row: _Row) -> None:
    name = there.client_id
    await tx.execute(
        sql.update_client, client_id=name, description=row.description, expires=there.expires,
        scopes=store.as_json(row.scopes), delete_on_expiration=0, now=tx.now,
    )  # fmt: skip
    if row.digest != there.token:
        await tx.execute(sql.rotate_client, client_id=name, token=row.digest, now=tx.now)
    await _note(tx, name)


async def _note(tx: db.Tx, name: str) -> None:
    await tx.execute(sql.next_version)
    await store.note_change(tx, "client", name)
