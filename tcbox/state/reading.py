"""From a file to a state; every mistake is found, with its line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox.config import guesses, yamlfile
from tcbox.config.faults import ConfigError, Fault
from tcbox.config.nodes import Node
from tcbox.config.reader import BAD, Reader
from tcbox.config.references import Resolver
from tcbox.state.model import CLIENTS, GOING, HOOKS, SECRETS, STATIC, VERSION, WORKER_POOLS, Kind, State

_FORMS: Mapping[Kind, tuple[str, str]] = {
    CLIENTS: (r"[A-Za-z0-9!@/:.+|_-]+", "a client id of letters, digits and !@/:.+|_-"),
    HOOKS: (r"[a-zA-Z0-9-_]{1,1000}/[a-zA-Z0-9-_/]{1,1000}", "a hook's group and id with a slash between them, such as project-x/nightly"),
    WORKER_POOLS: (r"[a-zA-Z0-9-_]{1,38}/[a-z]([-a-z0-9]{0,36}[a-z0-9])?", "a worker pool's name, such as proj-x/b-linux, in small letters after the slash"),
}


class FileFaults(ConfigError):
    """A file with a state cannot be used as it stands."""

    what = "the saved state"


def read(path: Path) -> State:
    """The state that a file holds.

    Raises FileFaults with every mistake.
    """
    faults: list[Fault] = []
    try:
        root = yamlfile.read(path, faults, literal=True, example="roles: {}")
        reader = _Reader(Resolver({}, path.parent), faults)
        found: Any = reader.section(State, root)
        faults += _more(found, reader)
    except ConfigError as error:
        raise FileFaults(error.faults) from None
    except RecursionError:
        raise FileFaults([Fault(key="", expected="at most some hundred levels", found="more", file=str(path))]) from None
    if faults:
        raise FileFaults(faults)
    state: State = found
    return state


class _Reader(Reader):
    """Reads what is free of form too, and knows nothing of settings."""

    def value(self, kind: Any, node: Node, key: str) -> Any:
        """A value of one type, or BAD."""
        return self._free(node, key) if kind is Any else super().value(kind, node, key)

    def _free(self, node: Node, key: str) -> Any:
        """JSON as it stands."""
        value = node.value
        if isinstance(value, dict):
            return {name: self._free(each, f"{key}.{name}") for name, each in value.items()}
        if isinstance(value, list):
            return [self._free(each, f"{key}.{at}") for at, each in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            return self._wrong(node, key, "a value that JSON has", node.raw or str(value), "quote it to have it as a text")
        return value

    def _unknown(self, node: Node, path: str, name: str, known: list[str]) -> None:
        self._wrong(node, path, f"one of the keys {', '.join(known)}", f"the unknown key {name}", guesses.meant(name, known) or "remove it")


def _more(state: Any, reader: Reader) -> Iterator[Fault]:
    """What the types alone do not tell; nothing for what has a mistake already."""
    if state is BAD:
        return
    if state.version != VERSION:
        found = str(state.version)
        yield reader.nodes["version"].fault("version", str(VERSION), found, "it was written by another version of tcbox: use that, or export again")
    for kind, (pattern, words) in _FORMS.items():
        for name in state.things(kind) or {}:
            if re.fullmatch(pattern, name) is None:
                yield _at(reader, f"{kind.key}.{name}", words, repr(name))
    for name in state.roles or {}:
        if re.fullmatch(r"[\x20-\x7e]+", name) is None:
            yield _at(reader, f"roles.{name}", "a role id of printable ASCII letters", repr(name))
    for name in state.clients or {}:
        if name.startswith(STATIC):
            hint = "name such clients in services.auth.static_clients of the instance's tcbox.yml"
            yield _at(reader, f"clients.{name}", f"a client that does not begin with {STATIC}", "one that only the configuration can make", hint)
    for name, pool in (state.workerPools or {}).items():
        if pool.providerId == GOING:
            found = f"{GOING}, which pools have that are to go"
            yield _at(reader, f"workerPools.{name}.providerId", "a provider of machines", found, "leave the pool out")
    for kind in (CLIENTS, SECRETS):
        for name, thing in (state.things(kind) or {}).items():
            if not _is_time(thing.expires):
                yield _at(reader, f"{kind.key}.{name}.expires", "a time, such as 2099-01-01T00:00:00.000Z", repr(thing.expires))


def _at(reader: Reader, key: str, expected: str, found: str, hint: str = "") -> Fault:
    return reader.nodes[key].fault(key, expected, found, hint)


def _is_time(text: str) -> bool:
    try:
        clocks.from_wire(text)
    except ValueError:
        return False
    return True
