"""Tokens for repositories on GitHub, given by a GitHub App that is installed on their owner.

Source: the GitHub REST API, on apps and installation access tokens, and on rate limits.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tcbox import clock as clocks
from tcbox import errors
from tcbox.vendors.github import API, App, TooManyRequests, app_headers, limited, message
from tcbox.vendors.http import Answer, Outgoing

__all__ = ["API", "App", "GithubAppError", "RepoTokens", "TooManyRequests"]

REMEMBERED = 1 * clocks.HOUR
"""How long it is remembered which installation an owner has."""

MOST_REMEMBERED = 1000
PATIENCE = 10
"""Seconds that a request may be put off, once, when GitHub asks to slow down."""

_TRIES = 3
_NAME = re.compile(r"[a-zA-Z0-9_-]+")


class GithubAppError(errors.TcboxError):
    """A GitHub app of the configuration cannot be used."""


class RepoTokens:
    """Gives tokens of the configured apps.

    Args:
        apps: by the name that stands in scopes.
        url: of the GitHub API.

    Raises GithubAppError for an app whose name cannot stand in a scope, or that lacks its id or key.
    """

    def __init__(self, apps: Mapping[str, App], outgoing: Outgoing, clock: clocks.Clock, *, url: str = API) -> None:
        for name, app in apps.items():
            if not _NAME.fullmatch(name):
                raise GithubAppError(f"the GitHub app {name!r} (services.auth.github.apps) must have a name of letters, digits, dashes and underscores")
            if not app.app_id or "PRIVATE KEY-----" not in app.private_key:
                raise GithubAppError(f"the GitHub app {name!r} (services.auth.github.apps) needs its app_id and its private_key in PEM form")
        self._apps = dict(apps)
        self._outgoing = outgoing
        self._clock = clock
        self._url = url.rstrip("/")
        self._installations: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()

    async def give(self, name: str, owner: str, repositories: list[str], permissions: Mapping[str, str]) -> dict[str, Any]:
        """`token` and `expires`, as the API shows them; owner and repositories in small letters.

        Raises ResourceNotFound where the app is not configured or not installed, InputError when GitHub does not grant
        these permissions, TooManyRequests when it takes no more requests just now.
        """
        app = self._apps.get(name)
        if app is None:
            raise errors.ResourceNotFound(
                "There is no GitHub app {appName} here: an administrator can configure it by services.auth.github.apps in tcbox.yml.", appName=name
            )
        number = self._remembered(name, owner) or await self._installation(app, name, owner)
        wanted = {"permissions": dict(permissions), "repositories": repositories}
        reply = await self._ask(app, "POST", f"/app/installations/{number}/access_tokens", wanted)
        if reply.ok:
            made = reply.json()
            return {"token": made["token"], "expires": made["expires_at"]}
        if reply.status == 422:
            raise errors.InputError("GitHub refused the request: {reason}", reason=message(reply))
        if reply.status == 404:
            self._installations.pop((name, owner), None)
            raise _not_installed(name, owner)
        raise _failed(name, reply)

    def _remembered(self, name: str, owner: str) -> int | None:
        number, ends = self._installations.get((name, owner), (0, 0))
        return number if ends > self._clock.now() else None

    async def _installation(self, app: App, name: str, owner: str) -> int:
        reply = await self._ask(app, "GET", f"/orgs/{quote(owner)}/installation")
        if reply.status == 404:
            reply = await self._ask(app, "GET", f"/users/{quote(owner)}/installation")
        if reply.status == 404:
            raise _not_installed(name, owner)
        if not reply.ok:
            raise _failed(name, reply)
        found = reply.json()
        login = (found.get("account") or {}).get("login")
        if str(login).lower() != owner:
            raise errors.InputError(
                "The GitHub app {appName} says that its installation belongs to {login}, not to {owner}: if the owner was renamed, use the new name.",
                appName=name, login=str(login), owner=owner,
            )  # fmt: skip
        self._installations[name, owner] = (int(found["id"]), self._clock.now() + REMEMBERED)
        if len(self._installations) > MOST_REMEMBERED:
            self._installations.popitem(last=False)
        return int(found["id"])

    async def _ask(self, app: App, verb: str, path: str, body: Any = None) -> Answer:
        """The answer, after another try where GitHub failed or asked to slow down for a short time."""
        slowed = False
        for attempt in range(1, _TRIES + 1):
            reply = await self._outgoing.send(verb, self._url + path, headers=app_headers(app, self._clock.now()), json=body)
            if limited(reply):
                wait = reply.headers.get("retry-after", "")
                if slowed or not wait.isdigit() or int(wait) >= PATIENCE or attempt == _TRIES:
                    return reply
                slowed = True
                await self._clock.sleep(int(wait) * clocks.SECOND)
            elif reply.status < 500 or attempt == _TRIES:
                return reply
            else:
                await self._clock.sleep(attempt**2 * clocks.SECOND)
        raise AssertionError("the loop above always returns")


def _not_installed(name: str, owner: str) -> errors.ResourceNotFound:
    return errors.ResourceNotFound("The GitHub app {appName} is not installed on {owner}: an owner of {owner} can install it.", appName=name, owner=owner)


def _failed(name: str, reply: Answer) -> errors.ApiError:
    if limited(reply):
        return TooManyRequests("GitHub takes no more requests of the app {appName} just now: try again later.", appName=name)
    return errors.InternalServerError("GitHub answered {status} to the app {appName}: {reason}", status=reply.status, appName=name, reason=message(reply))
