"""The documents that derive from the declarations: references, schemas, manifest, OpenAPI."""

import json

import pytest

from tcbox import events
from tcbox.api import Api, references
from tcbox.api.schemas import SchemaSet
from tests.support import demo

exchanges = events.Exchanges("demo", title="Demo", description="For tests.")
exchanges.declare(
    "changed", name="changed", title="Changed", description="It changed.", schema="thing",
    keys=(events.Key("routingKeyKind", "Always primary.", constant="primary", required=True), events.Key("rest", "Rest.", multiple_words=True)),
)  # fmt: skip


@pytest.fixture
def documents():
    return references.References({"demo": demo.api}, {"demo": exchanges}, SchemaSet({"demo": demo.SCHEMAS}))


def test_references_fit_their_published_schemas(documents):
    """Each reference is what the schema that it names asks for."""
    schemas = SchemaSet({"demo": demo.SCHEMAS})
    paths = [*documents.paths(), "/references/manifest.json"]
    assert len(paths) == 3
    for path in paths:
        document = json.loads(json.dumps(documents.document(path)))
        name = document["$schema"].removeprefix("/schemas/common/").removesuffix("#")
        assert schemas.validator("common", name).check(document) == [], path


def test_schemas_are_published_under_their_ids(documents):
    """Every listed schema is there, under the id that it states."""
    listed = documents.document("/references/references.json")
    names = [entry["filename"] for entry in listed]
    assert "schemas/demo/v1/thing.json" in names
    assert "references/demo/v1/api.json" in names
    for entry in listed:
        if entry["filename"].startswith("schemas/"):
            assert entry["content"]["$id"] == f"/{entry['filename']}#"


def test_a_method_as_published(documents):
    """A method's entry states route, arguments, query, scopes and schemas."""
    entries = {entry["name"]: entry for entry in documents.document("/references/demo/v1/api.json")["entries"]}
    put = entries["putThing"]
    assert (put["method"], put["route"], put["args"], put["query"]) == ("put", "/things/<name>", ["name"], [])
    assert (put["scopes"], put["input"], put["title"]) == ("demo:put:<name>", "v1/thing.json#", "Put a Thing")
    assert "output" not in put
    assert entries["listThings"]["query"] == ["continuationToken", "limit"]
    assert "scopes" not in entries["ping"]


def test_openapi_is_valid(documents):
    """The OpenAPI document passes the specification's own validator, and has all schemas inside."""
    validator = pytest.importorskip("openapi_spec_validator")
    document = json.loads(json.dumps(documents.document("/references/demo/v1/openapi.json")))
    validator.validate(document)
    operation = document["paths"]["/api/demo/v1/things/{name}"]["put"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"] == "#/components/schemas/demo-v1-thing"
    assert operation["x-taskcluster-scopes"] == "demo:put:<name>"
    limit = document["paths"]["/api/demo/v1/things/"]["get"]["parameters"][1]
    assert limit["schema"]["pattern"] == "^[0-9]{1,15}$"


async def test_over_http():
    """Documents are served to pages of any origin, with a length that HEAD tells too; others are 404."""
    async with demo.running() as d:
        for path, status in (
            ("/references/demo/v1/api.json", 200),
            ("/schemas/demo/v1/thing.json", 200),
            ("/references/demo/v1/none.json", 404),
            ("/schemas/../x.json", 404),
            ("/references/demo/v1/api.json/x", 404),
            ("/references/demo/v1/openapi.json/", 404),
            ("/references/demo/v1", 404),
            ("/references/manifest.json/x", 404),
        ):
            ((got, headers, body),) = await d.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (got, headers["access-control-allow-origin"]) == (status, "*")
            assert json.loads(body)


def _declared(api, **declaration):
    @api.get("/x/<name>", **declaration)
    async def method(self, call, name):
        """Method"""

    return method


@pytest.mark.parametrize(
    ("declare", "wanted"),
    [
        (lambda api: _declared(api, name="ping"), "already"),
        (lambda api: api.get("/y/<a>", name="y")(demo.Things.get), "make them agree"),
        (lambda api: api.get("/y", name="y")(lambda self, call: None), "async def"),
    ],
)
def test_declarations_that_are_refused(declare, wanted):
    """A declaration that contradicts its coroutine, or another declaration, fails where it stands."""
    api = Api("other", title="Other", description="For tests.")
    demo.monitoring.declare(api)
    with pytest.raises(TypeError, match=wanted):
        declare(api)
