"""The provider of machines that somebody else looks after: each is made known with a secret, and proves itself by it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from tcbox.credentials.sealed import Sealer
from tcbox.services.worker_manager.model import Key, Worker
from tcbox.services.worker_manager.providers.inert import Inert
from tcbox.services.worker_manager.providers.interface import Refused


class Static(Inert):
    """Knows workers by their secrets.

    Args:
        sealer: seals the secrets in the database.
    """

    by_hand = True

    def __init__(self, provider_id: str, sealer: Sealer) -> None:
        super().__init__(provider_id, "static")
        self._sealer = sealer

    async def verify(self, worker: Worker, proof: Mapping[str, Any]) -> None:
        """Compare the secret that is given with the worker's own."""
        given = proof.get("staticSecret")
        if not isinstance(given, str) or not given:
            raise Refused("missing staticSecret in workerIdentityProof")
        if not self.knows(worker, given):
            raise Refused("bad staticSecret in workerIdentityProof")

    def knows(self, worker: Worker, secret: str) -> bool:
        """Whether this is a worker's secret, told in constant time."""
        if worker.static_secret is None:
            return False
        return hmac.compare_digest(secret.encode(), self._sealer.open(worker.static_secret, context=context(worker.key)))


def context(key: Key) -> str:
    """What a worker's secret is bound to, so that it opens in no other worker's place."""
    return f"worker-manager/{'/'.join(key)}"
