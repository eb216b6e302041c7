"""One who listens on an AMQP server with another maker's client, as those outside do."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from tests.support import rabbitmq_server


class Listener:
    """A durable queue bound to exchanges, and everything that has come into it, in order; goes on over restarts.

    Attributes:
        got: exchange, routing key, CC keys, message id and body of each message.
    """

    def __init__(self, broker: rabbitmq_server.Broker, bindings: list[tuple[str, str]], queue: str = "queue/outsider/all") -> None:
        self.got: list[dict[str, Any]] = []
        self._broker = broker
        self._queue = queue
        self._stopping = False
        with broker.channel() as channel:
            channel.queue_declare(queue, durable=True)
            for exchange, pattern in bindings:
                channel.exchange_declare(exchange, exchange_type="topic", durable=True)
                channel.queue_bind(queue, exchange, pattern)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._stopping:
            try:
                with self._broker.channel() as channel:
                    for method, properties, body in channel.consume(self._queue, inactivity_timeout=0.1):
                        if method is not None:
                            headers = properties.headers or {}
                            self.got.append({
                                "exchange": method.exchange, "key": method.routing_key, "cc": headers.get("CC", []), "id": properties.message_id,
                                "body": json.loads(body), "type": properties.content_type, "mode": properties.delivery_mode,
                            })  # fmt: skip
                            channel.basic_ack(method.delivery_tag)
                        if self._stopping:
                            return
            except Exception:
                time.sleep(0.1)

    def until(self, ready, seconds: float = 30.0) -> None:
        """Wait until what has come is enough."""
        end = time.monotonic() + seconds
        while not ready(self.got):
            assert time.monotonic() < end, f"{len(self.got)} messages came, and not what was waited for"
            time.sleep(0.02)

    def first(self) -> list[dict[str, Any]]:
        """Each message the first time that it came."""
        seen: set[str] = set()
        return [each for each in list(self.got) if not (each["id"] in seen or seen.add(each["id"]))]

    def stop(self) -> None:
        self._stopping = True
        self._thread.join(10)
