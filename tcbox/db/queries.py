"""Named statements: SQL lives in files, and its names are what code, logs and metrics speak of.

`sql/queries.sql` holds statements for every engine, each below a header:

    -- name: get_task
    -- A task by its id.
    SELECT * FROM queue_tasks WHERE task_id = :task_id

`queries.sqlite.sql` and `queries.postgres.sql` beside it hold what must differ for one engine, under the same name. A
statement must end up with a text for each engine and with a description. The folder may hold further files of that
form (`tasks.sql`, `tasks.postgres.sql`, …); their names are one name space.
"""

from __future__ import annotations

import difflib
import importlib.util
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tcbox.db import text
from tcbox.db.errors import QueryError

ENGINES = ("sqlite", "postgres")
_HEADER = re.compile(r"^--[ \t]*name:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, eq=False, slots=True)
class Query:
    """One named statement: its text for each engine, and the names of its parameters.

    Attributes:
        sqlite_numbered: SQLite's text with `?1`, `?2`, … for the parameters: looking them up by name takes it longer.
        pick: the values of the parameters in that order; raises KeyError when one is missing.
    """

    name: str
    description: str
    sqlite: str
    postgres: str
    params: tuple[str, ...]
    arity: int = field(init=False)
    sqlite_numbered: str = field(init=False, repr=False)
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arity", len(self.params))
        object.__setattr__(self, "sqlite_numbered", text.numbered(self.sqlite, self.params, "?"))
        object.__setattr__(self, "pick", _picker(self.params))

    def misfit(self, given: Iterable[str]) -> str:
        """What is wrong with parameters of these names, in words; empty when nothing is."""
        names = set(given)
        wrong = [f"{name!r} is missing" for name in self.params if name not in names]
        wrong += [f"{name!r} is not one of its parameters" for name in sorted(names - set(self.params))]
        return ", ".join(wrong)


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) > 1:
        return operator.itemgetter(*names)
    return lambda given: tuple([given[name] for name in names])


class Queries:
    """The statements of one service, as attributes."""

    def __init__(self, folder: Path, queries: dict[str, Query]) -> None:
        self._folder = folder
        self._queries = queries
        self.__dict__.update(queries)

    def __getattr__(self, name: str) -> Query:
        if name.startswith("_"):
            raise AttributeError(name)
        close = difflib.get_close_matches(name, self._queries, 3, 0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else "add it there, below a `-- name:` header"
        raise AttributeError(f"there is no statement {name!r} in {self._folder}/*.sql: {hint}")

    def __iter__(self) -> Iterator[Query]:
        return iter(self._queries.values())


@dataclass(frozen=True)
class _Statement:
    file: Path
    description: str
    sql: str


def load(folder: Path | str, service: str) -> Queries:
    """The statements of a service from its `sql` folder.

    `folder` is that folder, the one that holds it, a file beside it (`__file__`) or a package's name (`__package__`).
    Raises QueryError when a file is not well-formed.
    """
    place = sql_folder(folder)
    found: dict[str, dict[str, _Statement]] = {}
    for file in sorted(place.glob("*.sql")):
        engine = next((name for name in ENGINES if file.name.endswith(f".{name}.sql")), "")
        for name, statement in _parse(file).items():
            other = found.setdefault(name, {}).setdefault(engine, statement)
            if other is not statement:
                raise QueryError(f"{file}: {name} is in {other.file.name} already: give one of them another name")
    return Queries(place, {name: _query(service, name, texts) for name, texts in found.items()})


def sql_folder(folder: Path | str) -> Path:
    """The `sql` folder that belongs to a folder, a file or a package.

    Raises QueryError when there is none.
    """
    path = Path(folder)
    if isinstance(folder, str) and not path.exists():
        spec = importlib.util.find_spec(folder)
        path = Path(next(iter(spec.submodule_search_locations or ()), "")) if spec else path
    path = path.parent if path.is_file() else path
    path = path / "sql" if (path / "sql").is_dir() else path
    if not path.is_dir():
        raise QueryError(f"there is no folder {path} with SQL files: make it, with a queries.sql in it")
    return path


def _parse(file: Path) -> dict[str, _Statement]:
    source = file.read_text(encoding="utf-8")
    headers = list(_HEADER.finditer(source))
    before = source[: headers[0].start()] if headers else source
    if text.without_comments(before):
        raise QueryError(f"{file}: there is SQL before the first header: put `-- name: …` above it")
    found: dict[str, _Statement] = {}
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        name, line = header[1], source.count("\n", 0, header.start()) + 1
        if not _NAME.fullmatch(name):
            raise QueryError(f"{file}, line {line}: {name!r} is no name: use lower-case letters, digits and `_`")
        if name in found:
            raise QueryError(f"{file}, line {line}: {name} is here twice: give one of them another name")
        body = source[header.end() : following.start() if following else len(source)]
        found[name] = _Statement(file, _description(body), text.without_comments(body).strip().rstrip(";").rstrip())
        if not found[name].sql:
            raise QueryError(f"{file}, line {line}: {name} has no statement: write it below its description")
    return found


def _description(body: str) -> str:
    lines = []
    for line in body.strip().splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(filter(None, lines))


def _query(service: str, name: str, texts: dict[str, _Statement]) -> Query:
    shared = texts.get("")
    chosen = {engine: texts.get(engine, shared) for engine in ENGINES}
    sqlite, postgres = chosen["sqlite"], chosen["postgres"]
    first = next(iter(texts.values()))
    if sqlite is None or postgres is None:
        lacking = "sqlite" if sqlite is None else "postgres"
        raise QueryError(f"{first.file}: {name} has no text for {lacking}: add it to queries.{lacking}.sql")
    description = next((s.description for s in (shared, sqlite, postgres) if s and s.description), "")
    if not description:
        raise QueryError(f"{first.file}: {name} has no description: say in `-- ` lines below its header what it does")
    names = text.parameters(sqlite.sql)
    if postgres is not sqlite and set(names) != set(text.parameters(postgres.sql)):
        raise QueryError(f"{first.file}: {name} takes other parameters on SQLite than on PostgreSQL: give both the same")
    return Query(f"{service}.{name}", description, sqlite.sql, text.numbered(postgres.sql, names), names)
