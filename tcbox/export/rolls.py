"""What two trees for Kubernetes, or two Compose files, differ in: which processes would be started anew, and why."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tcbox.config import Settings, describe
from tcbox.export.tree import Tree

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOISE = ("metadata.annotations.", "spec.volumes.settings.", "spec.volumes.migration.", "labels.tcbox.settings-hash")
"""What changes with the settings, which are told by their own words."""
_FIRST = "spec.initContainers."


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes:
        does: `rolls` for processes that are started anew, `runs` for a Job, `starts` and `ends` for what is new and gone, `is set`
            for what takes effect without a restart.
        why: what differs, a line each.
    """

    does: str
    what: str
    why: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.what} {self.does}" + "".join(f"\n    {line}" for line in self.why)


def changes(before: Tree, after: Tree) -> list[Change]:
    """What would happen if the one tree took the place of the other, in the order of names."""
    old, new = _things(before), _things(after)
    found = [change for key in sorted(old.keys() | new.keys()) if (change := _change(key, old, new)) is not None]
    order = ("runs", "rolls", "starts", "ends", "is set")
    return sorted(found, key=lambda change: (order.index(change.does), change.what))


_Things = Mapping[tuple[str, str], Any]


def _things(files: Tree) -> dict[tuple[str, str], Any]:
    """Manifests, and the services of Compose files, by kind and name."""
    found: dict[tuple[str, str], Any] = {}
    for path, text in files.items():
        if not path.endswith((".yaml", ".yml")):
            found["file", path] = text
            continue
        for document in yaml.load_all(text, _LOADER):
            if not isinstance(document, dict):
                continue
            if "kind" in document and document["kind"] != "Kustomization":
                found[document["kind"], document["metadata"]["name"]] = document
            elif "services" in document and path == "compose.yaml":
                found |= {("service", name): _with_settings(service, files) for name, service in document["services"].items()}
            elif path == "values.yaml":
                found |= {("value", name): value for name, value in document.items()}
    return found


def _with_settings(service: dict[str, Any], files: Tree) -> dict[str, Any]:
    """A Compose service with the settings that its label only has the mark of."""
    text = next((files[path] for path in _mounted(service) if path in files and path.endswith(".yml")), "")
    return {**service, "settings": yaml.load(text, _LOADER) if text else {}}  # noqa: S506 - a safe one


def _mounted(service: dict[str, Any]) -> Iterator[str]:
    for volume in service.get("volumes", ()):
        if isinstance(volume, str):
            yield volume.partition(":")[0].removeprefix("./")


def _change(key: tuple[str, str], old: _Things, new: _Things) -> Change | None:
    kind, name = key
    before, after = old.get(key), new.get(key)
    if before == after or kind == "ConfigMap":  # told by what uses it
        return None
    if kind == "Job":
        return Change("runs", f"Job {name}") if before is None else None
    workload = kind in ("Deployment", "service")
    if before is None or after is None:
        return Change("starts" if before is None else "ends", f"{kind} {name}")
    if not workload:
        return Change("is set", f"{kind} {name}", tuple(_differences(before, after)) if kind != "file" else ())
    one, other = (document["spec"]["template"] if kind == "Deployment" else document for document in (before, after))
    if one == other:
        return Change("is set", f"{kind} {name}", tuple(_differences(before, after)))
    said = _settings_of(old, before), _settings_of(new, after)
    why = [line for line in (*_differences(one, other), *_differences(*said, _defaults())) if not line.startswith(_NOISE)]
    plain = [line for line in why if not line.startswith(_FIRST)]  # what comes first changes with the rest
    return Change("rolls", f"{kind} {name}", tuple(plain or why))


def _settings_of(things: _Things, deployment: Any) -> dict[str, Any]:
    """The settings in the ConfigMap that a Deployment's pods read."""
    if deployment.get("kind") != "Deployment":
        return {}
    for volume in deployment["spec"]["template"]["spec"].get("volumes", ()):
        if volume["name"] == "settings":
            found = things.get(("ConfigMap", volume["configMap"]["name"]))
            return yaml.load(found["data"]["tcbox.yml"], _LOADER) if found else {}  # noqa: S506 - a safe one
    return {}


@functools.cache
def _defaults() -> Mapping[str, Any]:
    """What each setting is where nothing is said."""
    return {key: value for key, value, _ in describe.in_force(Settings()) if value not in (None, "")}


def _differences(before: Any, after: Any, defaults: Mapping[str, Any] | None = None) -> Iterator[str]:
    one, other = dict(_flat(before)), dict(_flat(after))
    for key in [*one, *(key for key in other if key not in one)]:
        if one.get(key) != other.get(key):
            shown = [_shown(side.get(key), (defaults or {}).get(key)) for side in (one, other)]
            yield f"{key}: {shown[0]} -> {shown[1]}".removeprefix(": ")


def _shown(value: Any, default: Any) -> str:
    if value is None:
        return "none" if default is None else f"{default} (default)"
    return str(value)


def _flat(value: Any, key: str = "") -> Iterable[tuple[str, Any]]:
    """Every scalar with its path; things in lists go by their name, where they have one."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _flat(each, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            name = each["name"] if isinstance(each, dict) and "name" in each else index
            yield from _flat(each, f"{key}.{name}")
    else:
        yield key, value
