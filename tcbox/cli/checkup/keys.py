"""The keys: there, readable, and those with which the values in the database were sealed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tcbox import errors
from tcbox.box import identity
from tcbox.cli.checkup.database import open_readonly
from tcbox.cli.checkup.finding import Finding, Patient, ok, wrong
from tcbox.credentials import sealed

_SEALED = (
    ("auth_clients", "client_id", "token", "auth/clients/", "client_id NOT LIKE 'static/%'"),
    ("secrets_secrets", "name", "sealed", "secrets/", "true"),
)
"""Table, key, sealed column, what the context begins with, and which rows are sealed."""


def keys(patient: Patient) -> Iterator[Finding]:
    """All of them."""
    folder = patient.folder
    if not any(folder.keys.glob("*.key")) and not folder.database.exists():
        return
    yield from _instance(folder.key_file("instance"))
    yield from _root_client(folder.root_client)
    try:
        sealer = _sealer(patient)
    except sealed.SealError as error:
        yield wrong("keys", str(error))
        return
    if folder.database.exists() and not patient.settings.database:
        yield from _opens(folder.database, sealer, folder.key_file("sealing"))


def _instance(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield wrong("keys", f"{path} is not there: {identity.KEY_BACKUP}; with a new one, signed URLs of before are refused")
        return
    try:
        identity.key_of(path.read_bytes(), str(path))
    except OSError as error:
        yield wrong("keys", f"{path} cannot be read: {error.strerror}", f"chmod 600 {path}")
    except errors.TcboxError as error:
        yield wrong("keys", str(error))


def _root_client(path: Path) -> Iterator[Finding]:
    if not path.exists():
        return  # the next start makes another, and nothing depends on the old one
    try:
        identity.root_token(path)
    except OSError as error:
        yield wrong("keys", f"{path} cannot be read: {error.strerror}", f"chmod 600 {path}")
    except errors.TcboxError as error:
        yield wrong("keys", str(error), f"rm {path}", path.unlink)


def _sealer(patient: Patient) -> sealed.Sealer | None:
    configured = patient.settings.services.secrets.key
    if configured:
        return sealed.from_text(configured.reveal(), "services.secrets.key")
    path = patient.folder.key_file("sealing")
    return sealed.load_or_make(path) if path.exists() else None


def _opens(database: Path, sealer: sealed.Sealer | None, path: Path) -> Iterator[Finding]:
    try:
        with closing(open_readonly(database)) as connection:
            samples = [(context + name, bytes(value)) for name, value, context in _samples(connection)]
    except sqlite3.Error:
        return  # the database's own check says what is wrong with it
    if sealer is None:
        if samples:
            yield wrong(
                "keys", f"{path} is not there, and {database} has values that were sealed with it: {identity.KEY_BACKUP}, before the next start makes a new one"
            )
        return
    faults = [str(fault) for context, value in samples if (fault := _fault(sealer, value, context))]
    for each in faults:
        yield wrong("keys", each)
    if not faults:
        yield ok("keys", "they open what is sealed in the database" if samples else "nothing is sealed yet")


def _samples(connection: sqlite3.Connection) -> Iterator[tuple[str, bytes, str]]:
    """A value of each key that has sealed any, from each table."""
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    for table, key, column, context, which in _SEALED:
        if table in there:
            query = f"SELECT min({key}), {column} FROM {table} WHERE {which} GROUP BY substr({column}, 1, 9)"  # noqa: S608 - names from above
            for name, value in connection.execute(query):
                yield name, value, context


def _fault(sealer: sealed.Sealer, value: bytes, context: str) -> sealed.SealError | None:
    try:
        sealer.open(value, context=context)
    except sealed.SealError as error:
        return error
    return None
