"""What is done apart for hooks: templates are rendered, payloads checked against schemas. `sandbox` asks for it.

What it works on comes from others: a template of a few lines can ask for more time or memory than there is, a schema
for more stack.
"""

from __future__ import annotations

from typing import Any

import jsone
import jsonschema_rs

from tcbox.api import faults
from tcbox.api.defaults import Compiler

DIALECT = "http://json-schema.org/draft-07/schema#"
"""What a schema is written in that does not say it."""

_SELF = "schema://hook"


class RefusedError(Exception):
    """What is wrong, in words for the author."""


def check(question: dict[str, Any]) -> None:
    """Refuse what is no schema, or cannot be used as it stands."""
    _compiled(question["schema"])


def accept(question: dict[str, Any]) -> Any:
    """A payload with the schema's defaults filled in; refused if it does not satisfy the schema."""
    schema, payload = question["schema"], question["payload"]
    found = _first(_compiled(schema).iter_errors(payload), 20)
    if found and all(_takes_nothing(error) for error in found):
        raise RefusedError("the payload must be empty, for that is what the hook's triggerSchema says; it has " + ", ".join(payload))
    if found:
        raise RefusedError("; ".join(f"{fault.path or 'the payload'} {fault.message}" for fault in faults.explain(found)))
    return _filled(schema, payload)


def render(question: dict[str, Any]) -> dict[str, Any] | None:
    """A template filled in with a context: the task, or None for none."""
    try:
        task = jsone.render(question["template"], question["context"])
    except RecursionError:
        raise RefusedError("the template goes too deep into itself") from None
    except MemoryError:
        raise
    except Exception as error:
        raise RefusedError(str(error) if type(error).__module__.startswith("jsone") else f"{type(error).__name__}: {error}") from None
    if not task and not isinstance(task, (dict, list)):
        return None
    if not isinstance(task, dict):
        raise RefusedError(f"the template renders to {_kind(task)}, and a task is an object")
    return task


def _kind(value: Any) -> str:
    names: dict[type, str] = {str: "a text", list: "a list", bool: "true"}
    return names.get(type(value), "a number")


def _takes_nothing(error: Any) -> bool:
    """Whether this is the refusal of any property by a schema that names none, as the default schema does."""
    return bool(error.kind.name == "falseSchema" and not error.instance_path and list(error.schema_path)[-1:] == ["additionalProperties"])


def _first(found: Any, number: int) -> list[Any]:
    return [error for error, _ in zip(found, range(number), strict=False)]


def _compiled(schema: dict[str, Any]) -> Any:
    """The compiled schema; raises RefusedError with all that is wrong with it."""
    dialect = schema.get("$schema", DIALECT)
    try:
        found = faults.explain(_first(jsonschema_rs.validator_for({"$schema": dialect, "$ref": dialect}, retriever=_refuse).iter_errors(schema), 20))
        if not found:
            return jsonschema_rs.validator_for({"$schema": dialect, **schema}, retriever=_refuse, validate_formats=True)
    except (ValueError, TypeError, OverflowError) as error:
        raise RefusedError(f" * {getattr(error, 'message', str(error))}") from None
    raise RefusedError("\n".join(f" * {fault.path or '/'} {fault.message}" for fault in found))


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is not looked up: write what it says into the schema itself, below `definitions`")


def _filled(schema: dict[str, Any], payload: Any) -> Any:
    """The payload with the schema's defaults where it has nothing."""

    def accepts(place: str) -> Any:
        return jsonschema_rs.Draft7Validator({"$ref": f"{_SELF}#{place.partition('#')[2]}"}, retriever=lambda _: schema).is_valid

    filler = Compiler(lambda path: {} if path else schema, accepts).filler("")
    return payload if filler is None else filler(payload)


DOES = {"check": check, "accept": accept, "render": render}
