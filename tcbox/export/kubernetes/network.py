"""Who may call a service's processes, and whom they may call."""

from __future__ import annotations

from typing import Any

from tcbox.export import configuration
from tcbox.export.kubernetes.names import Names
from tcbox.export.plan import Plan, Service, Worker

_MACHINE = {"0.0.0.0/0": ["169.254.0.0/16"], "::/0": ["fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"]}
"""All addresses, and among them those at which machines of a cloud give out credentials; by IPv6, Amazon's and Google's have addresses of
their own that are not local to the link."""


def policies(plan: Plan, names: Names, service: Service) -> list[dict[str, Any]]:
    """For all pods of a service: requests come to those that answer, and migrations get none."""
    found = [_policy(names, service.name, "", [], _out(plan, names, service.ports, metadata=service.metadata))]
    for process in service.processes:
        sources = _sources(plan, names) if process.answers else _scrapers(plan)
        if sources is None or sources:
            found.append(_inward(names, service.name, process.part, sources))
    return found


def outward(plan: Plan, names: Names, worker: Worker) -> dict[str, Any]:
    """For a worker, which nobody calls."""
    return _policy(names, worker.name, "", [], _out(plan, names, worker.ports, metadata=False))


def _policy(names: Names, name: str, part: str, inward: list[Any], outward: list[Any]) -> dict[str, Any]:
    spec = {"podSelector": {"matchLabels": names.selector(name, part)}, "policyTypes": ["Ingress", "Egress"], "ingress": inward, "egress": outward}
    return names.manifest("networking.k8s.io/v1", "NetworkPolicy", names.of(name), names.labels(name), spec=spec)


def _inward(names: Names, name: str, part: str, sources: list[Any] | None) -> dict[str, Any]:
    rule = {**({} if sources is None else {"from": sources}), "ports": [{"port": configuration.PORT, "protocol": "TCP"}]}
    spec = {"podSelector": {"matchLabels": names.selector(name, part)}, "policyTypes": ["Ingress"], "ingress": [rule]}
    return names.manifest("networking.k8s.io/v1", "NetworkPolicy", names.of(f"{name}-{part}-requests"), names.labels(name), spec=spec)


def _sources(plan: Plan, names: Names) -> list[Any] | None:
    """From where requests may come; None for everywhere."""
    if not plan.export.network.sources:
        return None
    return [{"podSelector": {"matchLabels": names.all_pods()}}, *_namespaces(plan)]


def _scrapers(plan: Plan) -> list[Any] | None:
    """From where loops may be scraped: nobody else calls them."""
    if not plan.export.service_monitors:
        return []
    return _namespaces(plan) or None


def _namespaces(plan: Plan) -> list[Any]:
    return [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}} for name in plan.export.network.sources]


def _out(plan: Plan, names: Names, ports: tuple[int, ...], *, metadata: bool) -> list[Any]:
    """Names are looked up, other services called, and whatever the settings name, by its port.

    Requests to the root URL come to the pods of the ingress controller, at whatever port these have: hence the namespaces.
    """
    blocks = [{"ipBlock": {"cidr": cidr} if metadata else {"cidr": cidr, "except": machine}} for cidr, machine in _MACHINE.items()]
    machine = [{"to": [{"ipBlock": {"cidr": "169.254.0.0/16"}}], "ports": [{"port": 80, "protocol": "TCP"}]}] if metadata else []
    return [
        {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
        {"to": [{"podSelector": {"matchLabels": names.all_pods()}}], "ports": [{"port": configuration.PORT, "protocol": "TCP"}]},
        {"to": _namespaces(plan) or [{"namespaceSelector": {}}]},
        {"to": blocks, "ports": [{"port": port, "protocol": "TCP"} for port in ports]},
        *machine,
    ]
