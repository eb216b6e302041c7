"""What the service publishes: messages that somebody asked for, of any content.

Source: the published exchanges reference of notify.
"""

from __future__ import annotations

from tcbox.events import Exchanges, Key

exchanges = Exchanges(
    "notify",
    title="Notify Exchanges",
    description="""
    Messages of any content, published for whoever has the scopes, or for a task that asks for them by its routes.
    """,
)

notification = exchanges.declare(
    "notification",
    name="notify",
    title="Notification Messages",
    description="""
    A message that somebody asked for. For a route `notify.pulse.<topic>.on-<condition>` it is the task's status as it
    was when the condition held. It is also announced under the key `route.<topic>`.
    """,
    schema="notification-message",
    keys=(
        Key("routingKeyKind", "Always `primary`, as opposed to `route` for custom routes.", required=True, constant="primary"),
        Key("topic", "The routing key that was asked for, such as `<topic>` in `notify.pulse.<topic>.on-<condition>`.", required=True, multiple_words=True),
    ),
)
