"""Things as the API has them: what it answers to a state's values, and those to what it takes.

Of an answer only what is part of a state is looked at, so that an instance of another version may say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tcbox import clock as clocks
from tcbox import scopes
from tcbox.state.model import Binding, Client, Hook, Metadata, Role, Secret, WorkerPool, plain


def role(entry: Mapping[str, Any]) -> Role:
    """From a role of `listRoles2`."""
    return Role(description=entry["description"], scopes=_set(entry["scopes"]))


def client(entry: Mapping[str, Any]) -> Client:
    """From a client of `listClients`."""
    return Client(
        description=entry["description"], expires=_time(entry["expires"]), deleteOnExpiration=entry.get("deleteOnExpiration", False),
        disabled=entry.get("disabled", False), scopes=_set(entry.get("scopes", ())),
    )  # fmt: skip


def hook(entry: Mapping[str, Any]) -> Hook:
    """From a hook of `listHooks`."""
    about = entry["metadata"]
    return Hook(
        metadata=Metadata(name=about["name"], description=about["description"], owner=about["owner"], emailOnError=about.get("emailOnError", True)),
        schedule=tuple(entry.get("schedule", ())),
        bindings=tuple(Binding(exchange=each["exchange"], routingKeyPattern=each["routingKeyPattern"]) for each in entry.get("bindings", ())),
        task=entry["task"], triggerSchema=entry["triggerSchema"],
    )  # fmt: skip


def worker_pool(entry: Mapping[str, Any]) -> WorkerPool:
    """From a pool of `listWorkerPools`."""
    return WorkerPool(
        description=entry["description"], owner=entry["owner"], emailOnError=entry["emailOnError"], providerId=entry["providerId"], config=entry["config"],
    )  # fmt: skip


def secret(entry: Mapping[str, Any]) -> Secret:
    """From an answer of `secrets.get`."""
    return Secret(expires=_time(entry["expires"]), secret=entry["secret"])


def payload(thing: Any) -> dict[str, Any]:
    """The body with which a thing is created or changed."""
    found = plain(thing)
    found.pop("disabled", None)  # by methods of its own
    return found


def _set(given: Any) -> tuple[str, ...]:
    return tuple(sorted(set(given), key=scopes.sort_key))


def _time(text: str) -> str:
    return clocks.to_wire(clocks.from_wire(text))
