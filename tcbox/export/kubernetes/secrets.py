"""Secrets: by reference in the tree, from a store if one is named; in clear only where they are asked for, for a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tcbox.export import needs, references
from tcbox.export.kubernetes.names import Names
from tcbox.export.plan import Plan, Service, Worker
from tcbox.export.references import References


def needed(owner: Service | Worker) -> References:
    """All that the Secret of a service or worker holds."""
    return references.merged(owner.refers, owner.migration_refers) if isinstance(owner, Service) else owner.refers


def told(names: Names, owner: Service | Worker) -> Iterator[str]:
    """In words, which Secret is needed."""
    refers = needed(owner)
    yield f"The Secret {names.owner(owner)} holds:"
    yield from (f"  {name}" for name in refers.variables)
    yield from (f"  {file.name}, the content of {file.path}" for file in refers.files)


def external(plan: Plan, names: Names, owner: Service | Worker) -> list[dict[str, Any]]:
    """What has the External Secrets operator make the Secret; nothing where no store is named."""
    store = plan.export.secret_store
    if not store.name:
        return []
    refers = needed(owner)
    data = [{"secretKey": name, "remoteRef": {"key": store.path + entry(owner, name)}} for name in refers.keys]
    spec = {
        "refreshInterval": f"{store.refresh_minutes}m0s",
        "secretStoreRef": {"name": store.name, "kind": store.kind},
        "target": {"name": names.owner(owner), "creationPolicy": "Owner"},
        "data": data,
    }
    return [names.manifest("external-secrets.io/v1", "ExternalSecret", names.owner(owner), names.labels(owner.name), spec=spec)]


def entry(owner: Service | Worker, name: str) -> str:
    """What a secret is called in the store: the token, of which each has its own, with its owner's name before it."""
    return f"{owner.name}/{name}" if name == needs.TOKEN else name


def secret(names: Names, owner: Service | Worker, values: Mapping[str, str]) -> dict[str, Any]:
    """The Secret itself, for a pipe to the cluster, never for a file."""
    labels = names.selector(owner.name)  # not those of the tree, by which what is no longer in it is found and removed
    return names.manifest("v1", "Secret", names.owner(owner), labels, type="Opaque", stringData=dict(values))
