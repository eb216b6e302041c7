"""The same settings as values of the chart that Taskcluster itself publishes, for those who move on to it.

Secrets stand as `${NAME}`, to be filled in by `envsubst` on the way to helm; files go in by options of helm.
"""

from __future__ import annotations

from typing import Any

from tcbox.export import yamltext
from tcbox.export.helm import processes, shared
from tcbox.export.helm.services import services
from tcbox.export.helm.values import Files, Values
from tcbox.export.plan import Plan
from tcbox.export.tree import Tree

NAME = "values.yaml"


def tree(plan: Plan) -> Tree:
    """The one file."""
    files = Files()
    values = Values(plan, files)
    document: dict[str, Any] = shared.top(values)
    for name, keys in services(values).items():
        document[name] = {**keys, **processes.of(plan, name)}
    return {NAME: yamltext.file([files.without(document)], _comment(files))}


def _comment(files: Files) -> str:
    options = "".join(f" \\\n  {files.option(key, path)}" for key, path in sorted(files.found.items()))
    return f"""Values of the chart infrastructure/k8s of Taskcluster. They take over the settings, not the data: the schemas of the databases differ.
Secrets are filled in on the way:

envsubst <values.yaml | helm upgrade --install taskcluster <chart> --values -{options}

Set dockerImage to the release that the chart belongs to. tcbox reads and writes the database as one user; the chart has one for
each service, and its own tool makes the schema."""
