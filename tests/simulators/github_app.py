"""GitHub's REST API as a GitHub App uses it: installations, and their access tokens."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.simulators import tokens


class GithubApp:
    """One app with its installations.

    Attributes:
        orgs, users: the number of the installation on an owner.
        repositories: what each installation has access to.
        logins: under which name GitHub shows an owner, where it is another.
        limited: how an owner's requests are turned away: status, headers, message.
        lookups: how many installations were asked for.
        failures: so many requests fail from now on.
    """

    def __init__(self, app_id: str, key: rsa.RSAPublicKey) -> None:
        self.app_id = app_id
        self.key = key
        self.orgs: dict[str, int] = {}
        self.users: dict[str, int] = {}
        self.repositories: dict[int, set[str]] = {}
        self.logins: dict[str, str | None] = {}
        self.limited: dict[str, tuple[int, dict[str, str], str]] = {}
        self.now = lambda: time.time()
        self.lookups = 0
        self.failures = 0
        self.app = web.Application(middlewares=[self._authenticate])
        self.app.router.add_get("/orgs/{owner}/installation", self.of_org)
        self.app.router.add_get("/users/{owner}/installation", self.of_user)
        self.app.router.add_post("/app/installations/{number}/access_tokens", self.make_token)

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.failures:
            self.failures -= 1
            return web.json_response({"message": "Server Error"}, status=502)
        if "User-Agent" not in request.headers:
            return web.json_response({"message": "Request forbidden by administrative rules."}, status=403)
        refusal = self.as_app(request)
        return await handler(request) if refusal is None else refusal

    def as_app(self, request: web.Request) -> web.Response | None:
        """The refusal of a request that is not signed by the app."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        claims = tokens.rs256(token, self.key) if kind == "Bearer" else None
        now = self.now()
        if claims is None or claims["iss"] != self.app_id:
            return web.json_response({"message": "A JSON web token could not be decoded"}, status=401)
        if claims["exp"] - now > 600 or claims["exp"] < now or claims["iat"] > now:
            return web.json_response({"message": "'Expiration time' claim ('exp') is too far in the future"}, status=401)
        return None

    async def of_org(self, request: web.Request) -> web.Response:
        return self._installation(self.orgs, request.match_info["owner"])

    async def of_user(self, request: web.Request) -> web.Response:
        return self._installation(self.users, request.match_info["owner"])

    def _installation(self, owners: dict[str, int], owner: str) -> web.Response:
        self.lookups += 1
        if owner in self.limited:
            status, headers, message = self.limited[owner]
            return web.json_response({"message": message}, status=status, headers=headers)
        if owner not in owners:
            return web.json_response({"message": "Not Found"}, status=404)
        return web.json_response({"id": owners[owner], "account": {"login": self.logins.get(owner, owner)}})

    async def make_token(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        body = await request.json()
        if number not in self.repositories:
            return web.json_response({"message": "Not Found"}, status=404)
        unknown = set(body["repositories"]) - self.repositories[number]
        if unknown:
            return web.json_response({"message": f"There is at least one repository that does not exist: {sorted(unknown)}"}, status=422)
        granted = ",".join(f"{name}:{level}" for name, level in body["permissions"].items())
        return web.json_response({"token": f"{number}/{granted}/{','.join(body['repositories'])}", "expires_at": "2031-02-03T04:05:06Z"}, status=201)
