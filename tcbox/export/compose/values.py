"""How values come into a Compose file: what it would fill in is marked, secrets come from the file .env."""

from __future__ import annotations

import os

from tcbox.config.load import Template
from tcbox.export import needs, references
from tcbox.export.plan import Plan, Service, Worker


def variable(owner: Service | Worker, name: str) -> str:
    """What a variable of a container is called in .env: the token, of which each has its own, has its owner's name in it."""
    return f"TCBOX_{owner.name.upper().replace('-', '_')}_TOKEN" if name == needs.TOKEN else name


def filled(name: str) -> str:
    """Filled in from .env; without it Compose refuses to start anything."""
    return f"${{{name}:?is missing in .env}}"


def literal(text: str) -> str:
    """A text that is left as it is."""
    return text.replace("$", "$$")


def interpolated(text: str) -> str:
    """A text of the settings for a Compose file: `${env:NAME}` is filled in from .env."""
    return "".join(literal(part) if isinstance(part, str) else filled(part.name) for part in references.split(text))


def variables(plan: Plan) -> list[str]:
    """Every name that .env must have."""
    found = {variable(owner, name) for owner in plan.owners for name in owner.refers.variables}
    found |= {name for service in plan.services for name in service.migration_refers.variables}
    return sorted(found)


def host_path(template: Template, path: str) -> str:
    """Where a file that the settings refer to is on the host: relative paths start from tcbox.yml."""
    return literal(os.path.normpath(template.folder / os.path.expanduser(path)))
