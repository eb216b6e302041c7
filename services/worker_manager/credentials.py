"""What a worker gets when it registers: temporary credentials, signed with the service's own, and a secret for the next time."""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from tcbox import clock as clocks
from tcbox import ids
from tcbox.credentials import temporary
from tcbox.credentials.keys import Key
from tcbox.services.worker_manager.model import Worker

EARLY = 15 * clocks.MINUTE
"""How long before they are made credentials are valid, for machines whose clocks are behind."""


class Secret(NamedTuple):
    """A secret for registering again, and what is kept of it."""

    text: str
    digest: bytes


def secret() -> Secret:
    """A new one, of 44 characters."""
    text = ids.access_token()
    return Secret(text, digest(text))


def digest(text: str) -> bytes:
    """What is kept of a secret; enough, for a secret of 264 random bits cannot be guessed."""
    return hashlib.sha256(text.encode()).digest()


def fits(text: str, kept: bytes | None) -> bool:
    """Whether a secret is the one of which this is kept, told in constant time."""
    return hmac.compare_digest(digest(text), kept or b"") and kept is not None


class WorkerCredentials:
    """Issues credentials to workers.

    Args:
        client_id, access_token: the service's own, whose scopes must satisfy all that is issued.
    """

    def __init__(self, client_id: str, access_token: str, clock: clocks.Clock) -> None:
        self._client_id = client_id
        self._key = Key(access_token)
        self._clock = clock

    def issue(self, worker: Worker, expires: int) -> dict[str, str]:
        """Credentials for a worker until a time in ms; all that stands in them is what is stored, not what was sent."""
        made = temporary.create(
            self._client_id, self._key, name=f"worker/{worker.provider_id}/{worker.worker_pool_id}/{worker.worker_group}/{worker.worker_id}",
            start_ms=self._clock.now() - EARLY, expiry_ms=expires, scopes=scopes(worker),
        )  # fmt: skip
        return {"clientId": made.client_id, "accessToken": made.access_token, "certificate": made.certificate or ""}


def scopes(worker: Worker) -> list[str]:
    """What a worker may do; `worker-type` is the old word for its pool."""
    pool, name = worker.worker_pool_id, f"{worker.worker_group}/{worker.worker_id}"
    return [
        f"assume:worker-type:{pool}",
        f"assume:worker-pool:{pool}",
        f"assume:worker-id:{name}",
        f"queue:worker-id:{name}",
        f"secrets:get:worker-type:{pool}",
        f"secrets:get:worker-pool:{pool}",
        f"queue:claim-work:{pool}",
        f"worker-manager:remove-worker:{pool}/{name}",
        f"worker-manager:reregister-worker:{pool}/{name}",
        f"worker-manager:should-worker-terminate:{pool}/{name}",
    ]
