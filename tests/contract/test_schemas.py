"""The published schemas: complete, described, and enforced with every fault named."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import tcbox
from tcbox.api.schemas import SchemaSet

ROOT = Path(tcbox.__file__).parent
SERVICES = {name: ROOT / "services" / name.replace("-", "_") / "schemas" for name in (
    "auth", "queue", "secrets", "object", "index", "hooks", "notify", "purge-cache", "worker-manager", "github",
)} | {"docker-worker": ROOT / "workers/docker/schemas", "generic-worker": ROOT / "workers/host/schemas"}  # fmt: skip
SCHEMAS = SchemaSet.load(SERVICES)
PUBLISHED = [path for path in SCHEMAS.paths() if not path.startswith("/schemas/common/")]
TIME = "2040-01-01T00:00:00.000Z"
SLUG = "fN1SbArXTPSVFNUvaOlinQ"
METADATA = {"name": "build", "description": "Builds it.", "owner": "someone@example.com", "source": "https://example.com/x"}
TASK = {"taskQueueId": "prov/pool", "created": TIME, "deadline": TIME, "payload": {}, "metadata": METADATA}


def split(path: str) -> tuple[str, str]:
    service, _, name = path.removeprefix("/schemas/").partition("/")
    return service, name


def subschemas(node: Any, trail: str = "") -> Iterator[tuple[str, Any, bool]]:
    """Every subschema with its pointer, and whether it is a property's."""
    if isinstance(node, dict):
        for word in ("properties", "definitions"):
            for name, sub in node.get(word, {}).items():
                yield f"{trail}/{word}/{name}", sub, True
                yield from subschemas(sub, f"{trail}/{word}/{name}")
        for word in ("items", "additionalProperties"):
            yield from subschemas(node.get(word), f"{trail}/{word}")
        for word in ("oneOf", "anyOf", "allOf"):
            for i, sub in enumerate(node.get(word, ())):
                yield from subschemas(sub, f"{trail}/{word}/{i}")


def check(service: str, ref: str, value: Any) -> dict[str, str]:
    validator = SCHEMAS.validator(service, ref)
    return {fault.path: fault.message for fault in validator.check(validator.fill(copy.deepcopy(value)))}


@pytest.mark.parametrize("path", SCHEMAS.paths())
def test_document_is_a_schema_that_says_its_name(path: str) -> None:
    """Every document is a valid schema with its own id, a title and a description."""
    document = SCHEMAS.document(path)
    jsonschema.Draft6Validator.check_schema(document)
    assert document["$id"] == f"{path}#"
    assert document["$schema"].startswith(("/schemas/common/", "http://json-schema.org/"))
    assert document["title"]
    assert document["description"].endswith(".")


@pytest.mark.parametrize("path", SCHEMAS.paths())
def test_every_property_is_described(path: str) -> None:
    """A reader of the reference finds out what each property means."""
    bare = [trail for trail, sub, named in subschemas(SCHEMAS.document(path)) if named and not (isinstance(sub, dict) and sub.get("description"))]
    assert not bare


@pytest.mark.parametrize("path", PUBLISHED)
def test_schema_compiles(path: str) -> None:
    """Every schema can be enforced: its patterns and references are understood."""
    SCHEMAS.validator(*split(path)).check({})


def test_paths_list_every_file() -> None:
    """No schema file is left out of what is published, and nothing else is in it."""
    assert len(PUBLISHED) == sum(1 for folder in SERVICES.values() for _ in folder.rglob("*.yml"))
    assert "/schemas/queue/v1/task.json" in PUBLISHED
    with pytest.raises(KeyError, match="there is no schema"):
        SCHEMAS.document("/schemas/queue/v1/../../../secret.json")
    with pytest.raises(KeyError, match="there is no schema"):
        SCHEMAS.document("/schemas/nothing/v1/task.json")


def test_refs_are_understood_in_every_form() -> None:
    """A method may name its schema as declared or as published."""
    for ref in ("task", "v1/task", "v1/task.json", "v1/task.json#"):
        assert SCHEMAS.path("queue", ref) == "/schemas/queue/v1/task.json#"
    assert SCHEMAS.validator("queue", "task") is SCHEMAS.validator("queue", "v1/task.json#")
    assert SCHEMAS.validator("object", "v1/hashes.json#/definitions/upload").check({"sha256": "x"})


def test_defaults_are_filled_in() -> None:
    """A task created with the least there is has all that the published task has."""
    filled = SCHEMAS.validator("queue", "create-task-request").fill(copy.deepcopy(TASK))
    assert filled == TASK | {
        "dependencies": [], "extra": {}, "priority": "lowest", "projectId": "none", "requires": "all-completed",
        "retries": 5, "routes": [], "schedulerId": "-", "scopes": [], "tags": {},
    }  # fmt: skip
    assert SCHEMAS.validator("queue", "claim-work-request").fill({})["tasks"] == 1
    assert SCHEMAS.validator("queue", "create-task-request").fill([1]) == [1]


def test_defaults_are_not_shared() -> None:
    """What is added to one task's default list is not in the next task's."""
    validator = SCHEMAS.validator("queue", "create-task-request")
    validator.fill(copy.deepcopy(TASK))["routes"].append("a.b")
    assert validator.fill(copy.deepcopy(TASK))["routes"] == []


def test_free_form_parts_stay_as_they_came() -> None:
    """The queue hands on payloads unchanged: order, nulls, large integers and 1.0."""
    payload = {"z": None, "a": 2**80, "m": 1.0, "l": [{}, [], -0.0]}
    validator = SCHEMAS.validator("queue", "create-task-request")
    filled = validator.fill({**TASK, "payload": payload})
    assert validator.check(filled) == []
    assert repr(filled["payload"]) == repr({"z": None, "a": 2**80, "m": 1.0, "l": [{}, [], -0.0]})


def test_all_faults_are_listed_with_their_paths() -> None:
    """A caller mends everything at once: each fault has its place."""
    wrong = TASK | {
        "retries": "x", "priority": "top", "surplus": 1, "tags": {"a/b": 1}, "routes": ["", "a", "a"],
        "metadata": {"name": 3, "description": "x", "owner": "y" * 256},
    }  # fmt: skip
    faults = check("queue", "create-task-request", wrong)
    assert set(faults) == {
        "/retries", "/priority", "/surplus", "/tags/a~1b", "/routes", "/routes/0", "/metadata/name", "/metadata/owner", "/metadata/source",
    }  # fmt: skip
    assert faults["/retries"] == 'must be an integer, is "x"'
    assert '"highest"' in faults["/priority"]
    assert "required" in faults["/metadata/source"]
    assert "at most 255" in faults["/metadata/owner"]


def test_many_faults_are_cut_off() -> None:
    """A huge wrong body does not make a huge error."""
    assert len(check("auth", "create-role-request", {"description": "", "scopes": [f"\u00e9{i}" for i in range(5000)]})) == 100


def test_faults_never_show_secrets() -> None:
    """What may be a secret is not repeated in an error, which ends up in logs."""
    faults = check("secrets", "secret", {"secret": "hunter2", "expires": "soon"})
    assert "hunter2" not in str(faults)
    assert faults["/secret"] == "must be an object, is a string"
    assert "2026-01-31T12:00:00.000Z" in faults["/expires"]


def test_long_values_are_shortened() -> None:
    """An error does not repeat a long value."""
    message = check("queue", "create-task-request", TASK | {"taskGroupId": "x" * 70_000})["/taskGroupId"]
    assert len(message) < 250
    assert "70002 characters" in message


@pytest.mark.parametrize(
    ("ref", "value", "expected"),
    [
        ("post-artifact-request", {"storageType": "s3", "expires": TIME}, {"/contentType"}),
        ("post-artifact-request", {"storageType": "s3", "expires": TIME, "contentType": "a/b", "url": "https://x.y"}, {"/url"}),
        ("post-artifact-request", {"storageType": "error", "expires": TIME, "reason": "x", "message": "m"}, {"/reason"}),
        ("post-artifact-request", {"storageType": "zip", "expires": TIME}, {"/storageType"}),
        ("post-artifact-request", [], {""}),
    ],
)
def test_of_several_forms_the_meant_one_is_explained(ref: str, value: Any, expected: set[str]) -> None:
    """Where a body may have several forms, the faults are those of the form that was meant."""
    assert set(check("queue", ref, value)) == expected


GOOD = [
    ("queue", "create-task-request", {"retries": 5.0}),
    ("queue", "create-task-request", {"scopes": ["a b~", "a b~", ""]}),
    ("queue", "create-task-request", {"dependencies": [SLUG]}),
    ("queue", "create-task-request", {"routes": ["x" * 249] }),
    ("queue", "create-task-request", {"taskQueueId": "a_-Z/b-1"}),
    ("queue", "create-task-request", {"projectId": "a/b.c_d-e"}),
    ("queue", "create-task-request", {"deadline": "2040-01-01T02:00:00+02:00"}),
    ("queue", "create-task-request", {"metadata": METADATA | {"source": "git@example.com:x"}}),
]  # fmt: skip
BAD = [
    ("queue", "create-task-request", {"retries": 50}, "/retries"),
    ("queue", "create-task-request", {"retries": -1}, "/retries"),
    ("queue", "create-task-request", {"retries": 1.5}, "/retries"),
    ("queue", "create-task-request", {"retries": 2**70}, "/retries"),
    ("queue", "create-task-request", {"scopes": ["\u00e9"]}, "/scopes/0"),
    ("queue", "create-task-request", {"scopes": ["a\n"]}, "/scopes/0"),
    ("queue", "create-task-request", {"dependencies": [SLUG, SLUG]}, "/dependencies"),
    ("queue", "create-task-request", {"dependencies": ["x" * 22]}, "/dependencies/0"),
    ("queue", "create-task-request", {"routes": [str(i) for i in range(65)]}, "/routes"),
    ("queue", "create-task-request", {"routes": ["x" * 250]}, "/routes/0"),
    ("queue", "create-task-request", {"taskQueueId": "a/B"}, "/taskQueueId"),
    ("queue", "create-task-request", {"taskQueueId": "a/b\n"}, "/taskQueueId"),
    ("queue", "create-task-request", {"schedulerId": ""}, "/schedulerId"),
    ("queue", "create-task-request", {"created": "2040-01-01"}, "/created"),
    ("queue", "create-task-request", {"created": "2040-02-30T00:00:00Z"}, "/created"),
    ("queue", "create-task-request", {"created": "2040-01-01T00:00:00"}, "/created"),
    ("queue", "create-task-request", {"tags": {"a": "x" * 4097}}, "/tags/a"),
    ("queue", "create-task-request", {"payload": []}, "/payload"),
    ("queue", "create-task-request", {"extra": None}, "/extra"),
    ("queue", "create-task-request", {"metadata": METADATA | {"source": "javascript:x"}}, "/metadata/source"),
]


@pytest.mark.parametrize(("service", "ref", "change"), GOOD)
def test_accepted(service: str, ref: str, change: dict[str, Any]) -> None:
    """What the published schemas allow is taken."""
    assert check(service, ref, TASK | change) == {}


@pytest.mark.parametrize(("service", "ref", "change", "where"), BAD)
def test_refused(service: str, ref: str, change: dict[str, Any], where: str) -> None:
    """What the published schemas rule out is refused at its place."""
    assert where in check(service, ref, TASK | change)


@pytest.mark.parametrize(
    ("service", "ref", "value", "faults"),
    [
        ("queue", "claim-work-request", {"workerGroup": "g", "workerId": "w", "tasks": 32}, set()),
        ("queue", "claim-work-request", {"workerGroup": "g", "workerId": "w.x", "tasks": 33}, {"/workerId", "/tasks"}),
        ("queue", "task-exception-request", {"reason": "worker-shutdown"}, set()),
        ("queue", "task-exception-request", {"reason": "canceled"}, {"/reason"}),
        ("queue", "task-queue-counts-request", {"taskQueueIds": ["a/b"]}, set()),
        ("queue", "task-queue-counts-request", {"taskQueueIds": ["a/b", "a/b", "a"]}, {"/taskQueueIds", "/taskQueueIds/2"}),
        ("auth", "create-client-request", {"expires": TIME, "description": "d"}, set()),
        ("auth", "create-client-request", {"description": 3}, {"/expires", "/description"}),
        ("auth", "authenticate-hawk-request", {"method": "get", "resource": "/", "host": "localhost", "port": 80, "sourceIp": "::1"}, set()),
        ("auth", "authenticate-hawk-request", {"method": "GET", "resource": "/", "host": "h", "port": 65536, "sourceIp": "x"}, {"/method", "/port", "/sourceIp"}),
        ("object", "create-upload-request", {"projectId": "p", "uploadId": SLUG, "expires": TIME, "proposedUploadMethods": {}}, set()),
        ("object", "finish-upload-request", {"projectId": "p", "uploadId": SLUG, "hashes": {"sha256": "A" * 64}}, {"/hashes/sha256"}),
        ("secrets", "secret", {"secret": {"any": ["thing"]}, "expires": TIME}, set()),
        ("secrets", "secret", {}, {"/secret", "/expires"}),
    ],
)  # fmt: skip
def test_notable_constraints(service: str, ref: str, value: Any, faults: set[str]) -> None:
    """Each service's bodies are held to their published form."""
    assert set(check(service, ref, value)) == faults


def write(folder: Path, name: str, text: str) -> None:
    (folder / "v1").mkdir(exist_ok=True)
    (folder / "v1" / f"{name}.yml").write_text(text)


def test_defaults_reach_nested_places(tmp_path: Path) -> None:
    """Defaults are filled in inside objects, list items, maps and recursive references."""
    write(tmp_path, "tree", """
type: object
properties:
  size: {type: integer, default: 1}
  inner: {type: object, default: {}, properties: {a: {default: [1]}}}
  leaves: {type: array, items: {$ref: 'tree.json#'}}
  named: {type: object, additionalProperties: {properties: {b: {default: x}}}}
""")  # fmt: skip
    filled = SchemaSet.load({"s": tmp_path}).validator("s", "tree").fill({"leaves": [{"size": 3}, 4], "named": {"n": {}}})
    assert filled == {"leaves": [{"size": 3, "inner": {"a": [1]}}, 4], "named": {"n": {"b": "x"}}, "size": 1, "inner": {"a": [1]}}


def test_defaults_of_a_choice_only_where_one_fits(tmp_path: Path) -> None:
    """Of several forms, the one that fits gives its defaults; where several fit, none does."""
    write(tmp_path, "choice", """
oneOf:
  - {type: object, required: [a], properties: {a: {type: integer}, x: {default: 1}}}
  - {type: object, required: [b], properties: {b: {type: integer}, y: {default: 2}}}
""")  # fmt: skip
    validator = SchemaSet.load({"s": tmp_path}).validator("s", "choice")
    assert validator.fill({"b": 1}) == {"b": 1, "y": 2}
    assert validator.fill({"a": 1, "b": 1}) == {"a": 1, "b": 1}


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    """A schema that cannot be read harms nobody but those who need it."""
    write(tmp_path, "broken", "{")
    write(tmp_path, "fine", "type: string")
    schemas = SchemaSet.load({"s": tmp_path})
    assert schemas.validator("s", "fine").check("x") == []
