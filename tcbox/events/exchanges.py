"""The exchanges that a service publishes to, declared once; routing keys and references derive from it.

Source: the Taskcluster conventions for Pulse messages (topic exchanges, routing keys of up to 255 bytes).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Key:
    """One word of a routing key; a missing optional one is written `_`."""

    name: str
    summary: str
    required: bool = False
    multiple_words: bool = False
    constant: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Exchange:
    """One topic exchange: its messages' schema and the words of their routing keys.

    Attributes:
        address: the full name, as on an AMQP server.
    """

    service: str
    exchange: str
    name: str
    title: str
    description: str
    schema: str
    keys: tuple[Key, ...]
    address: str = field(init=False)
    _form: str = field(init=False, repr=False)
    _words: tuple[tuple[str, str | None], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "address", f"exchange/taskcluster-{self.service}/v1/{self.exchange}")
        put(self, "_form", ".".join("%s" if key.constant is None else key.constant.replace("%", "%%") for key in self.keys))
        put(self, "_words", tuple((key.name, None if key.required else "_") for key in self.keys if key.constant is None))

    def routing_key(self, values: Mapping[str, Any]) -> str:
        """The routing key for these values.

        Raises ValueError when a required word is missing, or a word that is one word has a dot in it.
        """
        given = values.get
        words = [given(name, missing) for name, missing in self._words]
        if None in words:
            self._refuse_missing(values)
            words = ["_" if word is None else word for word in words]
        made = self._form % tuple(words)
        if made.count(".") >= len(self.keys):
            self._refuse_dots(values)
        return made

    def _refuse_missing(self, values: Mapping[str, Any]) -> None:
        for key in self.keys:
            if key.required and key.constant is None and values.get(key.name) is None:
                raise ValueError(f"{self.address}: the routing key needs {key.name}")

    def _refuse_dots(self, values: Mapping[str, Any]) -> None:
        for key in self.keys:
            word = str(values.get(key.name))
            if "." in word and not key.multiple_words and key.constant is None:
                raise ValueError(f"{self.address}: {key.name} is one word of the routing key and cannot hold a dot: {word!r}")


class Exchanges:
    """All exchanges of one service."""

    def __init__(self, service: str, *, title: str, description: str) -> None:
        self.service = service
        self.title = title
        self.description = inspect.cleandoc(description)
        self.entries: dict[str, Exchange] = {}

    def declare(self, exchange: str, *, name: str, title: str, description: str, schema: str, keys: tuple[Key, ...]) -> Exchange:
        """Declare an exchange.

        Args:
            exchange: its own part of the address, such as "task-defined".
            name: as clients call it, such as "taskDefined".
            schema: the name of the messages' schema, such as "task-defined-message".
        """
        entry = Exchange(self.service, exchange, name, title, inspect.cleandoc(description), schema, keys)
        self.entries[exchange] = entry
        return entry

    def reference(self) -> dict[str, Any]:
        """The published document, `/references/<service>/v1/exchanges.json`."""
        return {
            "$schema": "/schemas/common/exchanges-reference-v0.json#",
            "apiVersion": "v1",
            "serviceName": self.service,
            "title": self.title,
            "description": self.description,
            "exchangePrefix": f"exchange/taskcluster-{self.service}/v1/",
            "entries": [_entry(exchange) for exchange in self.entries.values()],
        }


def _entry(exchange: Exchange) -> dict[str, Any]:
    return {
        "type": "topic-exchange",
        "exchange": exchange.exchange,
        "name": exchange.name,
        "title": exchange.title,
        "description": exchange.description,
        "routingKey": [_key(key) for key in exchange.keys],
        "schema": f"v1/{exchange.schema}.json#",
    }


def _key(key: Key) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": key.name, "summary": key.summary, "multipleWords": key.multiple_words, "required": key.required}
    if key.constant is not None:
        entry["constant"] = key.constant
    return entry
