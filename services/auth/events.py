"""What auth announces: clients and roles as they come, change and go.

Source: the published exchanges reference of the auth service.
"""

from __future__ import annotations

from typing import Any

from tcbox.events import Exchange, Exchanges, Key

exchanges = Exchanges(
    "auth",
    title="Auth Exchanges",
    description="""
    Messages about clients and roles. Whoever keeps them in memory learns here that they changed; the message names
    what changed and does not say how.
    """,
)

KEY: dict[str, Any] = {"reserved": ""}
"""The words of every routing key of auth: it is empty."""

_KEYS = (Key("reserved", "Room for words to come; bind to it with `#`.", multiple_words=True),)


def _declare(kind: str, name: str, title: str, description: str) -> Exchange:
    schema = f"{kind.partition('-')[0]}-message"
    return exchanges.declare(kind, name=name, title=title, description=description, schema=schema, keys=_KEYS)


client_created = _declare("client-created", "clientCreated", "Client Created", "There is a new client.")
client_updated = _declare("client-updated", "clientUpdated", "Client Updated", "A client is no longer as it was.")
client_deleted = _declare("client-deleted", "clientDeleted", "Client Deleted", "A client has been removed.")
role_created = _declare("role-created", "roleCreated", "Role Created", "There is a new role.")
role_updated = _declare("role-updated", "roleUpdated", "Role Updated", "A role is no longer as it was.")
role_deleted = _declare("role-deleted", "roleDeleted", "Role Deleted", "A role has been removed.")
