"""GitHub's REST API, as the app and as its installations: tokens that are kept, tries, limits that are kept to.

Source: the GitHub REST API, on apps, on pagination, and on rate limits.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.vendors import github, jwt
from tcbox.vendors.github import App
from tcbox.vendors.http import Answer, Outgoing

TRIES = 3
PAUSE = 500
"""Milliseconds between the first two tries of a request; twice and four times as long between later ones."""
MARGIN = 10 * clocks.MINUTE
"""A token is replaced when it ends sooner."""
PAGE = 100
MOST_PAGES = 1000
_MOST_TOKENS = 10_000

_log = log.get("github")


class HubError(errors.TcboxError):
    """Something that GitHub did not do."""


class Refused(HubError):
    """GitHub refuses a request; the message is GitHub's own.

    Attributes:
        status: the HTTP status, 400 to 499.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Limited(HubError):
    """GitHub asks to slow down.

    Attributes:
        until: when the next request may be made, in ms.
    """

    def __init__(self, until: int) -> None:
        super().__init__(f"GitHub takes no more requests of this installation until {clocks.to_wire(until)}.")
        self.until = until


class Unreachable(HubError):
    """GitHub does not answer, or fails: it may do better later."""


class UnknownCommit(Unreachable):
    """GitHub does not know a commit that it has told of; some of its servers learn of it later."""


class Hub:
    """GitHub as one app sees it.

    Args:
        app: None when none is configured; every request is refused then.
        url: of the API, as of a GitHub Enterprise server.

    Attributes:
        fault: what does not work just now with the app as a whole, in words; None when nothing.
    """

    def __init__(self, app: App | None, outgoing: Outgoing, clock: clocks.Clock, *, url: str = github.API, pause: int = PAUSE) -> None:
        self._app = app
        self._outgoing = outgoing
        self._clock = clock
        self._url = url.rstrip("/")
        self._pause = pause
        self._installations: dict[int, Installation] = {}
        self.fault: str | None = None

    @property
    def configured(self) -> bool:
        """Whether there is an app."""
        return self._app is not None

    @property
    def app_id(self) -> str:
        """The app's number."""
        return "" if self._app is None else self._app.app_id

    def installation(self, number: int) -> Installation:
        """GitHub as one installation of the app."""
        found = self._installations.get(number)
        if found is None:
            if len(self._installations) >= _MOST_TOKENS:
                self._installations.pop(next(iter(self._installations)))
            found = self._installations[number] = Installation(self, number, self._clock)
        return found

    async def ask(self, verb: str, path: str, body: Any = None) -> Any:
        """Make a request in the app's own name; the decoded reply.

        Raises HubError.
        """
        app = self._app
        if app is None:
            raise Refused(401, "No GitHub App is configured: set services.github.app_id and services.github.private_key in tcbox.yml.")
        try:
            reply = await self.send(verb, path, github.app_headers(app, self._clock.now()), body)
        except jwt.PrivateKeyError as error:
            self.fault = f"services.github.private_key: {error}"
            raise Refused(401, self.fault) from None
        if reply.status == 401:
            self.fault = f"GitHub does not accept app_id and private_key of services.github: {github.message(reply)}"
        elif reply.ok:
            self.fault = None
        return self.result(reply)

    async def send(self, verb: str, path: str, headers: Mapping[str, str], body: Any = None) -> Answer:
        """Make a request, again where GitHub fails. Raises Unreachable."""
        for attempt in range(TRIES):
            try:
                reply = await self._outgoing.send(verb, self._url + path, headers=headers, json=body)
                failed = f"GitHub answers {verb} {path} with status {reply.status}" if reply.status >= 500 else None
            except errors.Unavailable as error:
                failed = str(error)
            if failed is None:
                moved = self._moved(reply)
                if moved is not None and moved != path:
                    path, failed = moved, f"GitHub sends {path} from one place to another"
                    continue
                if self.fault is not None and reply.ok and self.fault.startswith("GitHub "):
                    self.fault = None
                return reply
            if attempt + 1 < TRIES:
                await self._clock.sleep(self._pause * 2**attempt * (0.5 + random.random()))
        self.fault = failed
        raise Unreachable(str(failed))

    def _moved(self, reply: Answer) -> str | None:
        """The path that a reply leads to, as for a repository that was renamed; never one of another server."""
        if reply.status not in (301, 302, 307, 308):
            return None
        location = reply.headers.get("location", "")
        return location.removeprefix(self._url) if location.startswith(f"{self._url}/") else None

    def result(self, reply: Answer) -> Any:
        """The decoded body of a reply. Raises Limited, Refused."""
        if reply.ok:
            return reply.json()
        if github.limited(reply):
            raise Limited(github.limited_until(reply, self._clock.now()))
        raise Refused(reply.status, github.message(reply))


class Installation:
    """GitHub as one installation of an app sees it: the repositories that an owner gave it.

    Attributes:
        number: GitHub's id of it.
    """

    def __init__(self, hub: Hub, number: int, clock: clocks.Clock) -> None:
        self.number = number
        self._hub = hub
        self._clock = clock
        self._token = ("", 0)
        self._turn = asyncio.Lock()
        self._blocked_until = 0

    async def ask(self, verb: str, path: str, body: Any = None, **query: Any) -> Any:
        """Make a request; the decoded reply, None when it has no body.

        Raises HubError: Limited at once for as long as GitHub wants none.
        """
        if query:
            path = f"{path}?{urlencode(query)}"
        if self._blocked_until > self._clock.now():
            raise Limited(self._blocked_until)
        try:
            return await self._ask(verb, path, body)
        except Limited as error:
            self._blocked_until = error.until
            raise

    async def _ask(self, verb: str, path: str, body: Any) -> Any:
        token = await self._current()
        reply = await self._hub.send(verb, path, github.headers(f"Bearer {token}"), body)
        if reply.status == 401:  # it may have been revoked
            if self._token[0] == token:
                self._token = ("", 0)
            reply = await self._hub.send(verb, path, github.headers(f"Bearer {await self._current()}"), body)
        return self._hub.result(reply)

    async def _current(self) -> str:
        async with self._turn:
            token, ends = self._token
            if ends < self._clock.now() + MARGIN:
                made = await self._hub.ask("POST", f"/app/installations/{self.number}/access_tokens", {})
                token = str(made["token"])
                self._token = (token, clocks.from_wire(made["expires_at"]))
            return token

    async def pages(self, path: str, item: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """All items of a list that comes in pages.

        Args:
            item: the property that holds a page's items; empty when a page is a list itself.
        """
        for page in range(1, MOST_PAGES + 1):
            found = await self.ask("GET", path, None, **query, per_page=PAGE, page=page)
            items = found.get(item) or [] if item else found
            for each in items:
                yield each
            if len(items) < PAGE:
                return


class Repository:
    """One repository, by its names as GitHub has them."""

    def __init__(self, installation: Installation, owner: str, name: str) -> None:
        self.installation = installation
        self.owner = owner
        self.name = name

    async def ask(self, verb: str, path: str, body: Any = None, **query: Any) -> Any:
        """Make a request to a path below the repository. Raises HubError."""
        return await self.installation.ask(verb, f"/repos/{part(self.owner)}/{part(self.name)}{path}", body, **query)

    async def default_branch(self) -> str:
        """The branch that policies are read from."""
        return str((await self.ask("GET", ""))["default_branch"])

    async def is_collaborator(self, login: str) -> bool:
        """Whether somebody is a collaborator."""
        try:
            await self.ask("GET", f"/collaborators/{part(login)}")
        except Refused as error:
            if error.status == 404:
                return False
            raise
        return True


def part(text: str) -> str:
    """A text as one segment of a path. Raises Refused for one that would lead elsewhere."""
    if not text.strip("."):
        raise Refused(404, f"there is nothing of the name {text!r}")
    return quote(text, safe="")
