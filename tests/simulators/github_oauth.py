"""GitHub as an OAuth app and its users see it: the sign-in page, the token end-point, and who someone is.

Refuses what GitHub refuses: codes that come twice or late, another redirect URI or secret, a wrong PKCE verifier, revoked
tokens, and requests without a User-Agent. Teams and organizations need `read:org`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit, urlunsplit

from aiohttp import web


@dataclass
class Account:
    """Someone with an account: teams as `org/slug`, and their role and state in each organization."""

    number: int
    login: str
    teams: list[str] = field(default_factory=list)
    orgs: dict[str, tuple[str, str]] = field(default_factory=dict)


class GithubOauth:
    """GitHub with one OAuth app.

    Attributes:
        at_keyboard: who is signed in at GitHub in the browser, None when they refuse.
        asks: whether GitHub shows a page before it sends the browser back.
        down: answers everything with 502.
        limited: answers the REST API as GitHub does when too much was asked.
        asked: the paths of the REST API that were asked for, in order.
    """

    def __init__(self, client_id: str = "app", client_secret: str = "app-secret", callback: str = "") -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.callback = callback
        self.accounts: dict[int, Account] = {}
        self.at_keyboard: Account | None = None
        self.asks = False
        self.down = False
        self.limited = False
        self.asked: list[str] = []
        self.tokens: dict[str, tuple[int, set[str]]] = {}
        self._codes: dict[str, tuple[int, str, str, str]] = {}
        self.app = web.Application(middlewares=[self._gate])
        self.app.router.add_get("/login/oauth/authorize", self.authorize)
        self.app.router.add_post("/login/oauth/access_token", self.access_token)
        self.app.router.add_get("/api/v3/user", self.user)
        self.app.router.add_get("/api/v3/user/teams", self.teams)
        self.app.router.add_get("/api/v3/user/memberships/orgs", self.memberships)

    def add(self, number: int, login: str, teams: list[str] | None = None, orgs: dict[str, tuple[str, str]] | None = None) -> Account:
        """An account; it is at the keyboard from now on."""
        made = self.accounts[number] = self.at_keyboard = Account(number, login, teams or [], orgs or {})
        return made

    def revoke(self, number: int) -> None:
        """The user withdraws what the app may see."""
        self.tokens = {token: held for token, held in self.tokens.items() if held[0] != number}

    @web.middleware
    async def _gate(self, request, handler):
        if self.down:
            return web.json_response({"message": "Server Error"}, status=502)
        if not request.path.startswith("/api/v3/"):
            return await handler(request)
        self.asked.append(request.path.removeprefix("/api/v3"))
        if "User-Agent" not in request.headers:
            return web.json_response({"message": "Request forbidden by administrative rules."}, status=403)
        if self.limited:
            return web.json_response({"message": "API rate limit exceeded"}, status=403, headers={"x-ratelimit-remaining": "0"})
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.tokens:
            return web.json_response({"message": "Bad credentials"}, status=401)
        return await handler(request)

    def _who(self, request: web.Request) -> tuple[int, set[str]]:
        return self.tokens[request.headers["Authorization"].partition(" ")[2]]

    async def authorize(self, request: web.Request) -> web.Response:
        query = request.query
        if query.get("client_id") != self.client_id:
            return web.Response(status=404, text="Not Found")
        target = query.get("redirect_uri", self.callback)
        if self.callback and not target.startswith(self.callback):
            return web.Response(status=400, text="The redirect_uri is not associated with this application.")
        answer = {"state": query.get("state", "")}
        if self.at_keyboard is None:
            answer |= {"error": "access_denied", "error_description": "The user has denied your application access."}
        else:
            code = secrets.token_hex(10)
            challenge = query.get("code_challenge", "") if query.get("code_challenge_method") == "S256" else ""
            self._codes[code] = (self.at_keyboard.number, target, query.get("scope", ""), challenge)
            answer["code"] = code
        parts = urlsplit(target)
        back = urlunsplit(parts._replace(query=urlencode(answer)))
        if self.asks:
            return web.Response(text=f'<h1>Authorize tcbox</h1><a href="{html.escape(back)}">Authorize</a>', content_type="text/html")
        raise web.HTTPFound(back)

    async def access_token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            return web.json_response({"error": "incorrect_client_credentials", "error_description": "The client_id and/or client_secret passed are incorrect."})
        number, target, scope, challenge = self._codes.pop(str(form.get("code")), (0, "", "", ""))
        if not number:
            return web.json_response({"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."})
        if form.get("redirect_uri") != target:
            return web.json_response({"error": "redirect_uri_mismatch", "error_description": "The redirect_uri MUST match the registered callback URL."})
        made = base64.urlsafe_b64encode(hashlib.sha256(str(form.get("code_verifier", "")).encode()).digest()).decode().rstrip("=")
        if challenge and made != challenge:
            return web.json_response({"error": "bad_verification_code", "error_description": "The code_verifier is wrong."})
        token = f"gho_{secrets.token_hex(18)}"
        self.tokens[token] = (number, set(scope.split()))
        return web.json_response({"access_token": token, "scope": scope, "token_type": "bearer"})

    async def user(self, request: web.Request) -> web.Response:
        account = self.accounts.get(self._who(request)[0])
        if account is None:
            return web.json_response({"message": "Bad credentials"}, status=401)
        return web.json_response({"id": account.number, "login": account.login})

    async def teams(self, request: web.Request) -> web.Response:
        if "read:org" not in self._who(request)[1]:
            return web.json_response({"message": "Resource not accessible"}, status=403)
        made = [{"slug": team.partition("/")[2], "organization": {"login": team.partition("/")[0]}} for team in self.accounts[self._who(request)[0]].teams]
        return self._page(request, made)

    async def memberships(self, request: web.Request) -> web.Response:
        if "read:org" not in self._who(request)[1]:
            return web.json_response({"message": "Resource not accessible"}, status=403)
        wanted = request.query.get("state")
        orgs = self.accounts[self._who(request)[0]].orgs.items()
        made = [{"organization": {"login": org}, "role": role, "state": state} for org, (role, state) in orgs if wanted in (None, state)]
        return self._page(request, made)

    @staticmethod
    def _page(request: web.Request, found: list) -> web.Response:
        size, page = min(100, int(request.query.get("per_page", "30"))), int(request.query.get("page", "1"))
        return web.json_response(found[size * (page - 1) : size * page])
