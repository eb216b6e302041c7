"""The program that does for hooks what their authors say: renders templates, checks payloads against schemas.

It runs as a process of its own, for what it works on comes from others: a template of a few lines can ask for more
time or memory than there is, a schema for more stack. It is asked on standard input and answers on standard output,
each a length of four bytes and JSON of that length, and ends when the input does. `sandbox` talks to it.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import Any

import msgspec

MEMORY = 1024 * 1024 * 1024
"""Bytes that the process may have."""

LONGEST = 60
"""Seconds for which it works at one question, if nobody ends it before."""

OUT_OF_MEMORY = 70
"""The status with which it ends when that was not enough."""

DEPTH = 250
"""Lists and objects within each other in a rendered task, as the API takes them."""

DIALECT = "http://json-schema.org/draft-07/schema#"
"""What a schema is written in that does not say it."""

_FRAMES = 20_000
_SELF = "schema://hook"


def check(request: dict[str, Any]) -> dict[str, Any]:
    """Whether a schema is one, and can be used as it stands."""
    try:
        _compiled(request["schema"])
    except ValueError as error:
        return {"fault": str(error)}
    return {}


def accept(request: dict[str, Any]) -> dict[str, Any]:
    """Whether a payload satisfies a schema; with the schema's defaults filled in if so."""
    from tcbox.api import faults

    schema, payload = request["schema"], request["payload"]
    try:
        found = _first(_compiled(schema).iter_errors(payload), 20)
    except ValueError as error:
        return {"fault": str(error)}
    if found and all(_takes_nothing(error) for error in found):
        return {"fault": "the payload must be empty, for that is what the hook's triggerSchema says; it has " + ", ".join(payload)}
    if found:
        return {"fault": "; ".join(f"{fault.path or 'the payload'} {fault.message}" for fault in faults.explain(found))}
    return {"payload": _filled(schema, payload)}


def render(request: dict[str, Any]) -> dict[str, Any]:
    """A template filled in with a context: the task, nothing, or why neither came of it."""
    import jsone

    try:
        task = jsone.render(request["template"], request["context"])
    except RecursionError:
        return {"fault": "the template goes too deep into itself"}
    except MemoryError:
        raise
    except Exception as error:
        return {"fault": str(error) if type(error).__module__.startswith("jsone") else f"{type(error).__name__}: {error}"}
    if not task and not isinstance(task, (dict, list)):
        return {"task": None}
    if not isinstance(task, dict):
        return {"fault": f"the template renders to {_kind(task)}, and a task is an object"}
    if _deep(task):
        return {"fault": f"the template renders to lists and objects that nest more than {DEPTH} deep"}
    return {"task": task}


def _kind(value: Any) -> str:
    names: dict[type, str] = {str: "a text", list: "a list", bool: "true"}
    return names.get(type(value), "a number")


def _deep(value: Any) -> bool:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEPTH:
            return True
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer) if isinstance(inner, (dict, list))]
    return False


def _takes_nothing(error: Any) -> bool:
    """Whether this is the refusal of any property by a schema that names none, as the default schema does."""
    return bool(error.kind.name == "falseSchema" and not error.instance_path and list(error.schema_path)[-1:] == ["additionalProperties"])


def _first(found: Any, number: int) -> list[Any]:
    return [error for error, _ in zip(found, range(number), strict=False)]


def _compiled(schema: dict[str, Any]) -> Any:
    """The compiled schema; raises ValueError with all that is wrong with it."""
    import jsonschema_rs

    from tcbox.api import faults

    dialect = schema.get("$schema", DIALECT)
    try:
        found = faults.explain(_first(jsonschema_rs.validator_for({"$schema": dialect, "$ref": dialect}, retriever=_refuse).iter_errors(schema), 20))
        if not found:
            return jsonschema_rs.validator_for({"$schema": dialect, **schema}, retriever=_refuse, validate_formats=True)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f" * {getattr(error, 'message', str(error))}") from None
    raise ValueError("\n".join(f" * {fault.path or '/'} {fault.message}" for fault in found))


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is not looked up: write what it says into the schema itself, below `definitions`")


def _filled(schema: dict[str, Any], payload: Any) -> Any:
    """The payload with the schema's defaults where it has nothing."""
    from tcbox.api.defaults import Compiler

    def accepts(place: str) -> Any:
        import jsonschema_rs

        return jsonschema_rs.Draft7Validator({"$ref": f"{_SELF}#{place.partition('#')[2]}"}, retriever=lambda _: schema).is_valid

    filler = Compiler(lambda path: {} if path else schema, accepts).filler("")
    return payload if filler is None else filler(payload)


DOES = {"check": check, "accept": accept, "render": render}


def _watch() -> None:
    """Have the system end this process should one question take a minute, when whoever asked is not there to do so."""
    if hasattr(signal, "alarm"):
        signal.alarm(LONGEST)


def _limit() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Answer until the input ends."""
    _limit()
    sys.setrecursionlimit(_FRAMES)
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    while len(head := asked.read(4)) == 4:
        _watch()
        request = msgspec.json.decode(asked.read(int.from_bytes(head)))
        try:
            answer = msgspec.json.encode(DOES[request["do"]](request))
        except MemoryError:
            sys.exit(OUT_OF_MEMORY)
        answers.write(len(answer).to_bytes(4) + answer)
        answers.flush()
        if hasattr(signal, "alarm"):
            signal.alarm(0)


if __name__ == "__main__":
    main()
