"""Files of named statements: what they may hold, what they become, and how mistakes in them are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcbox import db

GOOD = """-- What this file is for.

-- name: get_task
-- A task
-- by its id.
SELECT a::text, ':no' AS x, "odd:name", '' -- :nor
FROM tasks /* :neither */ WHERE id = :id AND (:id <> :other OR b = '12:30');
"""


def folder(tmp_path: Path, **files: str) -> Path:
    place = tmp_path / "service"
    (place / "sql").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (place / "sql" / (name.replace("__", ".") + ".sql")).write_text(content)
    return place


def test_a_statement_has_name_description_and_parameters(tmp_path: Path) -> None:
    """Parameters are found where they are parameters, and become numbers for PostgreSQL."""
    query = db.load(folder(tmp_path, queries=GOOD), "queue").get_task
    assert (query.name, query.description) == ("queue.get_task", "A task by its id.")
    assert query.params == ("id", "other")
    assert "id = :id AND (:id <> :other OR b = '12:30')" in query.sqlite
    assert "id = $1 AND ($1 <> $2 OR b = '12:30')" in query.postgres
    assert "a::text, ':no' AS x, \"odd:name\"" in query.postgres
    assert "--" not in query.sqlite
    assert "/*" not in query.sqlite


def test_an_engine_overrides_single_statements(tmp_path: Path) -> None:
    """An engine's own file replaces a statement for that engine, with the same parameters in any order."""
    shared = "-- name: a\n-- A.\nSELECT :x, :y\n-- name: b\n-- B.\nSELECT 1\n"
    place = folder(tmp_path, queries=shared, queries__postgres="-- name: a\nSELECT :y, :x, :y\n")
    sql = db.load(place, "s")
    assert (sql.a.sqlite, sql.a.postgres, sql.a.params) == ("SELECT :x, :y", "SELECT $2, $1, $2", ("x", "y"))
    assert sql.b.sqlite == sql.b.postgres == "SELECT 1"
    assert {query.name for query in sql} == {"s.a", "s.b"}


def test_statements_are_found_from_a_package_a_file_and_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`load` takes the folder, the one above it, a file beside it, or the package's name."""
    place = folder(tmp_path, queries="-- name: a\n-- A.\nSELECT 1\n")
    (place / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for given in (place, place / "sql", str(place / "__init__.py"), "service"):
        assert db.load(given, "s").a.sqlite == "SELECT 1"
    with pytest.raises(db.QueryError, match="there is no folder"):
        db.load(tmp_path / "absent", "s")


def test_an_unknown_name_is_answered_with_those_that_are_close(tmp_path: Path) -> None:
    """A misspelt statement is an AttributeError that names the files and what may be meant."""
    sql = db.load(folder(tmp_path, queries=GOOD), "queue")
    with pytest.raises(AttributeError, match=r"no statement 'get_taks' in .*sql.*did you mean get_task\?"):
        _ = sql.get_taks


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"queries": "-- name: a\nSELECT 1"}, "a has no description"),
        ({"queries": "SELECT 1"}, "before the first header"),
        ({"queries": "-- name: a b\n-- A.\nSELECT 1"}, "line 1: 'a b' is no name"),
        ({"queries": "-- name: a\n-- A.\nSELECT 1\n-- name: a\n-- A.\nSELECT 2"}, "line 4: a is here twice"),
        ({"queries": "-- name: a\n-- A.\n"}, "a has no statement"),
        ({"queries__sqlite": "-- name: a\n-- A.\nSELECT 1"}, "a has no text for postgres"),
        ({"queries": "-- name: a\n-- A.\nSELECT 1", "more": "-- name: a\n-- A.\nSELECT 1"}, "a is in .* already"),
        (
            {"queries": "-- name: a\n-- A.\nSELECT :x", "queries__postgres": "-- name: a\nSELECT :y"},
            "a takes other parameters on SQLite",
        ),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, files: dict[str, str], message: str) -> None:
    """A file that is not well-formed is refused with its name and what is wrong."""
    with pytest.raises(db.QueryError, match=message) as refusal:
        db.load(folder(tmp_path, **files), "s")
    assert ".sql" in str(refusal.value)
