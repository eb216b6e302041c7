"""The tables of what workers make of payloads say something of every part of the published schemas, and name tests that exist."""

from __future__ import annotations

import ast
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import tcbox
from tcbox.api.schemas import SchemaSet
from tcbox.workers.matrix import parts, row_of

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "build"))
import compatibility  # noqa: E402

WORKERS = Path(tcbox.__file__).parent / "workers"
SCHEMAS = SchemaSet.load({"docker-worker": WORKERS / "docker/schemas", "generic-worker": WORKERS / "host/schemas"})
MATRICES = {name: import_module(name).MATRIX for name in compatibility.MATRICES}


@cache
def _functions(file: str) -> set[str]:
    tree = ast.parse((HERE.parent / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("name", MATRICES)
def test_every_part_of_a_payload_has_a_row(name: str) -> None:
    """A part of the published schemas without a row is missing from the page, and a row without a part is out of date."""
    matrix = MATRICES[name]
    rows = {row.part: row for row in matrix.rows}
    assert len(rows) == len(matrix.rows), "two rows have the same part"
    published = [part for schema in matrix.schemas for part in parts(SCHEMAS.document(schema))]
    assert [part for part in published if row_of(part, rows) is None] == []
    used = {row.part for part in published if (row := row_of(part, rows)) is not None}
    assert sorted(set(rows) - used) == []


@pytest.mark.parametrize("name", MATRICES)
def test_every_row_is_shown_by_tests_that_exist(name: str) -> None:
    """Each row names at least one test, and each of them exists."""
    matrix = MATRICES[name]
    for row in (*matrix.rows, *matrix.beyond):
        assert row.tests, f"{row.part} names no test"
        for test in row.tests:
            file, _, function = test.partition("::")
            assert function in _functions(file), f"{row.part} names {test}, which does not exist"


def test_parts_of_a_schema() -> None:
    """Parts are named by path, with values of enumerations, chosen keys and items of lists; what is common to variants is named once."""
    schema = {
        "properties": {
            "a": {"type": "string"},
            "b": {"oneOf": [{"type": "string"}, {"properties": {"type": {"enum": ["x"]}, "c": {}}}, {"properties": {"type": {"enum": ["y"]}, "c": {}}}]},
            "d": {"type": "array", "items": {"$ref": "#/definitions/e"}},
            "m": {"additionalProperties": {"properties": {"f": {}}}},
            "env": {"additionalProperties": {"type": "string"}},
        },
        "definitions": {"e": {"properties": {"g": {"items": {"type": "integer"}}}}},
    }
    assert parts(schema) == ["a", "b", "b.type=x", "b.c", "b.type=y", "d[].g", "m.<name>.f", "env"]
