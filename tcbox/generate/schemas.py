"""Types that belong to no language, made from JSON schemas: what a writer puts down in its own words.

A schema document becomes a declaration named after its file, an object within it one named after the way there. What a
type cannot say (patterns, lengths, what excludes what) is left to the instance, which checks every payload.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tcbox.generate import model, names

Scalar = str | int | float | bool | None
_INNER = ("properties", "patternProperties", "definitions")
_SHAPE = {"type", "properties", "$ref", "enum", "const", "oneOf", "anyOf", "allOf", "items", "additionalProperties", "patternProperties"}
_INLINE = 40  # characters of values that are told where they are
_ABOUT = {"title", "description", "default", "examples", "$id", "$schema", "definitions"}


@dataclass(frozen=True)
class Anything:
    """Whatever JSON can say."""


@dataclass(frozen=True)
class Plain:
    """`string`, `integer`, `number`, `boolean`, `null`, or `time`: a string that is a date-time."""

    kind: str


@dataclass(frozen=True)
class OneValue:
    """One of some values."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class List:
    """A list of items."""

    item: Type


@dataclass(frozen=True)
class Map:
    """An object with keys of any name."""

    value: Type


@dataclass(frozen=True)
class Named:
    """A declaration, by name."""

    name: str


@dataclass(frozen=True)
class Choice:
    """One of some types; none of them is a choice itself."""

    members: tuple[Type, ...]


Type = Anything | Plain | OneValue | List | Map | Named | Choice


@dataclass(frozen=True)
class Field:
    """One key of an object."""

    key: str
    type: Type
    required: bool
    about: str


@dataclass(frozen=True)
class Struct:
    """An object with known keys; an open one may have others besides."""

    fields: tuple[Field, ...]
    open: bool


@dataclass(frozen=True)
class Declaration:
    """A type with a name."""

    name: str
    about: str
    body: Struct | Type


@dataclass
class Types:
    """The declarations of one service, made as they are asked for.

    Attributes:
        declared: by name, in the order in which they were first needed.
    """

    service: str
    documents: Mapping[str, Mapping[str, Any]]
    reserved: frozenset[str] = frozenset()
    declared: dict[str, Declaration] = field(default_factory=dict)
    _names: names.Names = field(init=False)
    _places: dict[str, str] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names = names.Names(self.reserved)

    def named(self, ref: str) -> Type:
        """The type of a schema such as "/schemas/queue/v1/task.json#"."""
        path, _, pointer = ref.partition("#")
        if path not in self.documents:
            return Anything()
        if pointer.strip("/"):
            return self._pointed(path, pointer)
        return Named(self._declare(f"{path}#", self._document_name(path), self.documents[path], path))

    # ---------------------------------------------------------------- places

    def _document_name(self, path: str) -> str:
        parts = path.removeprefix("/schemas/").removesuffix(".json").split("/")
        service, rest = parts[0], [part for part in parts[1:] if part != "v1"]
        return names.camel("-".join(([] if service == self.service else [service]) + rest))

    def _at(self, path: str, pointer: str) -> Any:
        node: Any = self.documents[path]
        for part in filter(None, pointer.split("/")):
            part = part.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901 - the same part, unescaped
            inner = dict(enumerate(node)) if isinstance(node, list) else node if isinstance(node, dict) else {}
            node = inner.get(int(part) if isinstance(node, list) and part.isdigit() else part)
        return node

    def _pointed(self, path: str, pointer: str) -> Type:
        place = f"{path}#{pointer}"
        if place in self._places:
            return Named(self._places[place])
        parts = [part for part in pointer.split("/") if part]
        shown = [part for before, part in zip(["", *parts], parts, strict=False) if part not in _INNER or before in _INNER]
        name = self._document_name(path) + names.camel("-".join("item" if part == "items" else part for part in shown))
        if place in self._open:
            return Anything()
        self._open.append(place)
        try:
            return self._typed(self._at(path, pointer), name, path, place)
        finally:
            self._open.pop()

    def _declare(self, place: str, wish: str, schema: Any, path: str, *, known_as: str = "") -> str:
        if known_as:
            self._places[known_as] = self._places.get(place, "")
        if place not in self._places:
            name = self._places[place] = self._places[known_as or place] = self._names.take(wish)
            self.declared[name] = Declaration(name, "", Anything())  # its place in the order
            self.declared[name] = Declaration(name, _about(schema), self._body(schema, name, path))
        return self._places[place]

    # ---------------------------------------------------------------- schemas

    def _body(self, schema: Any, name: str, path: str) -> Struct | Type:
        """What a declaration of this name stands for."""
        schema, path = self._flat(schema, path)
        struct = self._struct(schema, name, path)
        return struct if struct is not None else self._build(schema, name, path)

    def _typed(self, schema: Any, name: str, path: str, place: str = "") -> Type:
        """The type of a part of a schema; what deserves a name is declared, once for each `place` that others refer to."""
        if not isinstance(schema, dict):
            return Anything()
        if "$ref" in schema and not schema.keys() & (_SHAPE - {"$ref"}):
            return self.named(model.absolute(path, schema["$ref"]))
        about = {key: schema[key] for key in ("title", "description") if key in schema}
        schema, path = self._flat(schema, path)
        if self._is_struct(schema) or len(schema.get("enum", ())) > 1 or len(_alternatives(schema)) > 1:
            whole = {**schema, **about}
            if self._is_struct(schema) or _deserves_name(self._build(schema, name, path)):
                return Named(self._declare(json.dumps([path, name, whole]), name, whole, path, known_as=place))
        return self._build(schema, name, path)

    def _build(self, schema: Any, name: str, path: str) -> Type:
        if not isinstance(schema, dict):
            return Anything()
        if "const" in schema:
            return OneValue((schema["const"],)) if _scalar(schema["const"]) else Anything()
        if "enum" in schema:
            return OneValue(tuple(schema["enum"])) if all(_scalar(value) for value in schema["enum"]) else Anything()
        if alternatives := _alternatives(schema):
            return self._choice(schema, alternatives, name, path)
        kind = schema.get("type")
        if isinstance(kind, list):
            return _union([self._typed({**schema, "type": each}, name, path) for each in kind])
        return self._kind(kind, schema, name, path)

    def _kind(self, kind: str | None, schema: Mapping[str, Any], name: str, path: str) -> Type:
        if kind == "array" or (kind is None and isinstance(schema.get("items"), dict)):
            items = schema.get("items")
            return List(self._typed(items, f"{name}Item", path) if isinstance(items, dict) else Anything())
        if kind == "object":
            return Map(_union([self._typed(each, f"{name}Value", path) for each in _values(schema)]))
        if kind == "string":
            return Plain("time" if schema.get("format") == "date-time" else "string")
        return Plain(kind) if kind in ("integer", "number", "boolean", "null") else Anything()

    def _choice(self, schema: Mapping[str, Any], alternatives: list[Any], name: str, path: str) -> Type:
        base = {key: value for key, value in schema.items() if key not in ("oneOf", "anyOf") and key not in _ABOUT}
        made = []
        for number, each in enumerate(alternatives, 1):
            label = names.camel(_label(each)) if _label(each) else str(number) if len(alternatives) > 1 else ""
            if "$ref" in each and "properties" not in base:
                made.append(self._typed(each, name, path))
            else:
                flat, at = self._flat(each, path)
                made.append(self._typed(_merged([base, flat]), name + label, at))
        return _union(made)

    def _flat(self, schema: Any, path: str) -> tuple[Any, str]:
        """A schema without `$ref` beside other keys, and without `allOf`; and the document that its references are seen from."""
        for _ in range(50):
            if not isinstance(schema, dict) or "$ref" not in schema:
                break
            path, _, pointer = model.absolute(path, schema["$ref"]).partition("#")
            found = self._at(path, pointer) if path in self.documents else {}
            schema = {**(found if isinstance(found, dict) else {}), **{key: value for key, value in schema.items() if key in ("title", "description")}}
        if isinstance(schema, dict) and "allOf" in schema:
            parts = [self._absolute(*self._flat(each, path)) for each in schema["allOf"]]
            schema = _merged([{key: value for key, value in schema.items() if key != "allOf"}, *parts])
        return schema, path

    def _absolute(self, schema: Any, path: str) -> Any:
        """The same with references that can be followed from anywhere."""
        if isinstance(schema, dict):
            ref = {"$ref": model.absolute(path, schema["$ref"])} if isinstance(schema.get("$ref"), str) else {}
            return {**{key: self._absolute(value, path) for key, value in schema.items()}, **ref}
        return [self._absolute(value, path) for value in schema] if isinstance(schema, list) else schema

    def _is_struct(self, schema: Mapping[str, Any]) -> bool:
        if _alternatives(schema) or schema.get("type", "object") != "object":
            return False
        closed = schema.get("additionalProperties") is False and schema.get("type") == "object" and not schema.get("patternProperties")
        return bool(schema.get("properties")) or closed

    def _struct(self, schema: Any, name: str, path: str) -> Struct | None:
        if not isinstance(schema, dict) or not self._is_struct(schema):
            return None
        required = set(schema.get("required", ()))
        fields = [
            Field(key, self._typed(inner, name + names.camel(key), path), key in required, _about(inner))
            for key, inner in schema.get("properties", {}).items()
            if inner is not False and not (isinstance(inner, dict) and inner.get("not") == {})
        ]
        return Struct(tuple(fields), schema.get("additionalProperties", True) is not False)


def _deserves_name(kind: Type) -> bool:
    """Whether a type is better told once, under a name: more values than a line holds, or several objects."""
    match kind:
        case OneValue(values):
            return sum(len(str(value)) + 4 for value in values) > _INLINE
        case Choice(members):
            return sum(isinstance(member, Named) for member in members) > 1
        case _:
            return False


def _values(schema: Mapping[str, Any]) -> list[Any]:
    """The schemas that an object's values of any name may have."""
    others = schema.get("additionalProperties", not schema.get("patternProperties"))
    return [*schema.get("patternProperties", {}).values(), *([others] if others is not False else [])]


def _alternatives(schema: Mapping[str, Any]) -> list[Any]:
    """The alternatives of a schema that differ in their form; those that only bind values more closely are none."""
    found = schema.get("oneOf") or schema.get("anyOf") or []
    formed = [each for each in found if isinstance(each, dict) and each.keys() & _SHAPE]
    return formed if len(formed) == len(found) else []


def _label(schema: Any) -> str:
    """What an alternative is told apart by: the one value of a key of its own."""
    for inner in (schema.get("properties", {}) if isinstance(schema, dict) else {}).values():
        if isinstance(inner, dict):
            values = [inner["const"]] if "const" in inner else inner.get("enum", [])
            if len(values) == 1 and isinstance(values[0], str):
                return values[0]
    return ""


def _merged(schemas: list[Any]) -> dict[str, Any]:
    """All schemas that a value must match, as one."""
    made: dict[str, Any] = {}
    for schema in schemas:
        for key, value in schema.items():
            if key == "properties":
                made[key] = {**made.get(key, {}), **value}
            elif key == "required":
                made[key] = [*made.get(key, []), *(each for each in value if each not in made.get(key, []))]
            elif key not in _ABOUT or key not in made:
                made[key] = value
    return made


def _union(members: list[Type]) -> Type:
    """One of some types, each of them once."""
    flat: list[Type] = []
    values: list[Scalar] = []
    for member in members:
        for each in member.members if isinstance(member, Choice) else (member,):
            if isinstance(each, OneValue):
                values += [value for value in each.values if value not in values]
            elif each not in flat:
                flat.append(each)
    if Anything() in flat:
        return Anything()
    if Plain("string") in flat:
        values = [value for value in values if not isinstance(value, str)]
        flat = [each for each in flat if each != Plain("time")]
    if values:
        flat.insert(0, OneValue(tuple(values)))
    if not flat:
        return Anything()
    return flat[0] if len(flat) == 1 else Choice(tuple(flat))


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _about(schema: Any) -> str:
    """What a schema says of itself."""
    if not isinstance(schema, dict):
        return ""
    return str(schema.get("description") or schema.get("title") or "").strip()


def reached(declared: Mapping[str, Declaration], roots: list[Type]) -> list[str]:
    """The names of the declarations that these types lead to, in the order of `declared`."""
    found: set[str] = set()
    waiting = [name for root in roots for name in mentioned(root)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += mentioned(declared[name].body)
    return [name for name in declared if name in found]


def mentioned(body: Struct | Type) -> Iterator[str]:
    """The names that a type mentions."""
    match body:
        case Named(name):
            yield name
        case List(inner) | Map(inner):
            yield from mentioned(inner)
        case Choice(members):
            for member in members:
                yield from mentioned(member)
        case Struct(fields):
            for each in fields:
                yield from mentioned(each.type)
        case _:
            pass


def nullable(kind: Type) -> tuple[Type, bool]:
    """A type without null, and whether null was among what it may be."""
    match kind:
        case Choice(members):
            kept = [replace(m, values=tuple(v for v in m.values if v is not None)) if isinstance(m, OneValue) else m for m in members if m != Plain("null")]
            kept = [m for m in kept if m != OneValue(())]
            return _union(list(kept)), list(kept) != list(members)
        case OneValue(values) if None in values and len(values) > 1:
            return OneValue(tuple(value for value in values if value is not None)), True
        case _:
            return kind, False
