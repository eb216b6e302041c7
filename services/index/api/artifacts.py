"""Artifacts of indexed tasks: the caller is sent to where they are."""

from __future__ import annotations

from urllib.parse import quote

from tcbox import clock as clocks
from tcbox import credentials as creds
from tcbox import errors
from tcbox.api import Call, Redirect, Reply
from tcbox.client import Caller
from tcbox.credentials import bewit
from tcbox.scopes import ScopeSet
from tcbox.services.index import model
from tcbox.services.index.api import replies
from tcbox.services.index.declarations import api
from tcbox.services.index.store import Store

SIGNED_FOR = 15 * clocks.MINUTE
"""How long a URL that is made for the caller alone can be used."""
_ALL = ScopeSet(["queue:get-artifact:*"])
_MOST = 1000
"""Characters of scopes that a URL has room for."""


class Artifacts:
    """Sends callers to artifacts.

    Args:
        anonymous: calls the queue as one who has no credentials.
        client_id, access_token: the service's own, which URLs are signed with.
        root_url: of the instance.
    """

    def __init__(self, store: Store, clock: clocks.Clock, *, anonymous: Caller, client_id: str, access_token: str, root_url: str) -> None:
        self._store = store
        self._clock = clock
        self._anonymous = anonymous
        self._client_id = client_id
        self._access_token = access_token
        self._root_url = root_url

    @api.get("/task/<indexPath>/artifacts/<name>", name="findArtifactFromTask", scopes="queue:get-artifact:<name>")
    async def find_artifact_from_task(self, call: Call, indexPath: str, name: str) -> Reply:
        """Get Artifact From Indexed Task

        Sends the caller on to an artifact of the latest run of the task that a name stands for. Answers 404 where it
        stands for none.

        Between two calls the name may come to stand for another task. Who needs several files that belong together
        should put them into one artifact, use a name that is unique, or ask for the task first, by `findTask`.
        """
        found = replies.present(await self._store.get(model.split(indexPath)), indexPath, self._clock.now())
        return Redirect(await self._url(call, found.task_id, name))

    async def _url(self, call: Call, task_id: str, name: str) -> str:
        """Where the artifact is, if everybody may read it; else the queue's own URL for it, good for this caller."""
        url = f"{self._root_url}/api/queue/v1/task/{task_id}/artifacts/{quote(name, safe='')}"
        try:
            content = await self._anonymous.call("queue", "latestArtifact", task_id, name)
        except errors.InsufficientScopes:
            return await self._signed(call, url, name)
        except errors.ApiError:
            return url  # the queue says what is wrong
        return str(content.get("url") or url)

    async def _signed(self, call: Call, url: str, name: str) -> str:
        """The URL with a signature that gives no more than the caller's own scopes: the artifact may be a link to others."""
        scopes = (await call.scopes()).intersect(_ALL).scopes
        if sum(map(len, scopes)) > _MOST:
            scopes = (f"queue:get-artifact:{name}",)
        now = self._clock.now()
        made = creds.create(self._client_id, self._access_token, scopes=scopes, start_ms=now, expiry_ms=now + SIGNED_FOR)
        code = bewit.make(made.client_id, made.access_token, url=url, expires_ms=now + SIGNED_FOR, ext=creds.make_ext(made.certificate))
        return f"{url}?bewit={code}"
