"""What is wrong with a value, in words: where, what was given, what is expected."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jsonschema_rs

_SHOWN = 48
_SECRETIVE = re.compile(r"secret|token|password|credential|certificate|authorization|privatekey|payload", re.IGNORECASE)
_KINDS = {
    "string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false", "null": "null",
    "object": "an object", "array": "a list",
}  # fmt: skip
_LIKE = {"date-time": "a time with zone, like 2026-01-31T12:00:00.000Z", "uri": "a URL with its scheme, like https://example.com/x",
         "email": "an e-mail address, like someone@example.com", "regex": "a regular expression", "hostname": "a host name",
         "ipv4": "an IPv4 address", "ipv6": "an IPv6 address"}  # fmt: skip
_NESTING = {"required", "additionalProperties", "oneOf", "anyOf"}
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_EMAIL = re.compile(rf"[a-z0-9!#$%&'*+/=?^_`{{|}}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{{|}}~-]+)*@(?:{_LABEL}\.)+{_LABEL}", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        path: the JSON pointer of the place, such as "/metadata/name"; empty for the whole value.
        message: what is wrong there, and what is expected.
    """

    path: str
    message: str


def is_email(value: Any) -> bool:
    """Whether a string is a bare e-mail address at a domain; quoted names and comments are not taken."""
    return not isinstance(value, str) or _EMAIL.fullmatch(value) is not None


def explain(errors: Iterable[jsonschema_rs.ValidationError]) -> list[Fault]:
    """All faults of a value, from the errors of its schema, in order of appearance and without repetition."""
    found: dict[Fault, None] = {}
    for error in errors:
        found.update(dict.fromkeys(_faults(error)))
    return list(found)


def _faults(error: jsonschema_rs.ValidationError) -> Iterable[Fault]:
    kind: Any = error.kind
    path = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in error.instance_path)
    if kind.name == "required":
        yield Fault(f"{path}/{kind.property}", "is missing: it is required")
    elif kind.name == "additionalProperties":
        for name in kind.unexpected:
            yield Fault(f"{path}/{name}", "is not known here: take it out, or mend its name")
    elif kind.name in ("oneOf", "anyOf"):
        yield from _alternatives(path, kind.context)
    else:
        yield Fault(path, _sentence(kind, error.instance, _SECRETIVE.search(path) is not None))


def _alternatives(path: str, branches: list[list[Any]]) -> Iterable[Fault]:
    """The faults of the branch that the value comes nearest to: one whose fixed values fit, with the fewest faults."""
    if not all(branches):
        yield Fault(path, "fits more than one of the forms that it may have: make it fit exactly one")
        return
    ranked = sorted(branches, key=lambda errors: (sum(_decides(error) for error in errors), len(errors)))
    if len(ranked) > 1 and any(_decides(error) for error in ranked[0]):
        fixed = [error.kind for errors in branches for error in errors if error.kind.name in ("enum", "const")]
        options = [option for kind in fixed for option in (kind.options if kind.name == "enum" else [kind.expected_value])]
        if options:
            place = next((error for error in ranked[0] if error.kind.name in ("enum", "const")), ranked[0][0])
            where = "".join(f"/{part}" for part in place.instance_path)
            yield Fault(where, f"fits none of the forms that it may have; known here: {_listed(options)}")
            return
    ties = [errors[0] for errors in ranked if len(errors) == 1 and len(errors[0].instance_path) == len(ranked[0][0].instance_path)]
    if len(ties) == len(ranked) > 1 and not any(error.kind.name in _NESTING for error in ties):
        demands = dict.fromkeys(_demand(error.kind) for error in ties)
        secret = _SECRETIVE.search(path) is not None
        yield Fault(path, f"must {', or '.join(demands)}{_but(ties[0].kind.name, ties[0].instance, secret)}")
        return
    for error in ranked[0]:
        yield from _faults(error)


def _decides(error: Any) -> bool:
    return error.kind.name in ("enum", "const", "type") and len(error.instance_path) < 3


def _sentence(kind: Any, given: Any, secret: bool) -> str:
    return f"must {_demand(kind)}{_but(kind.name, given, secret)}"


def _demand(kind: Any) -> str:
    match kind.name:
        case "type":
            return "be " + " or ".join(_KINDS.get(name, name) for name in kind.types)
        case "enum":
            return f"be one of {_listed(kind.options)}"
        case "const":
            return f"be {_short(kind.expected_value)}"
        case "pattern":
            return f"match the regular expression {kind.pattern}"
        case "format":
            return f"be {_LIKE.get(kind.format, 'of the form ' + kind.format)}"
        case "minLength" | "maxLength":
            return f"have {_bound(kind)} characters"
        case "minItems" | "maxItems":
            return f"have {_bound(kind)} items"
        case "minProperties" | "maxProperties":
            return f"have {_bound(kind)} properties"
        case "uniqueItems":
            return "list everything once, and has items that are equal"
        case "minimum" | "maximum":
            return f"be {_bound(kind)}"
        case "exclusiveMinimum":
            return f"be more than {kind.limit}"
        case "exclusiveMaximum":
            return f"be less than {kind.limit}"
        case "multipleOf":
            return f"be a multiple of {kind.multiple_of}"
        case "not":
            return "not be of the form that its schema rules out"
        case "falseSchema":
            return "not be given"
        case name:
            return f"satisfy the keyword {name} of its schema"


def _bound(kind: Any) -> str:
    return f"at least {kind.limit}" if kind.name.startswith("min") else f"at most {kind.limit}"


def _but(keyword: str, given: Any, secret: bool) -> str:
    if keyword in ("uniqueItems", "not", "falseSchema"):
        return ""
    if keyword.endswith("Length"):
        return f", has {len(given)}"
    if keyword.endswith(("Items", "Properties")):
        return f", has {len(given)}"
    if secret or isinstance(given, (dict, list)):
        return f", is {_kind(given)}" if keyword == "type" else ""
    return f", is {_short(given)}"


def _kind(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    if isinstance(value, bool):
        return "a boolean"
    return _KINDS[names.get(type(value), "number")]


def _listed(options: list[Any]) -> str:
    return ", ".join(dict.fromkeys(_short(option) for option in options))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}... ({len(text)} characters)"
