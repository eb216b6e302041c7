"""From `tcbox.yml`, flags and references to settings; every mistake is found, not the first alone."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcbox import errors
from tcbox.config import values
from tcbox.config.settings import Settings

_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")


@dataclass(frozen=True)
class Origin:
    """Where a value was said.

    Attributes:
        place: `tcbox.yml:12:5`, or `--port`; empty for a default.
    """

    place: str = ""


@dataclass(frozen=True)
class Fault:
    """One mistake in the configuration."""

    place: str
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.key}: {self.text}" if self.key else f"{self.place}: {self.text}"


class ConfigError(errors.TcboxError):
    """The configuration has mistakes; `faults` lists all of them."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        listed = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"the configuration has {len(faults)} mistake{'s' if len(faults) > 1 else ''}:\n{listed}")


@dataclass
class Node:
    """A value as the file has it: a scalar, a list of nodes or a mapping of nodes, with its place."""

    value: Any
    place: str


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None) -> tuple[Settings, dict[str, Origin]]:
    """The settings of a file, with flags over them, and where each value that is no default was said.

    Args:
        path: the file; None for none.
        overrides: values by top-level key, from flags; None values are passed over.
        env: for `${env:NAME}`; the process's environment when not given.

    Raises ConfigError with every mistake.
    """
    faults: list[Fault] = []
    root = _read(path, faults) if path is not None else Node({}, "")
    for key, value in (overrides or {}).items():
        if value is not None:
            root.value[key] = Node(value, f"--{key.replace('_', '-')}")
    reader = values.Reader(faults=faults, resolve=_Resolver(os.environ if env is None else env, path, faults).resolve)
    settings = reader.section(Settings, root, "")
    if not faults and settings is not None:
        faults.extend(_consistency(settings, reader.origins))
    if faults or settings is None:
        raise ConfigError(sorted(faults, key=_order))
    return settings, {key: Origin(place) for key, place in reader.origins.items()}


def _order(fault: Fault) -> tuple[str, list[int]]:
    name, *numbers = fault.place.rsplit(":", 2)
    return name, [int(number) for number in numbers if number.isdigit()]


def _read(path: Path, faults: list[Fault]) -> Node:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([Fault(str(path), "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(str(path), "", "is not UTF-8 text: save it as UTF-8")]) from error
    try:
        tree = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigError([Fault(place, "", f"is no YAML: {error.problem}")]) from error
    if tree is None:
        return Node({}, str(path))
    node = _convert(tree, path, faults)
    if not isinstance(node.value, dict):
        raise ConfigError([Fault(node.place, "", "expected keys with values, such as 'port: 8090'")])
    return node


def _convert(node: Any, path: Path, faults: list[Fault]) -> Node:
    import yaml

    place = f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Node] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in found:
                faults.append(Fault(f"{path}:{key.start_mark.line + 1}:{key.start_mark.column + 1}", name, "stands here a second time: remove one of them"))
            found[name] = _convert(value, path, faults)
        return Node(found, place)
    if isinstance(node, yaml.SequenceNode):
        return Node([_convert(item, path, faults) for item in node.value], place)
    value = yaml.safe_load(yaml.serialize(node)) if node.tag != "tag:yaml.org,2002:str" else node.value
    return Node(value, place)


class _Resolver:
    """Puts in what `${env:NAME}` and `${file:path}` refer to."""

    def __init__(self, env: Mapping[str, str], path: Path | None, faults: list[Fault]) -> None:
        self._env = env
        self._folder = path.parent if path is not None else Path()
        self._faults = faults

    def resolve(self, text: str, key: str, place: str) -> str:
        """The text with every reference replaced; what cannot be found becomes a fault."""

        def replace(match: re.Match[str]) -> str:
            kind, name = match[1], match[2]
            if kind == "env":
                if name not in self._env:
                    self._faults.append(Fault(place, key, f"the environment has no {name}: set it, or change the reference"))
                return self._env.get(name, "")
            try:
                return (self._folder / Path(name).expanduser()).read_text(encoding="utf-8").rstrip("\n")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                self._faults.append(Fault(place, key, f"the file {name} cannot be read: {reason}"))
                return ""

        return _REFERENCE.sub(replace, text)


def _consistency(settings: Settings, origins: Mapping[str, str]) -> list[Fault]:
    """What no single value can show to be wrong."""
    faults = []

    def fault(key: str, text: str) -> None:
        faults.append(Fault(origins.get(key, "the configuration"), key, text))

    if not 0 <= settings.port <= 65535:
        fault("port", f"{settings.port} is no port: expected 0 to 65535")
    if settings.root_url and not re.fullmatch(r"https?://[^/\s?#]+/?", settings.root_url):
        fault("root_url", f"{settings.root_url!r} is no root URL: expected http:// or https://, a host, and no path")
    if settings.database and not re.match(r"(postgresql|postgres|sqlite)://", settings.database):
        fault("database", "expected postgresql://user:password@host/name, or nothing for SQLite in the data folder")
    if settings.blobs.url and not re.match(r"(s3|file)://.", settings.blobs.url):
        fault("blobs.url", f"{settings.blobs.url!r}: expected s3://bucket/prefix or file:///folder")
    for name, least in (("claim_timeout", 1), ("max_task_deadline_days", 1), ("task_max_dependencies", 0)):
        if getattr(settings.services.queue, name) < least:
            fault(f"services.queue.{name}", f"expected {least} or more")
    for kind in ("docker", "host"):
        worker = getattr(settings.workers, kind)
        if worker.capacity < 1:
            fault(f"workers.{kind}.capacity", "expected 1 or more; to switch the worker off, say enabled: false")
        if not re.fullmatch(r"[a-zA-Z0-9-_]{1,38}/[a-z]([-a-z0-9]{0,36}[a-z0-9])?", worker.queue):
            fault(f"workers.{kind}.queue", f"{worker.queue!r} is no task queue: expected provisioner/worker-type, such as local/{kind}")
    for index, client in enumerate(settings.services.auth.static_clients):
        key = f"services.auth.static_clients.{index}"
        if not client.client_id.startswith("static/") or client.client_id.startswith(("static/taskcluster/", "static/tcbox/")):
            fault(f"{key}.client_id", f"{client.client_id!r}: expected a name that begins with static/, and not with static/taskcluster/ or static/tcbox/")
        if not re.fullmatch(r"[a-zA-Z0-9_-]{22,}", client.access_token):
            fault(f"{key}.access_token", "expected at least 22 letters, digits, dashes and underscores")
    for key in ("grace_seconds",):
        if settings.workers.grace_seconds < 0:
            fault(f"workers.{key}", "expected 0 or more seconds")
    if settings.shutdown.drain_seconds < 0:
        fault("shutdown.drain_seconds", "expected 0 or more seconds")
    return faults
