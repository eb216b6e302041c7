"""The web-server service for tests, beside a real auth service, behind one front door, with browsers that keep cookies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import yarl

import tcbox.services
from tcbox import clock as clocks
from tcbox import db, events
from tcbox.api.dispatch import Dispatcher
from tcbox.api.front import Front
from tcbox.api.schemas import SchemaSet
from tcbox.box import seed
from tcbox.box.identity import SERVICE_SCOPES
from tcbox.client.http import Credentials, sign
from tcbox.client.local import Local
from tcbox.credentials import LazyScopes, Success
from tcbox.credentials.sealed import Sealer
from tcbox.events import bus as buses
from tcbox.scopes import ScopeSet
from tcbox.services.auth import store as auth_store
from tcbox.services.auth.service import Service as AuthService
from tcbox.services.auth.static import StaticClient
from tcbox.services.web_server import store
from tcbox.services.web_server.service import Rules, Service
from tests.simulators.github_oauth import GithubOauth
from tests.simulators.serving import served

SERVICES = Path(tcbox.services.__path__[0])
MIGRATIONS = [buses.migrations, auth_store.migrations, store.migrations]
ROOT = StaticClient("static/taskcluster/root", "r" * 44, ("*",), "for tests")
OWN = StaticClient("static/taskcluster/web-server", "w" * 44, SERVICE_SCOPES["web-server"], "for tests")
SEALER = Sealer(bytes(range(32)))


@dataclass
class Reply:
    """What a browser got."""

    status: int
    headers: Any
    text: str
    body: Any

    @property
    def location(self) -> str:
        return self.headers["Location"]

    def values(self, part: str = "query") -> dict[str, str]:
        """The values in the query, or fragment, of where it is sent."""
        return dict(parse_qsl(getattr(urlsplit(self.location), part)))


class Browser:
    """Keeps cookies, follows no redirect by itself, and says that its requests come from the instance's own pages."""

    def __init__(self, root_url: str, session: aiohttp.ClientSession) -> None:
        self.root_url = root_url
        self.session = session

    async def ask(self, verb: str, path: str, *, headers: dict[str, str] | None = None, **body: Any) -> Reply:
        url = path if path.startswith("http") else self.root_url + path
        sent = {"Origin": self.root_url, **(headers or {})} if verb != "GET" else headers or {}
        async with self.session.request(verb, yarl.URL(url, encoded=True), headers=sent, allow_redirects=False, **body) as reply:
            text = await reply.text()
            made = await reply.json() if "json" in reply.headers.get("Content-Type", "") else None
            return Reply(reply.status, reply.headers, text, made)

    async def get(self, path: str, **query: str) -> Reply:
        return await self.ask("GET", path + (f"?{urlencode(query)}" if query else ""))

    async def post(self, path: str, **body: Any) -> Reply:
        return await self.ask("POST", path, **body)

    async def who(self) -> str | None:
        """Who is signed in."""
        session = (await self.get("/login/session")).body["session"]
        return session and session["clientId"]

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie.key: cookie.value for cookie in self.session.cookie_jar}


class WebServer:
    """The services with their front door, and a simulator of GitHub."""

    def __init__(self, database: db.Database, clock: clocks.VirtualClock, github: GithubOauth, stack: AsyncExitStack) -> None:
        self.database = database
        self.clock = clock
        self.github = github
        self.bus = events.Bus(database, clock)
        self.auth = AuthService(database=database, bus=self.bus, sealer=SEALER, clock=clock, static_clients=[ROOT, OWN])
        self.front = Front(clock)
        self.schemas = SchemaSet.load({name: SERVICES / name.replace("-", "_") / "schemas" for name in ("auth", "web-server")})
        self.own: Local = self._local(OWN.client_id, OWN.scopes)
        self.root = self._local(ROOT.client_id, ROOT.scopes)
        self.root_url = ""
        self.service: Any = None
        self._stack = stack

    def _local(self, client_id: str, scopes: Sequence[str]) -> Local:
        return Local(
            self.front.services.get, lambda: Success("hawk", client_id, 2**52, LazyScopes(ScopeSet(scopes), lambda given: self.auth.directory.expand(given)))
        )

    def restricted(self, scopes: Sequence[str]) -> Local:
        return self._local(OWN.client_id, scopes)

    async def start(self, rules: Rules, root_url: str = "") -> None:
        await self.auth.start(self._stack)
        await seed.plant(self.auth.roles, ROOT.client_id)
        port = await self.front.listen("127.0.0.1", 0)
        self._stack.push_async_callback(self.front.close, 0.5)
        self.root_url = f"http://127.0.0.1:{port}"
        self.add(self.auth)
        self.service = Service(
            database=self.database, sealer=SEALER, clock=self.clock, callers=self, own=Credentials(OWN.client_id, OWN.access_token),
            root=Credentials(ROOT.client_id, ROOT.access_token), root_url=root_url or self.root_url, local_url=self.root_url, rules=rules,
        )  # fmt: skip
        await self.service.start(self._stack)
        self.add(self.service)
        for prefix, handler in self.service.mounts().items():
            self.front.mount(prefix, handler)

    def add(self, service: Any) -> None:
        handlers = service.api.bind(*service.families(), service.monitoring(lambda: 1.0, list))
        self.front.services[service.name] = Dispatcher(service.api, handlers, self.schemas, self.auth.directory, clock=self.clock, check_replies=True)

    async def browser(self) -> Browser:
        jar = aiohttp.CookieJar(unsafe=True)
        return Browser(self.root_url, await self._stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar)))

    async def owner(self) -> Browser:
        """A browser in which the owner is signed in."""
        made = await self.browser()
        assert (await made.post("/login/link", json={"code": await self.service.links.make()})).status == 200
        return made

    async def by_github(self, browser: Browser | None = None, after: str = "/") -> Browser:
        """A browser in which whoever is at GitHub's keyboard has signed in."""
        made = browser or await self.browser()
        sent = await made.get("/login/github", next=after)
        back = await made.get(sent.location)
        done = await made.get(back.location)
        assert (done.status, done.location) == (303, after), done.text
        return made

    async def signed(self, credentials: dict[str, Any], service: str, path: str, verb: str = "GET") -> tuple[int, Any]:
        """Call the API as a page does, with credentials that came from the service."""
        import msgspec

        certificate = credentials.get("certificate")
        made = Credentials(credentials["clientId"], credentials["accessToken"], msgspec.json.encode(certificate).decode() if certificate else None)
        url = f"{self.root_url}/api/{service}/v1/{path}"
        headers = {"Authorization": sign(made, verb, url, None, self.clock.now())}
        async with aiohttp.ClientSession() as session, session.request(verb, url, headers=headers) as reply:
            return reply.status, await reply.json()

    async def scopes(self, credentials: dict[str, Any]) -> list[str]:
        status, body = await self.signed(credentials, "auth", "scopes/current")
        assert status == 200, body
        return body["scopes"]


@asynccontextmanager
async def running(database: db.Database, clock: clocks.VirtualClock, rules: Rules | None = None, *, root_url: str = "") -> AsyncIterator[WebServer]:
    """The services on a migrated database (`MIGRATIONS`); sign-in by GitHub leads to a simulator of it."""
    from tcbox.services.web_server.github import App

    async with AsyncExitStack() as stack:
        github = GithubOauth()
        url = await stack.enter_async_context(served(github.app))
        made = WebServer(database, clock, github, stack)
        rules = rules or Rules()
        await made.start(replace(rules, github=App(github.client_id, github.client_secret, url, f"{url}/api/v3")), root_url)
        yield made
