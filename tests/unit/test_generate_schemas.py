"""Types that are made from JSON schemas, before any language has its say."""

import pytest

from tcbox.generate import schemas
from tcbox.generate.schemas import Anything, Choice, List, Map, Named, OneValue, Plain
from tests.support import references

OBJECT = {"type": "object", "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "string"}, Plain("string")),
        ({"type": "string", "format": "date-time"}, Plain("time")),
        ({"type": "string", "minLength": 1, "pattern": "^x"}, Plain("string")),
        ({"type": ["integer", "null"]}, Choice((Plain("integer"), Plain("null")))),
        ({"const": 1}, OneValue((1,))),
        ({"enum": ["a", "b"]}, OneValue(("a", "b"))),
        ({"enum": [{"not": "scalar"}]}, Anything()),
        ({}, Anything()),
        (True, Anything()),
        ({"not": {"type": "string"}}, Anything()),
        ({"type": "object"}, Map(Anything())),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, Map(Plain("integer"))),
        ({"type": "object", "patternProperties": {"^x": {"type": "integer"}, "^y": {"type": "null"}}}, Map(Choice((Plain("integer"), Plain("null"))))),
        ({"type": "array", "items": {"type": "boolean"}}, List(Plain("boolean"))),
        ({"items": {"type": "boolean"}}, List(Plain("boolean"))),
        ({"type": "array"}, List(Anything())),
        ({"type": "array", "items": [{"type": "string"}]}, List(Anything())),
        ({"oneOf": [{"type": "string"}, {"enum": ["a"]}]}, Plain("string")),
        ({"oneOf": [{"enum": ["a"]}, {"const": None}]}, OneValue(("a", None))),
        ({"oneOf": [{"type": "string"}, {}]}, Map(Anything()) if False else Anything()),
        ({"type": "string", "anyOf": [{"format": "uri"}, {"maxLength": 0}]}, Plain("string")),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, None),
        ({"$ref": "other.json#/definitions/word"}, Plain("string")),
        ({"$ref": "./other.json#/definitions/many/0"}, Plain("integer")),
        ({"$ref": "other.json#/definitions/nowhere"}, Anything()),
        ({"$ref": "https://example.com/schema#"}, Anything()),
        ({"$ref": "absent.json#"}, Anything()),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, Plain("integer")),
    ],
)
def test_a_schema_is_a_type(schema, wanted):
    """Each form of a schema has its type; what has none that could be told is anything."""
    other = {"definitions": {"word": {"type": "string"}, "many": [{"type": "integer"}]}}
    body = references.types({**OBJECT, "properties": {"it": schema}}, other=other).declared["Thing"].body
    found = body.fields[0].type
    assert found == wanted if wanted is not None else isinstance(found, Named)


def test_keys_are_fields():
    """Required keys, descriptions and whether others may stand beside them are kept; a key that nothing may have is none."""
    made = references.types({
        "type": "object", "required": ["b"],
        "properties": {"a": {"type": "string", "description": "An a."}, "b": {"title": "A b"}, "c": {"not": {}}, "d": False},
    })  # fmt: skip
    body = made.declared["Thing"].body
    assert body == schemas.Struct((schemas.Field("a", Plain("string"), False, "An a."), schemas.Field("b", Anything(), True, "A b")), True)
    assert not references.types({**OBJECT, "properties": {}}).declared["Thing"].body.open


def test_what_refers_to_itself_ends():
    """Schemas in a circle, within a document and over several, with and without keys."""
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "list": {"$ref": "#/definitions/list"}}, "definitions": {"list": {"type": "array", "items": {"$ref": "#/definitions/list"}}}}  # fmt: skip
    made = references.types(tree)
    assert made.declared["Thing"].body.fields[0].type == Named("Thing")
    assert made.declared["Thing"].body.fields[1].type == List(Anything())
    made = references.types({"type": "array", "items": {"$ref": "other.json#"}}, other={"oneOf": [{"type": "null"}, {"$ref": "thing.json#"}]})
    assert made.declared["Thing"].body == List(Named("Other"))
    assert made.declared["Other"].body == Choice((Plain("null"), Named("Thing")))
    assert references.types({"$ref": "#"}).declared["Thing"].body == Anything()


def test_alternatives_are_named_after_what_tells_them_apart():
    """Objects of which a value is one have names of their own, and so has the choice; keys beside `oneOf` are those of each."""
    made = references.types({
        "type": "object", "properties": {"common": {"type": "string"}}, "required": ["common"],
        "oneOf": [
            {"properties": {"kind": {"enum": ["one-way"]}}, "required": ["kind"]},
            {"properties": {"kind": {"const": "other"}, "more": {"type": "integer"}}},
        ],
    })  # fmt: skip
    assert made.declared["Thing"].body == Choice((Named("ThingOneWay"), Named("ThingOther")))
    assert [(each.key, each.required) for each in made.declared["ThingOneWay"].body.fields] == [("common", True), ("kind", True)]
    assert [(each.key, each.required) for each in made.declared["ThingOther"].body.fields] == [("common", True), ("kind", False), ("more", False)]


def test_the_parts_of_all_of_are_one():
    """`allOf` is one object with the keys of all, also where one part is a choice that others lie behind."""
    part = {"type": "object", "properties": {"z": {"$ref": "#/definitions/z"}}, "definitions": {"z": {"type": "integer"}}}
    made = references.types({"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, {"oneOf": [{"$ref": "part.json#"}, {"properties": {"b": {}}}]}]}, part=part)  # fmt: skip
    assert made.declared["Thing"].body == Choice((Named("Thing1"), Named("Thing2")))
    assert [(each.key, each.type, each.required) for each in made.declared["Thing1"].body.fields] == [
        ("a", Plain("string"), True),
        ("z", Plain("integer"), False),
    ]


def test_one_name_stands_for_one_thing():
    """The same part is declared once, however it is reached; other parts of the same name get a number, and reserved names are kept free."""
    state = {"type": "string", "enum": ["a state with a long name", "and another one of the kind"]}
    thing = {**OBJECT, "properties": {"state": state, "again": {"$ref": "thing.json#/properties/state"}, "o": {"$ref": "other.json#"}}}
    other = {**OBJECT, "properties": {"state": {"$ref": "thing.json#/properties/state"}}}
    made = references.types(thing, other=other)
    assert {each.type for name in ("Thing", "Other") for each in made.declared[name].body.fields} == {Named("ThingState"), Named("Other")}
    clash = {**OBJECT, "properties": {"a-b": {**OBJECT, "properties": {"x": {}}}, "aB": {**OBJECT, "properties": {"y": {}}}}}
    assert [name for name in references.types(clash).declared if name != "Thing"] == ["ThingAB", "ThingAB2"]
    made = schemas.Types("demo", {"/schemas/demo/v1/client.json": OBJECT, "/schemas/queue/v1/task.json": OBJECT}, frozenset({"Client"}))
    assert made.named("/schemas/demo/v1/client.json#") == Named("Client2")
    assert made.named("/schemas/queue/v1/task.json#") == Named("QueueTask")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (Choice((Plain("string"), Plain("null"))), (Plain("string"), True)),
        (Choice((Plain("string"), Plain("integer"))), (Choice((Plain("string"), Plain("integer"))), False)),
        (Choice((OneValue((None,)), Named("X"))), (Named("X"), True)),
        (OneValue(("a", None)), (OneValue(("a",)), True)),
        (Plain("null"), (Plain("null"), False)),
    ],
)
def test_null_is_told_apart(given, wanted):
    """Null among what a value may be is known apart from the rest."""
    assert schemas.nullable(given) == wanted


def test_all_services_have_types():
    """Every method and exchange in the tree has types, and of those none but what is free by its schema is anything."""
    for service in references.tree().services:
        made = schemas.Types(service.name, references.tree().schemas)
        for method in service.methods:
            for ref in filter(None, (method.input, method.output)):
                made.named(ref)
        for exchange in service.exchanges:
            made.named(exchange.schema)
        for declaration in made.declared.values():
            assert declaration.body != Anything(), declaration.name
