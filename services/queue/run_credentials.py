"""Temporary credentials: for the run of a task, and for moving one artifact's bytes.

They are signed with the queue's own credentials, so nothing is stored and nobody is asked.
Source: the queue's schemas `task-credentials` and `object-credentials`.
"""

from __future__ import annotations

from collections.abc import Sequence

from tcbox import clock as clocks
from tcbox.credentials import temporary
from tcbox.credentials.keys import Key


class RunCredentials:
    """Issues temporary credentials in the queue's name.

    Args:
        client_id, access_token: the queue's own, whose scopes must satisfy all that is issued.
    """

    def __init__(self, client_id: str, access_token: str, clock: clocks.Clock) -> None:
        self._client_id = client_id
        self._key = Key(access_token)
        self._clock = clock

    def for_run(self, run: str, worker: str, taken_until: int, scopes: Sequence[str]) -> dict[str, str]:
        """What a worker needs for a run that it has claimed: the task's scopes, and those to keep and end the run.

        Args:
            run: `<taskId>/<runId>`.
            worker: `<workerGroup>/<workerId>`.
            taken_until: when the claim ends, in ms since the epoch; the credentials end with it.
        """
        until = f"{taken_until // 1000}" if taken_until % 1000 == 0 else f"{taken_until / 1000}"
        return self._issue(
            f"task-client/{run}/on/{worker}/until/{until}",
            taken_until,
            [f"queue:reclaim-task:{run}", f"queue:resolve-task:{run}", f"queue:create-artifact:{run}", *scopes],
        )

    def for_upload(self, run: str, worker: str, scope: str, expires: int) -> dict[str, str]:
        """What a worker needs to send an artifact to the object service, for a day at most."""
        expires = min(expires, self._clock.now() + clocks.DAY)
        return self._issue(f"artifact-upload/{run}/on/{worker}", expires, [scope])

    def for_download(self, artifact: str, scope: str) -> dict[str, str]:
        """What a reader needs to get an artifact from the object service, for an hour."""
        return self._issue(f"artifact-download/{artifact}", self._clock.now() + clocks.HOUR, [scope])

    def _issue(self, name: str, expires: int, scopes: Sequence[str]) -> dict[str, str]:
        made = temporary.create(self._client_id, self._key, name=name, start_ms=self._clock.now(), expiry_ms=expires, scopes=scopes)
        return {"clientId": made.client_id, "accessToken": made.access_token, "certificate": made.certificate or ""}
