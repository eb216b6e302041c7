"""What the service announces: hooks as they come, change and go.

Source: the published exchanges reference of the hooks service.
"""

from __future__ import annotations

from tcbox.events import Exchange, Exchanges, Key

exchanges = Exchanges(
    "hooks",
    title="Exchanges to manage hooks",
    description="""
    Messages about hooks. The service itself learns from them which messages hooks are bound to, in every process that
    it runs in; a hook cannot be bound to them.
    """,
)

KEY = {"reserved": ""}
"""The words of every routing key of hooks: it is empty."""

_KEYS = (Key("reserved", "Room for words to come; bind to it with `#`.", multiple_words=True),)


def _declare(kind: str, name: str, title: str, description: str) -> Exchange:
    return exchanges.declare(kind, name=name, title=title, description=description, schema="pulse-hook-changed-message", keys=_KEYS)


hook_created = _declare("hook-created", "hookCreated", "Hook Created Messages", "There is a new hook.")
hook_updated = _declare("hook-updated", "hookUpdated", "Hook Updated Messages", "A hook is no longer as it was.")
hook_deleted = _declare("hook-deleted", "hookDeleted", "Hook Deleted Messages", "A hook has been removed.")
