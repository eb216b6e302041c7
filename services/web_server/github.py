"""GitHub as a provider of users: signing in by OAuth, and who someone is there now.

Source: GitHub's documentation of OAuth apps and of its REST API (users, teams, organization members).
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tcbox import db, errors
from tcbox.credentials import Credentials, temporary
from tcbox.credentials.sealed import Sealer
from tcbox.services.web_server import identities
from tcbox.services.web_server.identities import User
from tcbox.services.web_server.outgoing import Answer, Outgoing
from tcbox.services.web_server.store import sql

WEB, API = "https://github.com", "https://api.github.com"
SCOPE = "read:org"
"""What is asked of GitHub: to see the user's organizations and teams, and nothing else."""

_PAGE = 100
_PAGES = 50
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_IDENTITY = re.compile(r"github/([0-9]{1,18})\|([^/]+)")


@dataclass(frozen=True, slots=True)
class App:
    """The OAuth app of the instance at GitHub, or at a GitHub Enterprise Server.

    Attributes:
        web: where people sign in; `api` is where their data is read.
    """

    client_id: str
    client_secret: str
    web: str = WEB
    api: str = API


class SignInError(errors.TcboxError):
    """GitHub did not say who someone is; the message is for that person."""


class _RevokedError(Exception):
    """GitHub takes the token no longer."""


class Github:
    """Knows the users who have signed in by GitHub.

    Args:
        issuer: the service's own client, in whose name users' temporary credentials are made.
        sealer: seals the tokens with which GitHub is asked.
    """

    name = "github"
    stamp = ""
    scanned = True

    def __init__(self, app: App, *, database: db.Database, outgoing: Outgoing, sealer: Sealer, issuer: Credentials) -> None:
        self._app = app
        self._db = database
        self._outgoing = outgoing
        self._sealer = sealer
        self._issuer = issuer

    # -- signing in

    def authorize_url(self, callback: str, state: str, verifier: str) -> str:
        """Where the browser is sent to sign in."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "client_id": self._app.client_id, "redirect_uri": callback, "scope": SCOPE, "state": state,
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        return f"{self._app.web}/login/oauth/authorize?{urlencode(asked)}"

    async def sign_in(self, code: str, callback: str, verifier: str) -> User:
        """Who comes back from GitHub with a code.

        Raises SignInError, or errors.Unavailable when GitHub does not answer.
        """
        token = await self._redeem(code, callback, verifier)
        try:
            found = await self._ask(token, "/user")
            number, login = _whole_number(found.get("id")), str(found.get("login") or "")
            if not number or not login:
                raise SignInError("GitHub did not say who you are: try again.")
            user = await self._with_roles(token, f"{self.name}/{number}|{identities.encode(login)}")
        except _RevokedError:
            raise SignInError("GitHub gave a token and does not take it: try again.") from None
        sealed = self._sealer.seal(token.encode(), context=_context(number))
        await self._db.transaction(lambda tx: tx.execute(sql.set_github_token, user_id=number, sealed=sealed))
        return user

    async def _redeem(self, code: str, callback: str, verifier: str) -> str:
        form = {
            "client_id": self._app.client_id, "client_secret": self._app.client_secret, "code": code,
            "redirect_uri": callback, "code_verifier": verifier,
        }  # fmt: skip
        answer = await self._outgoing.send("POST", f"{self._app.web}/login/oauth/access_token", headers={"Accept": "application/json"}, form=form)
        said = answer.json()
        token = said.get("access_token") if isinstance(said, dict) else None
        if answer.status != 200 or not isinstance(token, str) or not token:
            reason = said.get("error_description") or said.get("error") if isinstance(said, dict) else None
            raise SignInError(f"GitHub refused to finish the sign-in: {reason or f'it answered with the status {answer.status}'}. Sign in again.")
        return token

    # -- who someone is now

    async def user(self, identity: str) -> User | None:
        """The user of an identity; None when they have gone, have another name now, or have withdrawn their consent at GitHub.

        Raises errors.Unavailable when GitHub does not answer, or does not want to just now.
        """
        parsed = _IDENTITY.fullmatch(identity)
        if parsed is None:
            return None
        number = int(parsed[1])
        row = await self._db.one(sql.get_github_token, user_id=number)
        if row is None:
            return None
        sealed = bytes(row["sealed"])
        token = self._sealer.open(sealed, context=_context(number)).decode()
        try:
            found = await self._ask(token, "/user")
            login = identities.encode(str(found.get("login") or ""))
            if found.get("id") != number or login.lower() != parsed[2].lower():
                return None
            return await self._with_roles(token, identity)
        except _RevokedError:
            await self._db.transaction(lambda tx: tx.execute(sql.remove_github_token, user_id=number, sealed=sealed))
            return None

    def credentials(self, user: User, start_ms: int, expiry_ms: int) -> Credentials:
        """Temporary credentials in the user's name, made by the service's own client."""
        own = self._issuer
        return temporary.create(own.client_id, own.access_token, scopes=user.scopes, start_ms=start_ms, expiry_ms=expiry_ms, name=user.identity)

    async def _with_roles(self, token: str, identity: str) -> User:
        roles = []
        for team in await self._list(token, "/user/teams"):
            org, slug = _name(team.get("organization"), "login"), _name(team, "slug")
            if org and slug:
                roles.append(f"github-team:{org}/{slug}")
        for member in await self._list(token, "/user/memberships/orgs", state="active"):
            org = _name(member.get("organization"), "login")
            if org and member.get("role") == "admin" and member.get("state", "active") == "active":
                roles.append(f"github-org-admin:{org}")
        return User(identity, identities.scopes(identity, roles))

    async def _list(self, token: str, path: str, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for page in range(1, _PAGES + 1):
            answer = await self._ask(token, f"{path}?{urlencode({**query, 'per_page': _PAGE, 'page': page})}", kind=list)
            found += [each for each in answer if isinstance(each, dict)]
            if len(answer) < _PAGE:
                break
        return found

    async def _ask(self, token: str, path: str, kind: type = dict) -> Any:
        headers = {
            "Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json", "User-Agent": "tcbox",
            "X-GitHub-Api-Version": "2022-11-28",
        }  # fmt: skip
        answer = await self._outgoing.send("GET", f"{self._app.api}{path}", headers=headers)
        if answer.status == 401:
            raise _RevokedError
        said = answer.json()
        if answer.status != 200 or not isinstance(said, kind):
            raise errors.Unavailable("GitHub does not tell who a user is just now: {reason}. Try again later.", reason=_reason(answer, said))
        return said


def _reason(answer: Answer, said: Any) -> str:
    message = said.get("message") if isinstance(said, dict) else None
    return f"status {answer.status}" + (f", {message}" if isinstance(message, str) else "")


def _name(value: Any, key: str) -> str:
    """A name as it may stand in a role's; others, of which GitHub has none, are left out rather than taken for a pattern."""
    name = value.get(key) if isinstance(value, dict) else None
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""


def _whole_number(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def _context(number: int) -> str:
    return f"web-server/github/{number}"
