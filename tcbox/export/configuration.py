"""A `tcbox.yml` for one process: of what was said, what it reads, with references left as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tcbox.config.load import Template
from tcbox.config.reader import fields
from tcbox.export import needs, references, yamltext

PORT = 8080
PLACE = {"host": "0.0.0.0", "port": PORT, "data": "/var/lib/tcbox"}  # noqa: S104 - within a container
"""Where a process listens and keeps what it may lose: the same in every container."""


def service(template: Template, name: str) -> dict[str, Any]:
    """What a service reads, as a document."""
    found = _tree(template, needs.settings(name))
    own = found.get("services", {}).get(needs.package(name), {})
    for key in needs.LEFT_OUT:
        own.pop(key, None)
    for other, off in _switched_off(template):
        found.setdefault("services", {}).setdefault(other, {})["enabled"] = off
    found.setdefault("log", {}).setdefault("format", "json")
    found["services"] = {key: value for key, value in sorted(found.get("services", {}).items()) if value}
    if not found["services"]:
        del found["services"]
    return {**PLACE, **found}


def reaching(document: dict[str, Any], urls: Mapping[str, str]) -> dict[str, Any]:
    """A service's document with where it finds the others, for each whose address it does not say itself."""
    serve = document.get("serve", {})
    found = {**urls, **serve.get("urls", {})}
    return {**document, "serve": {**serve, "urls": found}} if found else document


def migration(template: Template) -> dict[str, Any]:
    """What a migration reads, as a document."""
    return _tree(template, needs.MIGRATION)


def texts(value: Any) -> Iterator[str]:
    """Every text in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from texts(each)


def written(document: Mapping[str, Any]) -> str:
    """The file, its references leading to where the process finds them."""
    return yamltext.dump(_placed(document))


def _placed(value: Any) -> Any:
    if isinstance(value, str):
        return references.placed(value)
    if isinstance(value, Mapping):
        return {key: _placed(each) for key, each in value.items()}
    return [_placed(each) for each in value] if isinstance(value, list) else value


def _switched_off(template: Template) -> Iterator[tuple[str, bool]]:
    for name in needs.names():
        key = needs.package(name)
        if not getattr(getattr(template.settings.services, key), "enabled", True):
            yield key, False


def _tree(template: Template, wanted: Iterable[str]) -> dict[str, Any]:
    """What was said below some keys, as nested mappings; what was left to its default is left out."""
    keys = tuple(wanted)
    found = _given(template, template.settings, "", lambda path: any(path == key or path.startswith(f"{key}.") for key in keys))
    return found if isinstance(found, dict) else {}


_NOTHING: Any = object()


def _given(template: Template, value: Any, path: str, reads: Any) -> Any:
    """A value as it was said; `_NOTHING` for what was not, or is not read."""
    if dataclasses.is_dataclass(value):
        made = {}
        for item in fields(value):
            below = f"{path}.{item.name}" if path else item.name
            if (each := _given(template, getattr(value, item.name, None), below, reads)) is not _NOTHING:
                made[item.name] = each
        return made or _NOTHING
    if path in template.kept:
        return template.kept[path] if reads(path) else _NOTHING
    if isinstance(value, Mapping):
        made = {name: each for name, inner in value.items() if (each := _given(template, inner, f"{path}.{name}", reads)) is not _NOTHING}
        return made or _NOTHING
    if isinstance(value, tuple) and value:
        items = [_given(template, inner, f"{path}.{index}", reads) for index, inner in enumerate(value)]
        items = [item for item in items if item is not _NOTHING]
        return items or _NOTHING
    if path not in template.settings.origins or not reads(path):
        return _NOTHING
    return [] if value == () else value.replace("${", "$${") if isinstance(value, str) else value
