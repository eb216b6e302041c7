"""The targets by their names: what each writes, and how its secrets are handed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tcbox.config.export import Export
from tcbox.export import configuration, disclosed, yamltext
from tcbox.export.disclosed import Source
from tcbox.export.plan import Inside, Plan
from tcbox.export.tree import Tree


@dataclass(frozen=True)
class Target:
    """One target.

    Attributes:
        tree: writes it.
        secrets: the secrets in clear, in the form that `takes` says.
        takes: to where they are piped.
        then: what to do with the tree.
        inside: where its services find each other; None for at the root URL.
    """

    tree: Callable[[Plan], Tree]
    secrets: Callable[[Plan, Source], str]
    takes: str
    then: str
    inside: Inside | None = None


def _kubernetes_inside(export: Export, service: str) -> str:
    from tcbox.export.kubernetes.names import Names

    return f"http://{Names(export.name, export.namespace).of(service)}"


def _compose_inside(_: Export, service: str) -> str:
    return f"http://{service}:{configuration.PORT}"


def _kubernetes(plan: Plan) -> Tree:
    from tcbox.export import kubernetes

    return kubernetes.tree(plan)


def _kubernetes_secrets(plan: Plan, source: Source) -> str:
    from tcbox.export.kubernetes import secrets
    from tcbox.export.kubernetes.names import Names

    names = Names(plan.export.name, plan.export.namespace)
    return yamltext.file([secrets.secret(names, owner, source.all(owner.name, secrets.needed(owner))) for owner in plan.owners])


def _compose(plan: Plan) -> Tree:
    from tcbox.export import compose

    return compose.tree(plan)


def _compose_secrets(plan: Plan, source: Source) -> str:
    from tcbox.export.compose.values import variable

    found = {variable(owner, name): source.variable(owner.name, name) for owner in plan.owners for name in owner.refers.variables}
    found |= {name: source.variable("", name) for service in plan.services for name in service.migration_refers.variables}
    return disclosed.dotenv(found)


def _helm(plan: Plan) -> Tree:
    from tcbox.export import helm

    return helm.tree(plan)


def _helm_secrets(plan: Plan, source: Source) -> str:
    from tcbox.export import helm

    found = {}
    for name in disclosed.names(helm.tree(plan)[helm.NAME].partition("rootUrl:")[2]):
        owner = name.removeprefix("TCBOX_").removesuffix("_TOKEN").lower().replace("_", "-")
        if name == "TCBOX_ROOT_TOKEN":
            found[name] = source.root()
        elif name == "TCBOX_SESSION_SECRET":
            found[name] = source.token("web-session")
        elif name.startswith("TCBOX_") and name.endswith("_TOKEN"):
            found[name] = source.token(owner)
        else:
            found[name] = source.variable("", name)
    return disclosed.shell(found)


TARGETS = {
    "k8s": Target(_kubernetes, _kubernetes_secrets, "kubectl apply -f -", "kubectl apply -k {out}", _kubernetes_inside),
    "compose": Target(_compose, _compose_secrets, "{out}/.env", "docker compose --project-directory {out} up -d --wait", _compose_inside),
    "helm-values": Target(_helm, _helm_secrets, "a shell", "envsubst <{out}/values.yaml | helm upgrade --install taskcluster CHART --values -"),
}
