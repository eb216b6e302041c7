"""Hooks and their firings as values, and the rules for them that need no database.

Source: what the published service does when a hook fires, in its documentation and its replies.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from tcbox import clock as clocks
from tcbox.events import Binding

SCHEDULE, TRIGGER, TOKEN, MESSAGE = "schedule", "triggerHook", "triggerHookWithToken", "pulseMessage"
SUCCESS, ERROR = "success", "error"
OWN = "exchange/taskcluster-hooks/"
"""What no hook may be bound to, whatever the settings say: a hook would fire whenever a hook changes."""

MOST_ERROR = 128 * 1024
"""Letters of an error that are kept."""

_strings = msgspec.json.Decoder(list[str]).decode
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Name(NamedTuple):
    """What a hook is called."""

    group: str
    id: str

    def __str__(self) -> str:
        return f"{self.group}/{self.id}"

    @property
    def role(self) -> str:
        """The role with whose scopes the hook's tasks are created."""
        return f"hook-id:{self}"

    @property
    def columns(self) -> dict[str, str]:
        """As the parameters of statements."""
        return {"hook_group_id": self.group, "hook_id": self.id}

    @property
    def words(self) -> dict[str, str]:
        """As replies, messages and the log say it."""
        return {"hookGroupId": self.group, "hookId": self.id}


@dataclass(frozen=True, slots=True)
class Definition:
    """What makes a hook a hook. All but the schedule is JSON text, exactly as it came in."""

    metadata: str
    task: str
    bindings: str
    schedule: tuple[str, ...]
    trigger_schema: str

    @property
    def columns(self) -> dict[str, str]:
        """As the parameters of statements."""
        return {
            "metadata": self.metadata, "task": self.task, "bindings": self.bindings,
            "schedule": _encode(self.schedule).decode(), "trigger_schema": self.trigger_schema,
        }  # fmt: skip

    def same(self, other: Definition) -> bool:
        """Whether two are the same hook: equal as JSON is, whatever the order of keys."""
        return self.schedule == other.schedule and all(
            _decode(one) == _decode(two)
            for one, two in (
                (self.metadata, other.metadata),
                (self.task, other.task),
                (self.bindings, other.bindings),
                (self.trigger_schema, other.trigger_schema),
            )
        )


class Hook(NamedTuple):
    """A hook as it is kept.

    Attributes:
        seed: what the ids of its tasks are made from; nobody else knows it, so nobody can take an id before the hook does.
        next_fire: when its schedule comes next, in ms; None without one.
        bound: since when its bindings hold, in ms.
        token: with which it can be made to fire, sealed.
    """

    name: Name
    definition: Definition
    seed: str
    next_fire: int | None
    bound: int
    token: bytes

    def task_id(self, cause: str) -> str:
        """The id of the task that a cause creates: always the same, so that no cause creates two."""
        raw = bytearray(hashlib.sha256(f"{self.seed}/{cause}".encode()).digest()[:16])
        raw[0] &= 0x7F
        raw[6] = (raw[6] & 0x0F) | 0x40
        raw[8] = (raw[8] & 0x3F) | 0x80
        return base64.urlsafe_b64encode(raw)[:22].decode()

    def document(self) -> bytes:
        """The hook as the API shows it, JSON text."""
        own = self.definition
        return b'{"hookGroupId":%b,"hookId":%b,"metadata":%b,"task":%b,"bindings":%b,"schedule":%b,"triggerSchema":%b}' % (
            _encode(self.name.group), _encode(self.name.id), own.metadata.encode(), own.task.encode(),
            own.bindings.encode(), _encode(own.schedule), own.trigger_schema.encode(),
        )  # fmt: skip


class Firing(NamedTuple):
    """A decision that a hook fires, which stands until it is known what came of it.

    Attributes:
        fired_by: one of the words of the contract.
        fired: when it was decided, in ms.
        stamp: the time that the template takes for now, in ms.
        due: until when someone works on it, in ms.
        attempts: how often it was taken up.
        context: what the template is rendered with, a JSON object as text.
        task: the template, as it was when the hook fired.
    """

    name: Name
    task_id: str
    fired_by: str
    fired: int
    stamp: int
    due: int
    attempts: int
    context: str
    task: str

    @property
    def key(self) -> dict[str, str]:
        """As the parameters of statements."""
        return {**self.name.columns, "task_id": self.task_id}


def definition(request: dict[str, Any]) -> Definition:
    """The definition in a request that its schema accepts, with the schema's defaults."""
    return Definition(
        metadata=_encode(request["metadata"]).decode(),
        task=_encode(request["task"]).decode(),
        bindings=_encode(request.get("bindings") or []).decode(),
        schedule=tuple(request["schedule"]),
        trigger_schema=_encode(request["triggerSchema"]).decode(),
    )


def hook(row: Any) -> Hook:
    """A row of `hooks_hooks`."""
    made = Definition(row["metadata"], row["task"], row["bindings"], tuple(_strings(row["schedule"])), row["trigger_schema"])
    return Hook(Name(row["hook_group_id"], row["hook_id"]), made, row["seed"], row["next_fire"], row["bound"], bytes(row["token"]))


def firing(row: Any) -> Firing:
    """A row of `hooks_firings`."""
    return Firing(
        Name(row["hook_group_id"], row["hook_id"]), row["task_id"], row["fired_by"], row["fired"], row["stamp"],
        row["due"], row["attempts"], row["context"], row["task"],
    )  # fmt: skip


def bindings(text: str) -> list[Binding]:
    """The bindings in JSON text."""
    return [Binding(each["exchange"], each["routingKeyPattern"]) for each in _decode(text)]


def denied(text: str, prefixes: Iterable[str]) -> list[str]:
    """Those exchanges in bindings, JSON text, that begin with one of the prefixes."""
    refused = (OWN, *prefixes)
    return [binding.exchange for binding in bindings(text) if binding.exchange.startswith(refused)]


def completed(task: dict[str, Any], task_id: str, stamp: int) -> dict[str, Any]:
    """A rendered task with the times and the group that its template left out."""
    made = dict(task)
    for name, after in (("created", 0), ("deadline", clocks.DAY), ("expires", 30 * clocks.DAY)):
        if not made.get(name):
            made[name] = clocks.to_wire(stamp + after)
    if not made.get("taskGroupId"):
        made["taskGroupId"] = task_id
    return made
