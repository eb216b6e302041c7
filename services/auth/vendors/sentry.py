"""Keys of Sentry projects that end by themselves: their names say until when, and a loop removes them.

Source: the Sentry web API, on projects and client keys.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.vendors.http import Outgoing

LIFETIME = 48 * clocks.HOUR
REUSED = 25 * clocks.HOUR
"""A key with less time left than this is not given out any more, so that each is good for at least a day."""

PURGE_DELAY = 15 * clocks.MINUTE
_LABEL = re.compile(r" managed \(expires-at:([0-9TZ:.-]+)\)")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where Sentry is, and whom to be there.

    Attributes:
        url: such as https://sentry.example.com.
        token: may read and administer projects, and read the organization.
        team: gets the projects that are made here.
        key_prefix: begins the name of each key that is made here, so that no others are touched.
    """

    url: str
    token: str
    organization: str
    team: str
    key_prefix: str


@dataclass(frozen=True, slots=True)
class Key:
    """A client key; `expires` in ms since the epoch."""

    id: str
    public: str
    secret: str
    expires: int


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(reason)


class Dsns:
    """Gives the addresses to which a project's errors are sent."""

    def __init__(self, settings: Settings | None, outgoing: Outgoing, clock: clocks.Clock) -> None:
        self._settings = settings
        self._outgoing = outgoing
        self._clock = clock
        self._log = log.get("auth")
        self._known: dict[str, Key] = {}

    async def give(self, project: str) -> Key:
        """A key that is good for a day at least; the project is made when it is not there.

        Raises ResourceNotFound when Sentry is not configured, InternalServerError when it refuses.
        """
        settings = self._settings
        if settings is None:
            raise errors.ResourceNotFound("There are no credentials for Sentry: an administrator can configure it by services.auth.sentry in tcbox.yml.")
        known = self._known.pop(project, None)
        if known is None or known.expires <= self._clock.now() + REUSED:
            try:
                known = await self._key(settings, project)
            except _Refused as refused:
                raise errors.InternalServerError("Sentry gave no key for the project {project}: {reason}", project=project, reason=str(refused)) from None
        self._known[project] = known
        return known

    async def purge(self) -> None:
        """Remove the keys whose time is over."""
        settings = self._settings
        if settings is None:
            return
        before = self._clock.now() - PURGE_DELAY
        removed = 0
        for project in await self._ask(settings, "GET", f"organizations/{quote(settings.organization)}/projects/"):
            place = _project(settings, project["slug"])
            for key in _ours(await self._ask(settings, "GET", f"{place}/keys/"), settings.key_prefix):
                if key.expires < before:
                    try:
                        await self._ask(settings, "DELETE", f"{place}/keys/{quote(key.id)}/")
                        removed += 1
                    except _Refused as refused:
                        if refused.status != 404:  # which says that another process was faster
                            raise
        if removed:
            self._log.info("removed expired Sentry keys", extra={"count": removed})

    async def _key(self, settings: Settings, project: str) -> Key:
        place = _project(settings, project)
        try:
            keys = await self._ask(settings, "GET", f"{place}/keys/")
        except _Refused as refused:
            self._log.info("making the Sentry project %s, whose keys cannot be listed: %s", project, refused)
            made = {"name": project, "slug": project}
            await self._ask(settings, "POST", f"teams/{quote(settings.organization)}/{quote(settings.team)}/projects/", made)
            keys = await self._ask(settings, "GET", f"{place}/keys/")
        newest = max(_ours(keys, settings.key_prefix), key=lambda key: key.expires, default=None)
        now = self._clock.now()
        if newest is not None and newest.expires >= now + REUSED:
            return newest
        expires = now + LIFETIME
        label = f"{settings.key_prefix} managed (expires-at:{clocks.to_wire(expires)})"
        return _key(await self._ask(settings, "POST", f"{place}/keys/", {"name": label}), expires)

    async def _ask(self, settings: Settings, verb: str, path: str, body: Any = None) -> Any:
        url = f"{settings.url.rstrip('/')}/api/0/{path}"
        reply = await self._outgoing.send(verb, url, headers={"Authorization": f"Bearer {settings.token}"}, json=body)
        if reply.ok:
            return reply.json()
        said = reply.json()
        detail = said.get("detail") if isinstance(said, dict) else None
        raise _Refused(reply.status, str(detail or f"HTTP status {reply.status}"))


def _project(settings: Settings, project: str) -> str:
    return f"projects/{quote(settings.organization)}/{quote(project)}"


def _ours(keys: list[dict[str, Any]], prefix: str) -> list[Key]:
    found = []
    for key in keys:
        label = str(key.get("label", ""))
        match = _LABEL.fullmatch(label.removeprefix(prefix)) if label.startswith(prefix) else None
        if match is not None:
            with contextlib.suppress(ValueError):
                found.append(_key(key, clocks.from_wire(match[1])))
    return found


def _key(raw: dict[str, Any], expires: int) -> Key:
    return Key(str(raw["id"]), raw["dsn"]["public"], raw["dsn"]["secret"], expires)
