"""A migrated database of each engine for every test of a store, made by copying one.

    from tcbox import db
    from tests.support.databases import database  # noqa: F401

    migrations = [db.migrations("tcbox.services.queue", "queue")]

    async def test_a_task_is_found_again(database: db.Database) -> None:
        store = Store(database)
        ...

The test runs once on SQLite and once on PostgreSQL. `migrations` is a global of the test's module. A module (or its
conftest) that has a synchronous fixture `clock` gets its database on that clock; the machine's clock serves otherwise.

`fresh` gives the URL of such a database, for tests that open it themselves or several times; `two` opens one twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox import db
from tests.support import postgres_server, waiting

ENGINES = ("sqlite", "postgres")

_copies = itertools.count(1)
_templates: dict[str, str] = {}
_folder: list[tempfile.TemporaryDirectory[str]] = []


@pytest_asyncio.fixture(params=ENGINES)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[db.Database]:
    """A started database with the migrations of the test's module."""
    migrations: Sequence[db.Migrations] = getattr(request.module, "migrations", ())
    try:
        clock: clocks.Clock = request.getfixturevalue("clock")
    except pytest.FixtureLookupError:
        clock = clocks.SystemClock()
    made = db.connect(await fresh(request.param, migrations, tmp_path), clock=clock)
    await made.start(migrations)
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def two(migrations: Sequence[db.Migrations], clock: clocks.Clock, folder: Path) -> AsyncIterator[tuple[db.Database, db.Database]]:
    """One database on PostgreSQL, as two processes have it."""
    url = await fresh("postgres", migrations, folder)
    first, second = db.connect(url, clock=clock), db.connect(url, clock=clock)
    await first.start(migrations)
    await second.start(migrations)
    try:
        yield first, second
    finally:
        await second.close()
        await first.close()


async def listening(database: db.Database) -> None:
    """Return once a database that is shared hears other processes: when it begins to, all who wait for a hint look by themselves."""
    signals = getattr(database, "_signals", None)
    if signals is not None and signals._listeners:
        async with asyncio.timeout(20):
            await signals.heard.wait()


@contextlib.asynccontextmanager
async def repeated(clock: clocks.VirtualClock, *turns: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Each is done again and again, as a supervisor does with loops, and has come to where it sleeps on the clock when this begins."""

    async def repeat(turn: Callable[[], Awaitable[object]]) -> None:
        while True:
            await turn()

    before = waiting.sleepers(clock)
    tasks = [asyncio.create_task(repeat(turn)) for turn in turns]
    try:
        await waiting.asleep(clock, before + len(tasks))
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def fresh(engine: str, migrations: Sequence[db.Migrations], folder: Path) -> str:
    """The URL of a new database with these migrations; a SQLite file goes into `folder`."""
    return await (_sqlite(migrations, folder) if engine == "sqlite" else _postgres(migrations))


async def _sqlite(migrations: Sequence[db.Migrations], folder: Path) -> str:
    key = "sqlite-" + _digest(migrations)
    if key not in _templates:
        if not _folder:
            _folder.append(tempfile.TemporaryDirectory(prefix="tcbox-templates-"))
        path = Path(_folder[0].name) / f"{key}.db"
        await _migrate(f"sqlite://{path}", migrations)
        _templates[key] = str(path)
    copy = folder / f"tcbox-{next(_copies)}.db"
    shutil.copyfile(_templates[key], copy)
    return f"sqlite://{copy}"


async def _postgres(migrations: Sequence[db.Migrations]) -> str:
    server = postgres_server.server()
    key = "template_" + _digest(migrations)
    if key not in _templates:
        await _create(server, f"CREATE DATABASE {key}")
        await _migrate(server.url(key), migrations)
        _templates[key] = key
    name = f"copy_{next(_copies)}"
    await _create(server, f"CREATE DATABASE {name} TEMPLATE {key}")
    return server.url(name)


async def _create(server: postgres_server.Server, statement: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(server.url("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _migrate(url: str, migrations: Sequence[db.Migrations]) -> None:
    template = db.connect(url, clock=clocks.SystemClock())
    await template.start(migrations)
    await template.close()


def _digest(migrations: Iterable[db.Migrations]) -> str:
    steps = (f"{step} {dict(step.checksums)}" for group in migrations for step in group.steps)
    return hashlib.sha256("\n".join(steps).encode()).hexdigest()[:16]
