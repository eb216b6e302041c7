"""Auth's tables: statements, and rows as values."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tcbox import db
from tcbox.services.auth.model import Client, Role

sql = db.load(Path(__file__).parent / "sql", "auth")
migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "auth")

_encode = msgspec.json.Encoder().encode
strings = msgspec.json.Decoder(tuple[str, ...]).decode
"""Scopes from the JSON of a row."""

ALL = 2**31
"""More rows than there are, for a statement's limit."""

CEILING = "\U0010ffff"
"""Sorts after every id: ids are ASCII."""


def as_json(scopes: tuple[str, ...]) -> str:
    """Scopes as they stand in a row."""
    return _encode(scopes).decode()


def client(row: db.Row) -> Client:
    """A row of `auth_clients`."""
    return Client(
        row["client_id"], row["description"], bytes(row["token"]), row["expires"], row["disabled"] == 1, strings(row["scopes"]),
        row["created"], row["last_modified"], row["last_date_used"], row["last_rotated"], row["delete_on_expiration"] == 1,
    )  # fmt: skip


def role(row: db.Row) -> Role:
    """A row of `auth_roles`."""
    return Role(row["role_id"], row["description"], strings(row["scopes"]), row["created"], row["last_modified"])


async def client_of(tx: db.Tx, client_id: str) -> Client:
    """A client that is known to be there."""
    row = await tx.one(sql.get_client, client_id=client_id)
    assert row is not None
    return client(row)


async def note_change(tx: db.Tx, kind: str, name: str) -> int:
    """Tell other processes of a change of a "client" or a "role"; gives its number.

    This transaction must have counted it before, by `next_version` or `next_roles_version`.
    """
    version = int(await tx.value(sql.current_version))
    await tx.execute(sql.add_change, version=version, kind=kind, name=name, now=tx.now)
    return version
